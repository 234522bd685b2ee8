"""A drop is an abort: whatever a caller lets go of is cancelled at the peer's handler, and everything comes back."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest

from rpcnet import BidirectionalStream, RpcClient, RpcServer, StreamError


class Watched:
    """Handlers that never end by themselves and note how they did."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = 0
        self.finished = 0

    def register(self, server: RpcServer) -> None:
        server.register("wait", self.wait)
        server.register_streaming("count", self.count, shape="server_streaming")
        server.register_streaming("swallow", self.swallow, shape="client_streaming")
        server.register_streaming("chat", self.chat)
        server.register_streaming("flood", self.flood, shape="server_streaming")

    async def wait(self, payload: bytes) -> bytes:
        with self._noted():
            await asyncio.Event().wait()
        return payload

    async def count(self, payload: bytes) -> AsyncIterator[bytes]:
        with self._noted():
            while True:
                yield payload
                await asyncio.sleep(0.01)

    async def flood(self, payload: bytes) -> AsyncIterator[bytes]:
        with self._noted():
            while True:
                yield bytes(10_000)

    async def swallow(self, items: AsyncIterator[bytes]) -> bytes:
        with self._noted():
            async for _ in items:
                pass
        return b""

    async def chat(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        with self._noted():
            async for item in items:
                yield item

    def _noted(self) -> "Noted":
        return Noted(self)


class Noted:
    def __init__(self, watched: Watched) -> None:
        self.watched = watched

    def __enter__(self) -> None:
        self.watched.started.set()

    def __exit__(self, kind, error, trace) -> None:
        self.watched.cancelled += kind is asyncio.CancelledError
        self.watched.finished += 1


async def leave_the_block(client: RpcClient, watched: Watched) -> None:
    async with client.call_server_streaming("count") as stream:
        await stream.receive()


async def leave_the_block_of_a_flood(client: RpcClient, watched: Watched) -> None:
    async with client.call_server_streaming("flood") as stream:
        await stream.receive()
        await asyncio.sleep(0.05)


async def abort(client: RpcClient, watched: Watched) -> None:
    stream = client.call_streaming("chat")
    await stream.send(b"x")
    await stream.receive()
    stream.abort()
    stream.abort()
    with pytest.raises(StreamError.Application):
        await stream.receive()
    with pytest.raises(StopAsyncIteration):
        await stream.receive()


async def _cancel(coroutine, watched: Watched) -> None:
    task = asyncio.create_task(coroutine)
    await watched.started.wait()
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancel_a_reader(client: RpcClient, watched: Watched) -> None:
    async def read() -> None:
        stream = client.call_server_streaming("count")
        async for _ in stream:
            pass

    await _cancel(read(), watched)


async def cancel_a_writer(client: RpcClient, watched: Watched) -> None:
    async def write() -> None:
        async with client.call_streaming("chat") as stream:
            while True:
                await stream.send(bytes(50_000))

    await _cancel(write(), watched)


async def cancel_a_unary_call(client: RpcClient, watched: Watched) -> None:
    await _cancel(client.call("wait"), watched)


async def cancel_an_upload(client: RpcClient, watched: Watched) -> None:
    closed = asyncio.Event()

    async def items() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.01)
        finally:
            closed.set()

    await _cancel(client.call_client_streaming("swallow", items()), watched)
    await closed.wait()


async def raise_in_the_block(client: RpcClient, watched: Watched) -> None:
    async def fall_over() -> None:
        async with client.call_streaming("chat") as stream:
            await stream.send(b"x")
            await stream.receive()
            raise LookupError

    with pytest.raises(LookupError):
        await fall_over()


async def items_that_raise(client: RpcClient, watched: Watched) -> None:
    async def items() -> AsyncIterator[bytes]:
        yield b"x"
        await watched.started.wait()
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        await client.call_client_streaming("swallow", items())


async def break_out_of_an_unnamed_stream(client: RpcClient, watched: Watched) -> None:
    async for _ in client.call_server_streaming("count"):
        break


async def lose_the_last_reference(client: RpcClient, watched: Watched) -> None:
    stream = client.call_server_streaming("count")
    await stream.receive()
    del stream


async def drop_a_bidirectional_stream(client: RpcClient, watched: Watched) -> None:
    questions = BidirectionalStream[bytes]()
    sender, stream = questions.sender, questions.stream
    answers = client.call_streaming("chat", stream)
    await sender.send(b"x")
    await anext(answers)
    del questions
    with pytest.raises(StreamError):
        await sender.send(b"y")
    with pytest.raises(StreamError):
        await anext(answers)


async def outrun_a_deadline(client: RpcClient, watched: Watched) -> None:
    with pytest.raises(TimeoutError):
        await client.call("wait", timeout=0.05)


async def outrun_the_deadline_of_a_stream(client: RpcClient, watched: Watched) -> None:
    stream = client.call_server_streaming("count", timeout=0.05)
    with pytest.raises(StreamError.Application) as caught:
        async for _ in stream:
            pass
    assert caught.value.code.name == "DEADLINE_EXCEEDED"


async def time_out(client: RpcClient, watched: Watched) -> None:
    async with client.call_streaming_with_timeout("chat", None, 0.05) as stream:
        with pytest.raises(StreamError.Timeout):
            await stream.receive()


