"""One call, frame by frame: what it sends within its credit, what it makes of an answer. The server is the test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rpcnet import (
    BidirectionalStream,
    Cancelled,
    DeadlineExceeded,
    InterceptedCall,
    Internal,
    NotFound,
    Proceed,
    ResourceExhausted,
    RpcClient,
    RpcConfig,
    RpcError,
    RpcServer,
    StreamError,
    Unavailable,
)
from rpcnet.errors import Status
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    CANCEL,
    END,
    FLAG_END,
    FLAG_ITEM,
    FLAG_MORE,
    FLAG_PACKED,
    GOAWAY,
    ITEM,
    ITEM_COST,
    OPEN,
    OPEN_HEAD,
    Ending,
    decode_ending,
    decode_goaway,
)
from tests.rpcnet.scripted import WINDOW, Scripted, client_of, hello, run


def items(transport: Scripted) -> list[tuple[int, int]]:
    """Stream and bytes of each ITEM."""
    return [(stream, len(payload)) for kind, _, stream, payload in transport.frames if kind == ITEM]


def test_each_credit_restarts_the_clock_of_who_waits_to_write() -> None:
    """A slow reader moves, although what it reads is not enough for the whole part yet."""

    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        async with client.call_streaming("up", idle_timeout=1.0) as stream:
            await stream.send(bytes(WINDOW - 2 * ITEM_COST))
            waits = asyncio.ensure_future(stream.send(bytes(900)))
            for _ in range(5):
                await asyncio.sleep(0.8)
                assert not waits.done()
                transport().say(writer.credit(1, 100))
            transport().say(writer.credit(1, 900))
            await waits
            silent = asyncio.ensure_future(stream.send(bytes(WINDOW)))
            with pytest.raises(StreamError.Timeout):
                await silent
        await client.close()

    run(main())


def test_credit_of_the_stream_counts_also_while_the_connection_has_none() -> None:
    async def main() -> None:
        client, transport = client_of(hello(connection_window_bytes=WINDOW))
        await client.open()
        async with client.call_streaming("up", idle_timeout=1.0) as stream:
            await stream.send(bytes(WINDOW - 2 * ITEM_COST))
            transport().say(writer.credit(1, WINDOW))
            waits = asyncio.ensure_future(stream.send(bytes(900)))
            for _ in range(5):
                await asyncio.sleep(0.8)
                assert not waits.done(), "its handler reads; others may have taken the connection's credit"
                transport().say(writer.credit(1, 10))
            with pytest.raises(StreamError.Timeout, match="granted the connection no credit"):
                await waits
        await client.close()

    run(main())


def test_a_wait_that_is_over_has_no_clock() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        async with client.call_streaming("up", idle_timeout=1.0) as stream:
            await stream.send(bytes(WINDOW - ITEM_COST))
            for _ in range(2):
                waits = asyncio.ensure_future(stream.send(b"x"))
                await asyncio.sleep(0.5)
                transport().say(writer.credit(1, ITEM_COST + 1))
                await waits
                await asyncio.sleep(5)
        await client.close()

    run(main())


@pytest.mark.parametrize("granted", [0, ITEM_COST + 100, 900])
def test_who_waits_for_stream_credit_is_told_so(granted: int) -> None:
    """Also where the connection has little left, since a little would do."""

    async def main() -> None:
        client, transport = client_of(hello(connection_window_bytes=WINDOW))
        await client.open()
        async with client.call_streaming("other") as other, client.call_streaming("up", idle_timeout=1.0) as stream:
            await stream.send(bytes(WINDOW - ITEM_COST))
            transport().say(writer.credit(0, WINDOW))
            await other.send(bytes(WINDOW - 1000 - ITEM_COST))
            if granted:
                transport().say(writer.credit(2, granted))
            with pytest.raises(StreamError.Timeout, match=r"granted call 'up' no credit .* its handler does not read"):
                await stream.send(bytes(granted or 100))
        await client.close()

    run(main())


@pytest.mark.parametrize(("stream_window", "connection_window"), [(1 << 16, WINDOW), (WINDOW, 1 << 16), (1500, 1600)])
def test_no_part_is_larger_than_what_was_granted(stream_window: int, connection_window: int) -> None:
    async def main() -> None:
        client, transport = client_of(
            hello(stream_window_bytes=stream_window, connection_window_bytes=connection_window)
        )
        await client.open()
        stream = client.call_streaming("up")
        sent = asyncio.ensure_future(stream.send(bytes(20_000)))
        granted = {0: connection_window, 1: stream_window}
        while not sent.done():
            await asyncio.sleep(0.001)
            used = sum(size + ITEM_COST for _, size in items(transport()))
            assert used <= min(granted.values())
            for number, amount in granted.items():
                if amount - used < 1500:
                    granted[number] += 777
                    transport().say(writer.credit(number, 777))
        await sent
        assert sum(size for _, size in items(transport())) == 20_000
        stream.abort()
        await client.close()

    run(main())


def tasks_of_calls() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("rpcnet call")]


def test_items_that_wait_are_closed_when_the_call_ends() -> None:
    async def main() -> None:
        closed = []

        async def items() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                await asyncio.Event().wait()
            finally:
                closed.append(True)

        client, transport = client_of(hello())
        await client.open()
        stream = client.call_streaming("up", items())
        await asyncio.sleep(0.001)
        assert tasks_of_calls() == ["rpcnet call up"]
        transport().say(writer.item(1, FLAG_END, b"answer"))
        await asyncio.sleep(0.001)
        assert closed == [True]
        assert tasks_of_calls() == []
        assert [item async for item in stream] == [b"answer"]
        await client.close()

    run(main())


def test_items_that_end_the_process_end_their_call_first() -> None:
    async def main() -> None:
        def items() -> Iterator[bytes]:
            yield b"first"
            raise GeneratorExit

        client, transport = client_of(hello())
        await client.open()
        stream = client.call_streaming("up", items())
        pump = stream._call.pump
        assert pump is not None
        await asyncio.wait([pump])
        assert isinstance(pump.exception(), GeneratorExit)
        assert CANCEL in transport().kinds()
        with pytest.raises(Cancelled, match="its items ended the process"):
            await stream.receive()
        await client.close()

    run(main())


def test_an_interceptor_that_ends_the_process_ends_its_stream_first() -> None:
    async def main() -> None:
        async def through(call: InterceptedCall, proceed: Proceed) -> Any:
            raise GeneratorExit

        client, _ = client_of(hello(), interceptors=[through])
        await client.open()
        stream = client.call_streaming("up")
        opener = stream._call.opener
        assert opener is not None
        with pytest.raises(Cancelled, match="its interceptors ended before it"):
            await stream.receive()
        assert isinstance(opener.exception(), GeneratorExit)
        await client.close()

    run(main())


def test_an_interceptor_that_ends_before_its_stream_lets_go_of_it() -> None:
    async def main() -> None:
        async def through(call: InterceptedCall, proceed: Proceed) -> Any:
            proceeding.append(asyncio.ensure_future(proceed()))
            await asyncio.sleep(1)

        proceeding: list[asyncio.Future[Any]] = []
        client, transport = client_of(hello(), interceptors=[through])
        await client.open()
        stream = client.call_streaming("up")
        with pytest.raises(StopAsyncIteration):
            await stream.receive()  # their outcome, nothing, is the outcome of the call
        assert transport().kinds()[-1] == CANCEL
        await asyncio.wait(proceeding)
        assert isinstance(proceeding[0].exception(), Cancelled)
        await client.close()

    run(main())


def test_an_item_of_a_wrong_type_is_told_once() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        stream = client.call_server_streaming("x", response=int)
        transport().say(writer.item(1, FLAG_PACKED, b"\xa1x"), writer.item(1, 0, b""))
        with pytest.raises(Internal, match="does not fit its type"):
            await stream.receive()
        with pytest.raises(StopAsyncIteration):
            await stream.receive()
        await client.close()

    run(main())


def test_a_stream_that_was_ended_ends_once() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        async with client.call_streaming("up") as stream:
            await stream.send(b"last")
            for _ in range(3):
                await stream.end()
            with pytest.raises(StreamError, match=r"it was ended with end\(\)"):
                await stream.send(b"late")
            await asyncio.sleep(0.001)
            assert transport().kinds().count(END) == 1
        await client.close()

    run(main())


@pytest.mark.parametrize("name", ["call_server_streaming", "call_streaming"])
def test_an_answer_of_no_type_opens_no_stream(name: str) -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        with pytest.raises(TypeError):
            getattr(client, name)("x", response=asyncio.Future[set[list[int]]] | int)
        await asyncio.sleep(0.001)
        assert OPEN not in transport().kinds()
        assert client.stats.open_streams == 0
        await client.close()

    run(main())


def test_a_late_call_leaves_no_task_that_connects_for_it() -> None:
    async def main() -> None:
        async def join(_: Any) -> None:
            await asyncio.Event().wait()

        client = RpcClient("unix:scripted", open_transport=join)
        call = asyncio.ensure_future(client.call("late", timeout=1.0))
        await asyncio.sleep(0.5)
        assert tasks_of_calls() == ["rpcnet call late"]
        with pytest.raises(DeadlineExceeded):
            await call
        await asyncio.sleep(0.001)
        assert tasks_of_calls() == []
        await client.close()

    run(main())


def test_two_senders_of_one_stream_do_not_mix_their_parts() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        stream = client.call_streaming("up")
        sends = [asyncio.ensure_future(stream.send(bytes([mark]) * 6000)) for mark in b"ab"]
        for _ in range(20):
            await asyncio.sleep(0.001)
            transport().say(writer.credit(1, 1200))
        await asyncio.gather(*sends)
        parts = [(flags, payload[:1]) for kind, flags, _, payload in transport().frames if kind == ITEM]
        assert [mark for _, mark in parts] == sorted(mark for _, mark in parts)
        assert [flags for flags, _ in parts].count(0) == 2
        assert all(flags in (0, FLAG_MORE) for flags, _ in parts)
        stream.abort()
        await client.close()

    run(main())


def test_the_quick_way_is_open_again_after_parts_went() -> None:
    """While one sender waits the others queue; afterwards an item goes at once again, also on another connection."""

    async def main() -> None:
        client, transport = client_of(hello(stream_window_bytes=1 << 16, connection_window_bytes=1 << 14))
        await client.open()
        stream = client.call_streaming("up")
        call = stream._call
        first = transport()
        sends = [asyncio.ensure_future(stream.send(bytes(12_000))) for _ in range(3)]
        await asyncio.sleep(0.001)
        assert call._lock is not None
        first.say(writer.credit(0, 1 << 16))
        await asyncio.gather(*sends)
        assert call._lock is None
        first.say(writer.goaway(0, 0, "restart"))
        await asyncio.sleep(1)
        assert transport() is not first
        assert call._lock is not None
        transport().say(writer.credit(0, 1 << 16))
        await asyncio.sleep(0.001)
        assert sum(size for _, size in items(transport())) == 36_000
        assert call._lock is None
        stream.abort()
        await client.close()

    run(main())


async def answered(*frames: bytes, config: RpcConfig | None = None) -> tuple[RpcError, Scripted]:
    """What a unary call raises that is answered with these frames."""
    client, transport = client_of(hello(), config)
    await client.open()
    call = asyncio.ensure_future(client.call("u", b"x"))
    await asyncio.sleep(0.001)
    transport().say(*frames)
    with pytest.raises(RpcError) as caught:
        await call
    assert client.stats.queued_bytes == 0
    await client.close()
    return caught.value, transport()


def test_a_second_answer_to_a_unary_call_is_an_error() -> None:
    async def main() -> None:
        error, transport = await answered(writer.item(1, 0, b"a"), writer.item(1, 0, b"b"))
        assert isinstance(error, Internal)
        assert "answered twice" in error.message
        assert CANCEL in transport.kinds()

    run(main())


def test_an_answer_larger_than_the_window_breaks_the_connection() -> None:
    async def main() -> None:
        config = RpcConfig(stream_window_bytes=2048, max_streams=4)
        error, transport = await answered(writer.item(1, FLAG_END, bytes(2000)), config=config)
        assert isinstance(error, Unavailable)
        (text,) = [decode_goaway(payload)[2] for kind, _, _, payload in transport.frames if kind == GOAWAY]
        assert "2064 bytes with 2048 bytes of credit left" in text

    run(main())


@pytest.mark.parametrize("size", [10, 200])
def test_a_last_item_that_crosses_a_cancel_frees_the_place(size: int) -> None:
    """From a server that ends a stream with its last item, which ours does not."""

    async def main() -> None:
        client, transport = client_of(hello(), RpcConfig(max_message_bytes=100))
        await client.open()
        for number in (1, 2, 3):
            stream = client.call_streaming("chat")
            await asyncio.sleep(0.001)
            stream.abort()
            transport().say(writer.item(number, FLAG_END, bytes(size)))
        assert client.stats.running_handlers == 0
        assert client.stats.queued_bytes == 0
        await client.close()

    run(main())


@pytest.mark.parametrize(
    "frames",
    [
        [writer.item(1, FLAG_END, bytes(200))],
        [writer.item(1, FLAG_MORE, bytes(90)), writer.item(1, FLAG_END, bytes(90))],
    ],
)
@pytest.mark.parametrize("shape", ["unary", "server_streaming"])
def test_a_last_item_above_the_limit_frees_the_place(shape: str, frames: list[bytes]) -> None:
    async def main() -> None:
        client, transport = client_of(hello(), RpcConfig(max_message_bytes=100))
        await client.open()
        stream = client.call_server_streaming("down") if shape == "server_streaming" else None
        answer = asyncio.ensure_future(client.call("u", timeout=5) if stream is None else stream.receive())
        await asyncio.sleep(0.001)
        transport().say(*frames)
        with pytest.raises(ResourceExhausted, match="max_message_bytes"):
            await answer
        assert client.stats.running_handlers == 0
        assert client.stats.queued_bytes == 0
        await client.close()

    run(main())


def test_an_item_above_the_limit_is_told_whatever_the_handler_does() -> None:
    """Also by a handler that ignores its cancellation, and reads on until it gets the error itself."""

    async def up(items: AsyncIterator[bytes]) -> bytes:
        while True:
            try:
                async for _ in items:
                    pass
            except asyncio.CancelledError:
                continue

    async def main() -> None:
        server = RpcServer("unix:scripted", config=RpcConfig(max_message_bytes=100))
        server.register_streaming("up", up, shape="client_streaming")
        server.begin()
        transport = Scripted(server.accept())
        transport.say(writer.greeting(hello()), writer.open_call(1, 0, 1, b"up", b"", 0, b""))
        await asyncio.sleep(0.001)
        transport.say(writer.item(1, 0, bytes(200)))
        await asyncio.sleep(0.001)
        (end,) = [decode_ending(payload) for kind, _, _, payload in transport.frames if kind == END]
        assert end.status == Status.RESOURCE_EXHAUSTED
        assert "max_message_bytes (100)" in end.message
        await server.stop()

    run(main())


def test_an_error_of_a_unary_call_is_no_error_of_a_stream() -> None:
    async def main() -> None:
        error, _ = await answered(writer.end(1, Ending(5, "no such worker", b"d", {})))
        assert type(error) is NotFound
        assert not isinstance(error, StreamError)

    run(main())


def test_leaving_the_block_of_a_bidirectional_stream_cancels_its_call() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        async with BidirectionalStream[bytes]() as both:
            answers = client.call_streaming("chat", both)
            await asyncio.sleep(0.001)
            assert CANCEL not in transport().kinds()
        await asyncio.sleep(0.001)
        assert CANCEL in transport().kinds()
        del answers
        await client.close()

    run(main())


# What fits exactly. A byte more waits, or goes in parts.


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        pytest.param({}, WINDOW - ITEM_COST, id="credit of the stream"),
        pytest.param({"connection_window_bytes": 2000}, 2000 - ITEM_COST, id="credit of the connection"),
        pytest.param({"max_message_bytes": 1000}, 1000, id="max_message_bytes"),
        pytest.param({"max_frame_bytes": 1500}, 1500 - OPEN_HEAD.size - len("echo"), id="max_frame_bytes"),
    ],
)
@pytest.mark.parametrize("more", [0, 1])
def test_a_request_that_just_fits_goes_along_with_open(limits: dict[str, int], most: int, more: int) -> None:
    async def main() -> None:
        client, transport = client_of(hello(**limits))
        await client.open()
        call = asyncio.ensure_future(client.call("echo", bytes(most + more)))
        await asyncio.sleep(0.001)
        (flags,) = [flags for kind, flags, *_ in transport().frames if kind == OPEN]
        assert flags == (0 if more else FLAG_ITEM | FLAG_END)
        call.cancel()
        await asyncio.wait([call])
        await client.close()

    run(main())


@pytest.mark.parametrize("more", [0, 1])
def test_an_item_of_just_the_credit_leaves_at_once(more: int) -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        async with client.call_streaming("up") as stream:
            sending = stream.send(bytes(WINDOW - ITEM_COST + more))
            if more:
                sending.send(None)  # it waits for credit
                assert items(transport()) == []
                sending.close()
            else:
                with pytest.raises(StopIteration):
                    sending.send(None)
        await client.close()

    run(main())


def test_the_half_close_needs_no_credit() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        async with client.call_streaming("up") as stream:
            await stream.send(bytes(WINDOW - ITEM_COST))
            await stream.end()
            await asyncio.sleep(0.001)
            assert transport().kinds()[-2:] == [ITEM, END]
        await client.close()

    run(main())


def test_what_comes_with_a_call_is_empty_before_it_comes() -> None:
    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        async with client.call_streaming("up") as stream:
            assert (stream.metadata, stream.trailers) == ({}, {})
            transport().say(writer.end(1, Ending(trailers={"k": "v"})))
            assert stream.trailers == {"k": "v"}
        await client.close()

    run(main())


def test_a_silent_peer_is_named_by_its_address() -> None:
    async def main() -> None:
        client, _ = client_of(hello())
        await client.open()
        async with client.call_streaming("up", idle_timeout=1.0) as stream:
            with pytest.raises(StreamError.Timeout, match=r"^scripted:1 was silent for idle_timeout"):
                await anext(stream)
        await client.close()

    run(main())


def test_the_first_item_says_that_no_metadata_comes() -> None:
    """Whoever awaits the metadata goes on with it, though the handler has not ended."""

    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        async with client.call_streaming("up") as stream:
            waits = asyncio.ensure_future(asyncio.wait_for(stream.metadata, 5))  # type: ignore[arg-type]
            await asyncio.sleep(1)
            assert not waits.done()
            transport().say(writer.item(1, 0, b"x"))
            assert await waits == {}
            assert await stream.receive() == b"x"
        await client.close()

    run(main())


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize("shape", ["call", "call_server_streaming"])
def test_a_message_may_be_as_large_as_the_limit(shape: str, more: int) -> None:
    async def main() -> None:
        client, transport = client_of(hello(), RpcConfig(max_message_bytes=1000))
        await client.open()
        stream = client.call_server_streaming("x")
        call = asyncio.ensure_future(client.call("x") if shape == "call" else anext(stream))
        await asyncio.sleep(0.001)
        number = 2 if shape == "call" else 1
        transport().say(writer.item(number, FLAG_END, bytes(1000 + more)))
        if more:
            with pytest.raises(ResourceExhausted, match=r"max_message_bytes \(1000\)"):
                await call
        else:
            assert await call == bytes(1000)
        del stream
        await client.close()

    run(main())
