"""What a connection writes, when, and in whose favour: seen frame by frame, the other end is the test.

Each of these could be broken without a call going wrong, unless a peer is slow or many wait.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rpcnet import (
    DeadlineExceeded,
    NotFound,
    ResourceExhausted,
    RpcClient,
    RpcConfig,
    RpcError,
    RpcServer,
    Status,
    Unavailable,
)
from rpcnet.client.connection import ClientConnection
from rpcnet.connection import MAX_UNREAD_BYTES, most_unread_of_calls
from rpcnet.metadata import encoded_metadata
from rpcnet.server.connection import MAX_TURNED_AWAY
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    CANCEL,
    CREDIT,
    END,
    FLAG_END,
    FLAG_ITEM,
    FLAG_MORE,
    GOAWAY,
    HELLO,
    ITEM,
    ITEM_COST,
    OPEN,
    PING,
    PONG,
    decode_ending,
    decode_goaway,
    decode_number,
    decode_open,
)
from tests.rpcnet.scripted import WINDOW, Scripted, client_of, hello, run


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


def test_joined_frames_leave_when_they_are_64_kib() -> None:
    """So that a busy turn does not gather without bound."""

    async def main() -> None:
        client, transport = client_of(hello(max_frame_bytes=1 << 20, stream_window_bytes=1 << 20))
        await client.open()
        await asyncio.sleep(1)
        before = transport().writes
        transport().say(*(writer.ping(PING, token(number)) for number in range(10_000)))
        assert transport().writes == before + 2, "twice 64 KiB of them, which is less than half"
        pong = len(writer.ping(PONG, token(0)))
        assert 0 <= transport().kinds().count(PONG) * pong - 2 * 64 * 1024 < 2 * pong
        await turns()
        assert transport().writes == before + 3
        assert transport().kinds().count(PONG) == 10_000
        await client.close()

    run(main())


@pytest.mark.parametrize(("read_together", "in_writes_of"), [(1, [1]), (2, [2]), (8, [8]), (9, [4, 5]), (16, [8, 8])])
def test_answers_to_few_frames_leave_joined_to_many_in_halves(read_together: int, in_writes_of: list[int]) -> None:
    """Few writes are needed; and of many the peer has the first half to work on while the second is made."""

    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        await asyncio.sleep(1)
        for _ in range(2):
            before, frames = transport().writes, transport().kinds().count(PONG)
            transport().say(*(writer.ping(PING, token(number)) for number in range(read_together)))
            assert transport().writes == before + 1
            assert transport().kinds().count(PONG) == frames + in_writes_of[0]
            await turns()
            assert transport().writes == before + len(in_writes_of)
            assert transport().kinds().count(PONG) == frames + read_together
        await client.close()

    run(main())


def test_a_lone_answer_to_many_frames_leaves_with_its_turn() -> None:
    """A handler that answers late waits for no others."""

    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        streams = [client.call_server_streaming("watch") for _ in range(4)]
        await turns()
        transport().say(*(writer.item(number, 0, b"x") for number in range(1, 5)))
        await asyncio.sleep(1)
        before = transport().writes
        transport().protocol.write(writer.ping(PONG, token(0)))
        await turns()
        assert transport().writes == before + 1
        del streams
        await turns()
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


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_mebibyte_may_be_unread_and_no_byte_more(rounds: int) -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        connection = transport().protocol
        head = len(writer.item(1, 0, b""))
        sixteenth = writer.item(1, 0, bytes(64 * 1024 - head))
        for number in range(rounds):
            if number:
                connection.resume_writing()  # whoever has read may leave as much unread again
            connection.pause_writing()
            for _ in range(16):
                connection.write(sixteenth)
            await turns()
            assert client.stats.connections == 1
        connection.write(b"x")
        await turns()
        assert client.stats.connections == 0
        await client.close()

    run(main())


def test_a_client_says_that_it_took_no_stream() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        transport().say(writer.end(7))  # which was never opened
        (payload,) = [payload for kind, _, _, payload in transport().frames if kind == GOAWAY]
        assert decode_goaway(payload)[:2] == (0, Status.INTERNAL)
        await client.close()

    run(main())


@pytest.mark.parametrize("has_half_close", [True, False])
def test_a_broken_rule_ends_all_calls_at_once(has_half_close: bool) -> None:
    """Although the connection stays open a while, so that the peer can read why."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        client, transport = client_of(hello())
        await client.open()
        half_closed = []
        transport().can_write_eof = lambda: has_half_close  # type: ignore[method-assign]
        transport().write_eof = lambda: half_closed.append(loop.time())  # type: ignore[method-assign]
        calls = [asyncio.ensure_future(client.call("never")) for _ in range(3)]
        await turns()
        now = loop.time()
        transport().say(writer.end(99))
        for call in calls:
            with pytest.raises(Unavailable, match="call 'never' was cut: connection to scripted:1 is over: "):
                await call
        assert loop.time() == now
        assert half_closed == [now] * has_half_close
        assert not transport().is_closing()
        await asyncio.sleep(1.1)
        assert transport().is_closing()
        await client.close()

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


