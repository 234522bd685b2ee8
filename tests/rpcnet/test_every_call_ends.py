"""Every call ends once, in time and truthfully: situations that the chaos player (tests/rpcnet/chaos/) has found."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import sim
from rpcnet import (
    BidirectionalStream,
    Cancelled,
    DeadlineExceeded,
    InvalidArgument,
    RpcClient,
    RpcConfig,
    RpcServer,
    StreamError,
    Unavailable,
)


def register(server: RpcServer) -> None:
    async def wait(payload: bytes) -> bytes:
        await asyncio.Event().wait()
        return payload

    async def three(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Three answers, whatever the caller goes on to send."""
        await anext(items, b"")
        for answer in (b"1", b"2", b"3"):
            yield answer

    async def at_once(items: AsyncIterator[bytes]) -> bytes:
        return b"answer"

    server.register("wait", wait)
    server.register_streaming("at_once", at_once, shape="client_streaming")
    server.register_streaming("three", three)


ONE_PLACE = RpcConfig(max_streams=1)


@pytest.mark.parametrize("form", ["unary", "stream"])
@pytest.mark.parametrize("turns", [0, 3])
def test_closing_the_client_ends_calls_without_a_place(world, pair, form, turns) -> None:
    async def main() -> None:
        async with pair(register, ONE_PLACE) as (_, client):
            first = asyncio.create_task(client.call("wait"))
            await asyncio.sleep(0.05)
            waiting: asyncio.Task[Any]
            if form == "unary":
                waiting = asyncio.create_task(client.call("wait"))
            else:
                waiting = asyncio.create_task(anext(client.call_streaming("three", [])))
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.sleep(0)
            await client.close()
            for task in (first, waiting):
                with pytest.raises(Cancelled, match="the client was closed"):
                    await asyncio.wait_for(task, 5)

    world.run(main())


@pytest.mark.parametrize("form", ["generator", "stream"])
def test_unread_answers_are_kept_when_the_sender_is_stopped(world, pair, form) -> None:
    """The handler ends in order while the caller still has items to send: those are stopped, what came is read."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.02)

    async def main() -> None:
        async with pair(register) as (_, client):
            given: Any = endless()
            if form == "stream":
                given = BidirectionalStream[bytes](buffer=1)
                await given.sender.send(b"x")
            answers = []
            async with client.call_streaming("three", given) as stream:
                async for answer in stream:
                    answers.append(answer)
                    await asyncio.sleep(0.05)
            assert answers == [b"1", b"2", b"3"]

    world.run(main())


def test_abort_with_unread_items_is_no_plain_end(world, pair) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            stream = client.call_streaming("three", [])
            assert await stream.receive() == b"1"
            await asyncio.sleep(0.05)  # all has come, and the call is over
            stream.abort()
            with pytest.raises(Cancelled):
                await stream.receive()
            with pytest.raises(StopAsyncIteration):
                await stream.receive()

    world.run(main())


def test_no_time_ends_a_call_without_a_place_at_once(world, pair) -> None:
    async def main() -> None:
        async with pair(register, ONE_PLACE) as (_, client):
            first = asyncio.create_task(client.call("wait"))
            await asyncio.sleep(0.05)
            second = asyncio.create_task(client.call("wait", timeout=-10.0))
            for _ in range(10):
                await asyncio.sleep(0)
            assert second.done()
            with pytest.raises(DeadlineExceeded, match="no time left"):
                await second
            first.cancel()
            await asyncio.wait([first])

    world.run(main())


def test_idle_timeout_of_zero_runs_no_handler(world, pair) -> None:
    """Also where nothing is awaited of the peer, as the caller's own items are."""

    async def slow() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.1)
        yield b"x"

    async def main() -> None:
        async with pair(register) as (_, client):
            with pytest.raises(StreamError.Timeout):
                await client.call_client_streaming("at_once", slow(), idle_timeout=0)

    world.run(main())


def test_idle_text_names_a_connection_that_takes_no_bytes(world, pair) -> None:
    """Not the handler, which is not to blame."""

    async def main() -> None:
        async with pair(register) as (_, client):
            await client.call_client_streaming("at_once", [])
            connection = client._dialer.connection
            async with client.call_streaming("three", idle_timeout=0.05) as stream:
                connection.pause_writing()  # as the transport does whose buffer is full
                with pytest.raises(StreamError.Timeout, match="took no bytes over the connection"):
                    await stream.send(b"x")
            connection.resume_writing()

    world.run(main())


def test_writes_in_the_turn_of_a_reset_log_nothing(world, pair, caplog) -> None:
    """asyncio logs each write to a transport that is lost, from the fifth on."""

    async def main() -> None:
        async with pair(register) as (_, client):
            await client.call_client_streaming("at_once", [])
            connection = client._dialer.connection
            transport = connection.transport
            transport.abort()  # as when a write finds that the peer has reset it
            for _ in range(20):
                connection.write(bytes(100_000))
            await connection.lost
        assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []

    world.run(main())


def test_handler_that_outlives_a_stop_is_not_counted_after_a_restart(caplog) -> None:
    """Else the count falls below zero when it ends, and the next stop waits for it to be zero for ever."""

    async def main() -> None:
        over = asyncio.Event()

        async def stubborn(payload: bytes) -> bytes:
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError:
                    pass
            return payload

        server = RpcServer("127.0.0.1:0")
        server.register("stubborn", stubborn)
        await server.start()
        async with RpcClient.connect(server.address) as client:
            call = asyncio.create_task(client.call("stubborn"))
            await asyncio.sleep(0.05)
            await server.stop(grace=0.0)
            with pytest.raises(Unavailable):
                await call
        async with server:
            over.set()
            await asyncio.sleep(0.05)
            assert server.stats.running_handlers == 0
            async with RpcClient.connect(server.address) as client:
                assert await client.call("stubborn", b"x") == b"x"

    sim.run(asyncio.wait_for(main(), 60))
    assert "goes on although it was cancelled" in caplog.text


class Shouting(str):
    """Text whose own methods fail."""

    def encode(self, *args: Any) -> bytes:
        raise ZeroDivisionError


@pytest.mark.parametrize("form", ["unary", "stream"])
@pytest.mark.parametrize("name", [None, 5, b"three"])
def test_bad_name_of_a_method_ends_a_call_without_a_place(world, pair, form, name) -> None:
    async def main() -> None:
        """A bad call behind one that ends: it comes to its turn, and to its end."""
        async with pair(register, ONE_PLACE) as (_, client):
            stream = client.call_streaming("three", [])
            call = client.call(name) if form == "unary" else anext(client.call_streaming(name, []))
            waiting = asyncio.ensure_future(call)
            assert len([item async for item in stream]) == 3
            with pytest.raises(InvalidArgument, match="method name must be text"):
                async with asyncio.timeout(5):
                    await waiting

    world.run(main())


def test_longest_timeout_is_taken_by_a_call_without_a_place(world, pair) -> None:
    async def main() -> None:
        async with pair(register, ONE_PLACE) as (_, client):
            stream = client.call_streaming("three", [])
            waiting = asyncio.create_task(client.call_client_streaming("at_once", [], timeout=1.7e308))
            assert len([item async for item in stream]) == 3
            async with asyncio.timeout(5):
                assert await waiting == b"answer"

    world.run(main())


def test_text_of_a_class_of_ones_own_is_sent_as_it_is(world, pair) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            metadata = {Shouting("a"): Shouting("b")}
            assert await client.call_client_streaming(Shouting("at_once"), [], metadata=metadata) == b"answer"

    world.run(main())
