"""What a connection writes, when, and in whose favour: seen frame by frame, the other end is the test.

Each of these could be broken without a call going wrong, unless a peer is slow or many wait.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

import sim
from rpcnet import NotFound, RpcConfig, RpcServer
from rpcnet.connection import MAX_UNREAD_BYTES, most_unread_of_calls
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    CANCEL,
    CREDIT,
    FLAG_END,
    FLAG_ITEM,
    FLAG_MORE,
    GOAWAY,
    ITEM,
    ITEM_COST,
    OPEN,
    PING,
    PONG,
    Hello,
    decode_goaway,
    decode_number,
    decode_open,
)
from tests.rpcnet.scripted import Scripted, client_of

WINDOW = 4096


def hello(**changed: int) -> Hello:
    limits = {
        "max_message_bytes": 1 << 20,
        "max_frame_bytes": 1 << 17,
        "max_metadata_bytes": 1000,
        "max_streams": 10,
        "stream_window_bytes": WINDOW,
        "connection_window_bytes": 10 * WINDOW,
    }
    return Hello(**{**limits, **changed})


def run(main: Coroutine[Any, Any, None]) -> None:
    sim.run(main, seed=1)


async def turns() -> None:
    """A few turns of the loop, and less than a timer's time."""
    for _ in range(8):
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)


def token(number: int) -> bytes:
    return number.to_bytes(8, "big")


def opened(transport: Scripted) -> list[str]:
    """The methods that were opened, in order."""
    return [decode_open(payload, 1000)[1] for kind, _, _, payload in transport.frames if kind == OPEN]


# What is written when.


def test_the_first_frame_of_a_turn_leaves_at_once_and_the_others_joined() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        for _ in range(2):
            await asyncio.sleep(1)
            before = transport().writes
            streams = [client.call_server_streaming("watch") for _ in range(4)]
            assert transport().writes == before + 1, "the first OPEN"
            await turns()
            assert transport().writes == before + 2, "and the three others"
            assert transport().kinds().count(OPEN) % 4 == 0
            del streams
            await turns()
        await client.close()

    run(main())


def test_the_answer_to_one_frame_leaves_at_once() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        await asyncio.sleep(1)
        for number in range(3):
            before = transport().writes
            transport().say(writer.ping(PING, token(number)))
            assert transport().writes == before + 1
        await client.close()

    run(main())


def test_answers_to_what_was_read_together_leave_together() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        await asyncio.sleep(1)
        pings = [writer.ping(PING, token(number)) for number in range(4)]
        for _ in range(2):
            before = transport().writes
            transport().say(*pings)
            assert transport().writes == before
            await turns()
            assert transport().writes == before + 1
            assert transport().kinds().count(PONG) % 4 == 0
        await asyncio.sleep(1)
        before = transport().writes
        transport().say(pings[0])
        assert transport().writes == before + 1, "the next turn is as any other"
        await client.close()

    run(main())


def test_a_read_of_several_frames_that_needs_no_answer_holds_nothing_up_later() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        await asyncio.sleep(1)
        transport().say(*(writer.ping(PONG, token(number)) for number in range(4)))
        await asyncio.sleep(0.01)
        before = transport().writes
        stream = client.call_server_streaming("watch")
        assert transport().writes == before + 1
        stream.abort()
        await client.close()

    run(main())


def test_answers_that_take_long_are_not_held_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        await asyncio.sleep(1)
        loop = asyncio.get_running_loop()
        before, now = transport().writes, loop.time()
        clock = iter([now, now, now, now + 0.0005, now + 0.002])  # the read, the first answer, twice, the others
        monkeypatch.setattr(loop, "time", lambda: next(clock, now + 0.002), raising=False)
        transport().say(*(writer.ping(PING, token(number)) for number in range(3)))
        assert transport().writes == before + 1
        assert transport().kinds().count(PONG) == 3
        monkeypatch.undo()
        await client.close()

    run(main())


def test_joined_frames_leave_when_they_are_64_kib() -> None:
    """So that a busy turn does not gather without bound."""

    async def main() -> None:
        client, transport = client_of(hello(max_frame_bytes=1 << 20, stream_window_bytes=1 << 20))
        await client.open()
        await asyncio.sleep(1)
        before = transport().writes
        transport().say(*(writer.ping(PING, token(number)) for number in range(5000)))
        assert transport().writes == before + 1, "64 KiB of them"
        assert 64 * 1024 <= transport().kinds().count(PONG) * 18 < 65 * 1024
        await turns()
        assert transport().kinds().count(PONG) == 5000
        await client.close()

    run(main())