@pytest.mark.parametrize(
    ("before", "reason"),
    [(0, "the server closed it before its HELLO"), (9, "the peer closed it"), (1000, "the peer closed it")],
)
def test_a_peer_that_sent_something_has_not_refused_us(before: int, reason: str) -> None:
    """Only one that closes without a byte of its greeting may want TLS, or refuse our certificate."""

    async def main() -> None:
        protocols: list[Any] = []

        async def join(protocol: Callable[[], asyncio.BaseProtocol]) -> None:
            protocols.append(protocol())
            transport = Scripted(protocols[0])
            if before:
                transport.say(writer.greeting(hello())[:before])
            protocols[0].eof_received()
            transport.close()

        client = RpcClient("unix:scripted", open_transport=join)
        with pytest.raises(Unavailable):
            await client.open()
        assert reason in protocols[0]._close_reason
        await client.close()

    run(main())


def test_an_end_before_hello_that_nobody_awaits_is_no_error() -> None:
    async def main() -> None:
        said: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))

        async def join(protocol: Callable[[], asyncio.BaseProtocol]) -> None:
            Scripted(protocol())

        client = RpcClient("unix:scripted", open_transport=join)
        opening = asyncio.ensure_future(client.open())
        await turns()
        opening.cancel()
        await asyncio.wait([opening])
        del client, opening
        await turns()
        gc.collect()
        assert said == []

    run(main())


# Frames that come slowly.


@asynccontextmanager
async def greeted() -> AsyncIterator[tuple[Scripted, Callable[[], list[str]]]]:
    """A server's transport whose caller has greeted, and what gives the texts of the GOAWAYs that it got."""
    server = RpcServer("unix:scripted", config=RpcConfig(handshake_timeout=8.0))
    server.begin()
    transport = Scripted(server.accept())
    transport.say(writer.greeting(hello()))
    yield transport, lambda: [decode_goaway(payload)[2] for kind, _, _, payload in transport.frames if kind == GOAWAY]
    transport.close()
    await server.stop()


FRAME = writer.open_call(1, FLAG_ITEM | FLAG_END, 0, b"unknown", b"", 0, bytes(60_000))


def test_silence_within_a_frame_is_ended_after_handshake_timeout() -> None:
    async def main() -> None:
        async with greeted() as (transport, farewells):
            await asyncio.sleep(5)
            transport.say(FRAME[:20])
            await asyncio.sleep(7.9)
            assert farewells() == []
            await asyncio.sleep(0.2)
            assert farewells() == ["half a frame and then 8 s of silence (handshake_timeout)"]

    run(main())


@pytest.mark.parametrize(("rate", "is_cut"), [(2, True), (900, True), (1100, False)])
def test_a_slow_frame_must_come_at_a_kibibyte_a_second(rate: int, is_cut: bool) -> None:
    async def main() -> None:
        async with greeted() as (transport, farewells):
            sent, half = 0, rate // 2
            while sent < len(FRAME) and not farewells():
                transport.say(FRAME[sent : sent + half])
                sent += half
                await asyncio.sleep(0.5)
            if is_cut:
                assert sent in (16 * half, 17 * half), "at the first look"
                (text,) = farewells()
                assert f"{sent} bytes of a frame in 8 s: a frame that takes longer than handshake_timeout (8 s)" in text
                assert "must come at 1024 bytes a second or faster" in text
            else:
                assert farewells() == []
                assert END in transport.kinds(), "it was answered"

    run(main())