async def cut_the_connection(client: RpcClient, watched: Watched) -> None:
    stream = client.call_server_streaming("count")
    await stream.receive()
    assert client._dialer.connection is not None and client._dialer.connection.transport is not None
    client._dialer.connection.transport.abort()
    with pytest.raises(StreamError.Transport):
        async for _ in stream:
            pass


async def close_the_client(client: RpcClient, watched: Watched) -> None:
    stream = client.call_server_streaming("count")
    await stream.receive()
    await client.close()
    with pytest.raises(StreamError):
        async for _ in stream:
            pass


WAYS = [
    leave_the_block,
    leave_the_block_of_a_flood,
    abort,
    cancel_a_reader,
    cancel_a_writer,
    cancel_a_unary_call,
    cancel_an_upload,
    raise_in_the_block,
    items_that_raise,
    break_out_of_an_unnamed_stream,
    lose_the_last_reference,
    drop_a_bidirectional_stream,
    outrun_a_deadline,
    outrun_the_deadline_of_a_stream,
    time_out,
    cut_the_connection,
    close_the_client,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_letting_go_cancels_the_handler(world, pair, idle, eventually, way) -> None:
    async def main() -> None:
        watched = Watched()
        async with pair(watched.register) as (server, client):
            await way(client, watched)
            # Far below the 40 s in which the keepalive would find it.
            await eventually(lambda: watched.finished == 1, seconds=1.0)
            assert watched.cancelled == 1
            await idle(server, client)

    world.run(main())


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_what_was_let_go_returns_its_credit(world, pair, idle, way) -> None:
    if way in (cut_the_connection, close_the_client):
        pytest.skip("the connection and its credit are gone")

    async def main() -> None:
        watched = Watched()
        async with pair(watched.register) as (server, client):
            for _ in range(3):
                watched.started.clear()
                await way(client, watched)
                await idle(server, client)
            connection = client._dialer.connection
            assert connection is not None
            (served,) = server._connections
            for here, there in ((connection, served), (served, connection)):
                assert here.receive_credit.held == 0
                assert here.credit == there.receive_credit.allowed

    world.run(main())


def test_no_reference_cycle_keeps_a_stream_alive(world, pair, idle) -> None:
    async def main() -> None:
        watched = Watched()
        async with pair(watched.register) as (server, client):
            gc.collect()
            gc.disable()
            try:
                stream = client.call_streaming("chat")
                await stream.send(b"x")
                await stream.receive()
                alive = weakref.ref(stream)
                del stream
                assert alive() is None
                await idle(server, client)
                failing = client.call_streaming_with_timeout("chat", None, 0.02)
                with pytest.raises(StreamError.Timeout):
                    await failing.receive()
                dead = weakref.ref(failing)
                del failing
                await idle(server, client)
                assert dead() is None
            finally:
                gc.enable()

    world.run(main())


def test_a_handler_that_takes_its_time_to_end_counts_until_it_has(world, pair, eventually, idle) -> None:
    async def main() -> None:
        may_end = asyncio.Event()
        started = asyncio.Event()

        async def stubborn(payload: bytes) -> bytes:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                await may_end.wait()
            return payload

        async with pair(lambda server: server.register("stubborn", stubborn)) as (server, client):
            task = asyncio.create_task(client.call("stubborn"))
            await started.wait()
            task.cancel()
            await asyncio.sleep(0.05)
            assert server.stats.running_handlers == 1
            assert client.stats.running_handlers == 1
            assert client.stats.open_streams == 0
            may_end.set()
            await idle(server, client)

    world.run(main())


def test_a_handler_that_ignores_its_cancellation_ends_at_its_next_item(world, pair, idle) -> None:
    """Nobody grants credit for what it goes on to give, so that it would wait for ever."""
    ignored: list[str] = []

    async def stubborn(payload: bytes) -> AsyncIterator[bytes]:
        yield payload
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ignored.append("once")
            for _ in range(20):
                yield bytes(50_000)

    def method(server: RpcServer) -> None:
        server.register_streaming("stubborn", stubborn, shape="server_streaming")

    async def main() -> None:
        async with pair(method) as (server, client):
            async for _ in client.call_server_streaming("stubborn", b"x"):
                break
            await idle(server, client)
        assert ignored == ["once"]

    world.run(main())


def test_a_task_that_reads_for_a_handler_is_woken_by_the_cancellation(world, pair, idle) -> None:
    """A handler that awaits its reader at the end would wait for ever for an item that nobody sends."""
    ends: list[BaseException] = []

    async def chat(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async def read() -> None:
            try:
                async for _ in items:
                    pass
            except BaseException as error:
                ends.append(error)

        reader = asyncio.create_task(read())
        try:
            yield b"x"
            await asyncio.Event().wait()
        finally:
            await reader

    async def main() -> None:
        async with pair(lambda server: server.register_streaming("chat", chat)) as (server, client):
            async with client.call_streaming("chat") as stream:
                assert await stream.receive() == b"x"
            await idle(server, client)
        (error,) = ends
        assert isinstance(error, StreamError.Application), "being cancelled is never a plain end"

    world.run(main())