def test_a_peer_that_reads_nothing_of_what_it_asks_for_is_cut_off() -> None:
    async def main() -> None:
        server = RpcServer("unix:scripted")
        server.begin()
        transport = Scripted(server.accept())
        transport.say(writer.greeting(hello()))
        transport.protocol.pause_writing()
        for number in range(1, 100_000):
            if transport.is_closing():
                break
            transport.say(writer.open_call(number, FLAG_ITEM | FLAG_END, 0, b"unknown", b"", 0, b""))
            assert server.stats.queued_bytes <= MAX_UNREAD_BYTES + 100
        assert 10_000 < number < 50_000, "a mebibyte of refusals"
        await turns()
        assert server.stats.connections == 0
        await server.stop()

    run(main())


def test_a_peer_that_reads_no_ends_of_its_calls_is_cut_off() -> None:
    """The ends may hold more than refusals do, but no more than the config allows to so many calls."""

    async def fail(payload: bytes) -> bytes:
        raise NotFound("x", details=bytes(10_000))

    async def main() -> None:
        config = RpcConfig(max_streams=5, max_metadata_bytes=10_000)
        server = RpcServer("unix:scripted", config=config)
        server.register("fail", fail)
        server.begin()
        transport = Scripted(server.accept())
        transport.say(writer.greeting(hello(max_metadata_bytes=10_000)))
        transport.protocol.pause_writing()
        for number in range(1, 100):
            if transport.is_closing():
                break
            transport.say(writer.open_call(number, FLAG_ITEM | FLAG_END, 0, b"fail", b"", 0, b""))
            await turns()
            assert server.stats.queued_bytes <= most_unread_of_calls(5, config) + 100
        assert number > 5, "as many as may run at a time harm nobody"
        assert transport.is_closing()
        await server.stop()

    run(main())


def test_whoever_does_not_greet_in_time_is_told_so() -> None:
    async def main() -> None:
        server = RpcServer("unix:scripted", config=RpcConfig(handshake_timeout=7.0))
        server.begin()
        transport = Scripted(server.accept())
        await asyncio.sleep(6.9)
        assert GOAWAY not in transport.kinds()
        await asyncio.sleep(0.2)
        (text,) = [decode_goaway(payload)[2] for kind, _, _, payload in transport.frames if kind == GOAWAY]
        assert text == "no complete HELLO within handshake_timeout (7 s)"
        transport.close()
        await server.stop()

    run(main())


# The remembered PONG.


def test_of_pings_that_come_while_writing_is_paused_the_last_is_answered() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        pong = transport().protocol
        pong.pause_writing()
        transport().say(*(writer.ping(PING, token(number)) for number in range(3)))
        await turns()
        assert PONG not in transport().kinds()
        pong.resume_writing()
        await turns()
        assert [(kind, payload) for kind, _, _, payload in transport().frames if kind == PONG] == [(PONG, token(2))]
        transport().say(writer.ping(PING, token(7)))
        await turns()
        assert [payload for kind, _, _, payload in transport().frames if kind == PONG] == [token(2), token(7)]
        pong.pause_writing()
        pong.resume_writing()
        await turns()
        assert transport().kinds().count(PONG) == 2, "each once"
        await client.close()

    run(main())


def test_a_flood_of_pings_while_writing_is_paused_fills_nothing() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        transport().protocol.pause_writing()
        flood = b"".join(writer.ping(PING, token(number)) for number in range(1000))
        for _ in range(100):
            transport().say(flood)
        assert client.stats.queued_bytes == 0
        assert client.stats.connections == 1, "nor does it end the connection"
        await client.close()

    run(main())


# Who may write, of those that wait for the connection's credit.


def test_a_small_item_does_not_overtake_a_large_one_that_waits_for_credit() -> None:
    """Or a busy connection would starve whoever has much to say."""

    async def main() -> None:
        window = 4096
        client, transport = client_of(hello(stream_window_bytes=window * 4, connection_window_bytes=window))
        await client.open()
        large, small = client.call_streaming("large"), client.call_streaming("small")
        await large.send(bytes(3500))
        await turns()
        waits = asyncio.ensure_future(large.send(bytes(800)))
        await turns()
        behind = asyncio.ensure_future(small.send(b"x"))
        await turns()
        assert not waits.done()
        assert not behind.done(), "there is credit for it, but somebody is ahead"
        transport().say(writer.credit(0, 100))
        await turns()
        assert not behind.done(), "nor does credit that is too little for the first go to the second"
        transport().say(writer.credit(0, window))
        await turns()
        assert waits.done() and behind.done()
        items = [len(payload) for kind, _, _, payload in transport().frames if kind == ITEM]
        assert items == [3500, 800, 1]
        large.abort()
        small.abort()
        await client.close()

    run(main())