def test_a_frame_that_slows_down_is_noticed_a_second_later() -> None:
    async def main() -> None:
        async with greeted() as (transport, farewells):
            transport.say(FRAME[:9000])  # enough for 8.8 s
            await asyncio.sleep(5)
            transport.say(FRAME[9000:9001])
            await asyncio.sleep(3.9)
            assert farewells() == []
            await asyncio.sleep(0.2)
            (text,) = farewells()
            assert text.startswith("9001 bytes of a frame in 9 s")

    run(main())


def test_a_frame_that_is_whole_when_it_is_judged_counts() -> None:
    async def main() -> None:
        async with greeted() as (transport, farewells):
            transport.say(FRAME[:20])
            # It arrives together with the timer, which was set before and so runs first.
            asyncio.get_running_loop().call_later(8.0, transport.say, FRAME[20:])
            await asyncio.sleep(20)
            assert farewells() == []
            assert END in transport.kinds()

    run(main())


def test_each_slow_frame_has_its_own_time() -> None:
    async def main() -> None:
        async with greeted() as (transport, farewells):
            for number in (1, 2, 3):
                frame = writer.open_call(number, FLAG_ITEM | FLAG_END, 0, b"unknown", b"", 0, b"x")
                transport.say(frame[:9])
                await asyncio.sleep(5)
                transport.say(frame[9:])
            await asyncio.sleep(20)
            transport.say(FRAME[:9])
            await asyncio.sleep(7.9)
            assert farewells() == []
            await asyncio.sleep(0.2)
            assert len(farewells()) == 1

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


def test_each_silence_is_asked_about_anew() -> None:
    async def main() -> None:
        client, transport = client_of(hello(), RpcConfig(ping_interval=10.0, ping_timeout=5.0))
        await client.open()
        for number in range(1, 6):
            await asyncio.sleep(10.5)
            assert transport().kinds().count(PING) == number
            transport().say(writer.ping(PONG, token(number)))
        await asyncio.sleep(14.9)
        assert client.stats.connections == 1
        await asyncio.sleep(0.2)
        assert client.stats.connections == 0
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


@pytest.mark.parametrize("spare", [0, -1])
def test_a_name_and_metadata_must_fit_into_a_frame(spare: int) -> None:
    async def main() -> None:
        metadata = {"k": bytes(3000)}
        frame = writer.open_call(1, 0, 0, b"name", encoded_metadata(metadata, 10_000), 0, b"")
        taken = len(frame) - len(writer.end(1))  # what a frame has beside its head
        client, transport = client_of(hello(max_frame_bytes=taken + spare, max_metadata_bytes=10_000))
        await client.open()
        call = asyncio.ensure_future(client.call("name", metadata=metadata))
        await turns()
        if spare < 0:
            with pytest.raises(ResourceExhausted, match="do not fit into a frame"):
                await call
            assert opened(transport()) == []
        else:
            assert [kind for kind, *_ in transport().frames if kind == OPEN] == [OPEN]
            call.cancel()
        await client.close()

    run(main())


def test_a_call_without_time_never_asks_for_a_connection() -> None:
    async def main() -> None:
        async def join(_: Any) -> None:
            raise AssertionError("nobody has time for it")

        client = RpcClient("unix:scripted", open_transport=join)
        for timeout in (0, -1):
            with pytest.raises(DeadlineExceeded, match="had no time left when it was to be sent"):
                await client.call("late", timeout=timeout)
        await client.close()

    run(main())


def test_nothing_of_a_closed_client_is_left_behind() -> None:
    def kept() -> int:
        gc.collect()
        return sum(isinstance(found, ClientConnection) for found in gc.get_objects())

    async def main() -> None:
        before = kept()
        client, transport = client_of(hello())
        await client.open()
        await client.close()
        await client.close()
        del client, transport
        assert kept() == before, "a timer is left"

    run(main())


def test_whoever_asks_after_the_loss_of_a_connection_hears_of_it() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        connection = transport().protocol
        connection.abort("first reason")
        await turns()
        assert connection.lost.done()
        await client.close()

    run(main())


