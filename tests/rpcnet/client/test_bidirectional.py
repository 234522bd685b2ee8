"""A BidirectionalStream: its buffer is bounded, and its sender hears why the call is over, as the reader does."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rpcnet import (
    BidirectionalStream,
    Cancelled,
    FailedPrecondition,
    NotFound,
    RpcServer,
    StreamError,
    StreamTransportError,
)
from rpcnet.wire.frame import CANCEL
from tests.rpcnet.scripted import client_of, hello


async def refuse(numbers: AsyncIterator[int]) -> AsyncIterator[int]:
    async for number in numbers:
        raise NotFound(f"no number {number}", details=b"why")
        yield number


async def one(numbers: AsyncIterator[int]) -> AsyncIterator[int]:
    async for number in numbers:
        yield number
        return


async def silent(numbers: AsyncIterator[int]) -> AsyncIterator[int]:
    async for _ in numbers:
        await asyncio.Event().wait()
        yield 0


def methods(server: RpcServer) -> None:
    for method in (refuse, one, silent):
        server.register_typed(method.__name__, method)


@pytest.mark.parametrize("buffer", [1, 3])
def test_a_sender_waits_while_the_buffer_is_full(world: Any, buffer: int) -> None:
    async def main() -> None:
        async with BidirectionalStream[int](buffer=buffer) as both:
            sent: list[int] = []

            async def send() -> None:
                for number in range(5):
                    await both.sender.send(number)
                    sent.append(number)
                both.sender.close()

            sending = asyncio.create_task(send())
            await asyncio.sleep(0.01)
            assert len(sent) == buffer
            assert await anext(both.stream) == 0
            await asyncio.sleep(0.01)
            assert len(sent) == buffer + 1
            assert [item async for item in both.stream] == [1, 2, 3, 4]
            await sending

    world.run(main())


def test_senders_that_give_up_leave_nothing_in_the_buffer(world: Any) -> None:
    async def main() -> None:
        both = BidirectionalStream[int](buffer=1)
        await both.sender.send(0)
        for number in range(100):
            sending = asyncio.ensure_future(both.sender.send(number))
            await asyncio.sleep(0)
            sending.cancel()
            if number == 50:
                both.sender._channel.wake()  # in the very turn in which one gives up
            await asyncio.wait([sending])
            assert sending.cancelled()
        assert len(both._channel._changed) == 0

    world.run(main())


@pytest.mark.parametrize("buffer", [0, -1])
def test_a_buffer_that_holds_nothing_is_refused(buffer: int) -> None:
    with pytest.raises(ValueError, match="buffer must be at least 1"):
        BidirectionalStream[int](buffer=buffer)


@pytest.mark.parametrize("buffer", [float("nan"), 1.5, "3", None, True])
def test_a_buffer_that_is_no_count_is_refused(buffer: Any) -> None:
    with pytest.raises(TypeError, match="buffer is a number of items"):
        BidirectionalStream[int](buffer=buffer)


async def send_until_it_fails(both: BidirectionalStream[int]) -> StreamError:
    while True:
        try:
            await both.sender.send(1)
        except StreamError as error:
            return error


def test_a_sender_hears_what_the_handler_raised(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(methods) as (_, client), BidirectionalStream[int]() as both:
            answers = client.call_streaming("refuse", both, response=int)
            error = await send_until_it_fails(both)
            assert isinstance(error, NotFound) and isinstance(error, StreamError.Application)
            assert (error.message, error.payload) == ("no number 1", b"why")
            assert await send_until_it_fails(both) is not error, "an error that is kept holds frames alive"
            with pytest.raises(NotFound):
                await answers.receive()

    world.run(main())


def test_a_sender_hears_that_the_connection_was_cut(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(methods) as (server, client), BidirectionalStream[int]() as both:
            answers = client.call_streaming("silent", both, response=int)
            await both.sender.send(1)
            await server.stop(grace=0)
            error = await send_until_it_fails(both)
            assert isinstance(error, StreamTransportError) and error.cause.message
            with pytest.raises(StreamError.Transport):
                await answers.receive()

    world.run(main())


def test_a_sender_hears_that_the_peer_was_silent(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(methods) as (_, client), BidirectionalStream[int]() as both:
            answers = client.call_streaming("silent", both, response=int, idle_timeout=0.1)
            sending = asyncio.create_task(send_until_it_fails(both))
            with pytest.raises(StreamError.Timeout):
                await answers.receive()
            assert isinstance(await sending, StreamError.Timeout)

    world.run(main())


def test_a_sender_after_the_end_is_told_so(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(methods) as (_, client), BidirectionalStream[int]() as both:
            answers = client.call_streaming("one", both, response=int)
            await both.sender.send(1)
            assert [answer async for answer in answers] == [1]
            error = await send_until_it_fails(both)
            assert isinstance(error, FailedPrecondition) and "the server has ended it" in error.message

    world.run(main())


@pytest.mark.parametrize("end", ["the call", "the stream"])
def test_a_sender_hears_of_an_abort_at_its_own_end(world: Any, pair: Any, end: str) -> None:
    async def main() -> None:
        async with pair(methods) as (_, client), BidirectionalStream[int]() as both:
            answers = client.call_streaming("silent", both, response=int)
            await both.sender.send(1)
            (answers if end == "the call" else both).abort()
            error = await send_until_it_fails(both)
            assert isinstance(error, Cancelled) and "aborted at this end" in error.message

    world.run(main())


@pytest.mark.parametrize("turns", [0, 20])
def test_a_stream_dropped_in_another_thread_ends_its_call(turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing of it has been awaited yet. Its call is ended by the thread of the loop alone."""
    threads: list[int] = []

    async def main() -> None:
        client, transport = client_of(hello())
        await client.open()
        write = transport().write
        monkeypatch.setattr(transport(), "write", lambda data: (threads.append(threading.get_ident()), write(data)))
        held = [BidirectionalStream[bytes]()]
        answers = client.call_streaming("chat", held[0])
        for _ in range(turns):
            await asyncio.sleep(0)
        dropping = threading.Thread(target=held.clear)
        dropping.start()
        dropping.join()
        with pytest.raises(StreamError, match="aborted"):
            await anext(answers)
        assert transport().kinds()[-1] == CANCEL
        assert set(threads) == {threading.get_ident()}
        await client.close()

    asyncio.run(main(), debug=True)