def test_writers_that_were_paused_go_on_in_the_order_in_which_they_came() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        streams = [client.call_streaming(name) for name in "abc"]
        await turns()
        transport().protocol.pause_writing()
        sends = []
        for stream, size in zip(streams, (1, 2, 3), strict=True):
            sends.append(asyncio.ensure_future(stream.send(bytes(size))))
            await turns()
        assert not any(send.done() for send in sends)
        transport().protocol.resume_writing()
        late = asyncio.ensure_future(streams[0].send(bytes(4)))
        await asyncio.gather(*sends, late)
        assert [len(payload) for kind, _, _, payload in transport().frames if kind == ITEM] == [1, 2, 3, 4]
        for stream in streams:
            stream.abort()
        await client.close()

    run(main())


# Who gets a place, of the calls that wait for one.


def test_places_go_to_calls_in_the_order_in_which_they_came() -> None:
    """A call that is made in the turn in which a place becomes free finds others ahead of it."""

    async def main() -> None:
        client, transport = client_of(hello(max_streams=1))
        await client.open()
        calls = []
        for name in "abc":
            calls.append(asyncio.ensure_future(client.call(name)))
            await turns()
        assert opened(transport()) == ["a"]
        calls.append(asyncio.ensure_future(client.call("late")))  # runs before "b" does, which the answer wakes
        transport().say(writer.item(1, FLAG_END, b""))
        for number in (2, 3, 4):
            await turns()
            transport().say(writer.item(number, FLAG_END, b""))
        await asyncio.gather(*calls)
        assert opened(transport()) == ["a", "b", "c", "late"]
        await client.close()

    run(main())


# Credit of a message whose last part never came.


def test_no_stream_credit_follows_the_end_of_a_direction() -> None:
    """Of a request that came in parts the last ones go back to the connection alone."""

    async def wait(payload: bytes) -> bytes:
        await asyncio.sleep(1)
        return payload

    async def main() -> None:
        config = RpcConfig(stream_window_bytes=WINDOW, max_streams=2)
        server = RpcServer("unix:scripted", config=config)
        server.register("wait", wait)
        server.begin()
        transport = Scripted(server.accept())
        transport.say(writer.greeting(hello()))
        transport.say(writer.open_call(1, FLAG_ITEM | FLAG_MORE, 0, b"wait", b"", 0, bytes(WINDOW // 2 - 200)))
        transport.say(writer.item(1, FLAG_END, bytes(WINDOW // 2 - 200)))
        await turns()
        assert CREDIT not in [kind for kind, _, stream, _ in transport.frames if stream]
        assert server.stats.queued_bytes == 0
        await server.stop(0)

    run(main())


def test_credit_of_parts_returns_when_the_caller_lets_go_in_mid_message() -> None:
    async def main() -> None:
        client, transport = client_of(hello(), RpcConfig(max_streams=1, stream_window_bytes=WINDOW))
        await client.open()
        stream = client.call_server_streaming("watch", b"")
        await turns()
        transport().say(writer.item(1, 0, bytes(10)), writer.item(1, FLAG_MORE, bytes(3000)))
        await turns()
        assert client.stats.queued_bytes == 3010 + 2 * ITEM_COST
        stream.abort()
        await turns()
        assert client.stats.queued_bytes == 0
        assert CANCEL in transport().kinds()
        granted = [
            decode_number(payload) for kind, _, number, payload in transport().frames if (kind, number) == (CREDIT, 0)
        ]
        assert sum(granted) == 3010 + 2 * ITEM_COST, "the connection's credit; the stream's is of no more use"
        transport().say(writer.end(1))
        assert client.stats.open_streams == 0
        await client.close()

    run(main())


def test_credit_of_parts_returns_when_the_handler_ends_unread() -> None:
    async def main() -> None:
        async def chat(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            if False:
                yield b""

        server = RpcServer("unix:scripted", config=RpcConfig(max_streams=1, stream_window_bytes=WINDOW))
        server.register_streaming("chat", chat)
        server.begin()
        transport = Scripted(server.accept())
        transport.say(
            writer.greeting(hello()), writer.open_call(1, FLAG_ITEM | FLAG_MORE, 3, b"chat", b"", 0, bytes(9))
        )
        transport.say(writer.item(1, 0, b"x"), writer.item(1, FLAG_MORE, bytes(3000)))
        assert server.stats.queued_bytes == 3001 + 2 * ITEM_COST, "the credit of a first part goes back at once"
        await turns()
        assert server.stats.running_handlers == 0
        assert server.stats.queued_bytes == 0
        granted = [
            decode_number(payload) for kind, _, number, payload in transport.frames if (kind, number) == (CREDIT, 0)
        ]
        assert sum(granted) == 3010 + 3 * ITEM_COST
        transport.close()
        await server.stop()

    run(main())