def test_a_connection_is_aborted_once_and_for_one_reason(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        connection = transport().protocol
        connection.abort("first reason")
        connection.abort("second reason")
        await turns()
        assert connection.why_closed == "first reason"
        ClientConnection(client.config, None, "", {}).abort("it never had a transport")
        await client.close()

    run(main())
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.endswith("aborted: first reason")


def test_a_second_goaway_may_not_name_another_stream() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        call = asyncio.ensure_future(client.call("slow"))
        await turns()
        transport().say(writer.goaway(1, 0, "soon"), writer.goaway(1, 0, "now"))
        await turns()
        assert not call.done()
        transport().say(writer.goaway(2, 0, "now"))
        with pytest.raises(Unavailable, match="GOAWAY of stream 2 after one of stream 1"):
            await call
        await client.close()

    run(main())


# What a server makes of frames, seen one by one.


@asynccontextmanager
async def served(config: RpcConfig | None = None) -> AsyncIterator[tuple[Scripted, RpcServer, list[Any]]]:
    """A server whose one caller is the test, and what its handlers read; "busy" ends slowly."""
    read: list[Any] = []

    async def up(items: AsyncIterator[bytes]) -> bytes:
        read.extend([item async for item in items])
        return b"done"

    async def busy(_: AsyncIterator[bytes]) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(5)
        return b""

    async def one(payload: bytes) -> bytes:
        read.append(payload)
        return b""

    server = RpcServer("unix:scripted", config=config or RpcConfig(max_streams=2, stream_window_bytes=WINDOW))
    server.register("one", one)
    server.register_streaming("up", up, shape="client_streaming")
    server.register_streaming("busy", busy, shape="client_streaming")
    server.begin()
    transport = Scripted(server.accept())
    transport.say(writer.greeting(hello()))
    yield transport, server, read
    transport.close()
    await server.stop()


def test_an_item_that_comes_with_open_is_the_first() -> None:
    async def main() -> None:
        async with served() as (transport, _, read):
            transport.say(writer.open_call(1, FLAG_ITEM, 1, b"up", b"", 0, b"a"))
            await turns()
            transport.say(writer.item(1, 0, b"b"), writer.item(1, FLAG_END, b"c"))
            await turns()
            assert read == [b"a", b"b", b"c"]

    run(main())


def test_a_cancelled_handler_holds_no_credit_while_it_ends() -> None:
    async def main() -> None:
        async with served() as (transport, server, _):
            transport.say(writer.open_call(1, 0, 1, b"busy", b"", 0, b""))
            await turns()
            transport.say(writer.item(1, 0, bytes(3000)))
            assert server.stats.queued_bytes == 3000 + ITEM_COST
            transport.say(writer.cancel(1, Status.CANCELLED))
            assert server.stats.queued_bytes == 0
            await turns()
            assert server.stats.running_handlers == 1
            await asyncio.sleep(6)
            assert server.stats.running_handlers == 0

    run(main())


def test_an_item_after_the_end_costs_nothing() -> None:
    async def main() -> None:
        async with served() as (transport, server, _):
            transport.say(writer.open_call(1, FLAG_ITEM | FLAG_END, 0, b"one", b"", 0, b""))
            await turns()
            assert END in transport.kinds() or ITEM in transport.kinds()
            transport.say(writer.item(1, 0, bytes(1000)))
            assert server.stats.queued_bytes == 0
            assert GOAWAY not in transport.kinds()

    run(main())


def test_a_first_item_may_be_as_large_as_the_window() -> None:
    async def main() -> None:
        async with served() as (transport, _, read):
            largest = WINDOW - ITEM_COST
            transport.say(writer.open_call(1, FLAG_ITEM | FLAG_END, 0, b"one", b"", 0, bytes(largest)))
            await turns()
            assert read == [bytes(largest)]
            transport.say(writer.open_call(2, FLAG_ITEM | FLAG_END, 0, b"one", b"", 0, bytes(largest + 1)))
            (text,) = [decode_goaway(payload)[2] for kind, _, _, payload in transport.frames if kind == GOAWAY]
            assert f"{WINDOW + 1} bytes with {WINDOW} bytes of credit left" in text

    run(main())


def test_a_request_larger_than_a_message_may_be_is_refused() -> None:
    async def main() -> None:
        config = RpcConfig(max_streams=2, stream_window_bytes=WINDOW, max_message_bytes=2000)
        async with served(config) as (transport, server, read):
            for number, size in ((1, 2000), (2, 2001)):
                transport.say(writer.open_call(number, FLAG_ITEM | FLAG_END, 0, b"one", b"", 0, bytes(size)))
                await turns()
                assert server.stats.queued_bytes == server.stats.running_handlers == 0
            assert read == [bytes(2000)]
            (ending,) = [decode_ending(payload) for kind, _, stream, payload in transport.frames if kind == END]
            assert ending.status == Status.RESOURCE_EXHAUSTED
            assert "exceeds max_message_bytes (2000)" in ending.message

    run(main())


def test_whoever_reads_for_a_handler_hears_why_the_call_ended() -> None:
    """The handler itself is cancelled; another task of it that reads the items gets the broken rule."""
    heard: list[BaseException] = []

    async def read(items: AsyncIterator[bytes]) -> None:
        try:
            await anext(items)
        except RpcError as error:
            heard.append(error)

    async def reads_elsewhere(items: AsyncIterator[bytes]) -> bytes:
        await asyncio.shield(asyncio.ensure_future(read(aiter(items))))
        return b""

    async def main() -> None:
        config = RpcConfig(max_streams=2, stream_window_bytes=WINDOW, max_message_bytes=2000)
        async with served(config) as (transport, server, _):
            server.register_streaming("elsewhere", reads_elsewhere, shape="client_streaming")
            transport.say(writer.open_call(1, 0, 1, b"elsewhere", b"", 0, b""))
            await turns()
            transport.say(writer.item(1, 0, bytes(2001)))
            await turns()
            (error,) = heard
            assert isinstance(error, ResourceExhausted)

    run(main())


def test_a_refused_call_holds_no_credit() -> None:
    async def main() -> None:
        async with served() as (transport, server, _):
            transport.say(writer.open_call(1, FLAG_ITEM | FLAG_END, 0, b"unknown", b"", 0, bytes(1000)))
            await turns()
            assert transport.kinds()[-1] == END
            assert server.stats.queued_bytes == 0

    run(main())


def test_whoever_was_turned_away_is_closed_a_second_later() -> None:
    async def main() -> None:
        async with served(RpcConfig(max_connections=1)) as (first, server, _):
            second = Scripted(server.accept())
            assert second.kinds() == [HELLO, GOAWAY]
            assert not second.is_closing(), "it may read why"
            await asyncio.sleep(1.5)
            assert second.is_closing()
            assert not first.is_closing()
            many = [Scripted(server.accept()) for _ in range(MAX_TURNED_AWAY + 1)]
            assert [transport.is_closing() for transport in many] == [False] * MAX_TURNED_AWAY + [True]
            await asyncio.sleep(2)

    run(main())


def test_a_server_that_starts_again_has_refused_nobody() -> None:
    async def main() -> None:
        server = RpcServer("unix:scripted", config=RpcConfig(max_connections=1))
        for _ in range(2):
            server.begin()
            assert server.stats.refused_connections == 0
            _, second = Scripted(server.accept()), Scripted(server.accept())
            assert second.kinds() == [HELLO, GOAWAY]
            assert server.stats.refused_connections == 1
            await server.stop()

    run(main())


def test_a_server_whose_loop_has_ended_starts_without_connections() -> None:
    """Nobody closed those of the loop before; they count no more, and take no place of the new ones."""
    server = RpcServer("unix:scripted", config=RpcConfig(max_connections=1))

    async def begin() -> None:
        server.begin()
        assert server.stats.connections == 0
        transport = Scripted(server.accept())
        assert transport.kinds() == [HELLO]
        assert server.stats.connections == 1

    for _ in range(2):
        asyncio.run(begin())


def test_an_idle_connection_is_closed_whatever_its_client_does() -> None:
    async def main() -> None:
        async with served(RpcConfig(max_idle_seconds=1.0)) as (transport, server, _):
            await asyncio.sleep(1.1)
            assert transport.kinds() == [HELLO, GOAWAY]
            await asyncio.sleep(1.5)
            assert transport.is_closing()
            assert server.stats.connections == 0

    run(main())


def test_rationed_resets_end_the_connection_once_nothing_runs() -> None:
    """Also where the last cancelled call never ran, so that no end of a handler comes after the GOAWAY."""

    async def main() -> None:
        async with served(RpcConfig(max_resets=3)) as (transport, server, read):
            for number in range(1, 5):
                transport.say(
                    writer.open_call(number, FLAG_ITEM | FLAG_END, 0, b"one", b"", 0, b""), writer.cancel(number, 1)
                )
            await turns()
            assert [decode_goaway(payload)[1] for kind, _, _, payload in transport.frames if kind == GOAWAY] == [8]
            await asyncio.sleep(1.1)
            assert server.stats.connections == 0
            assert read == []

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
