"""A client that is dropped without `close` closes its connections, warns, and was kept alive by nothing of ours."""

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from rpcnet import BidirectionalStream, NotFound, RpcClient, RpcServer, StreamError, service


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    """What is freed is freed by its reference count."""
    gc.disable()
    yield
    gc.enable()


async def echo(payload: bytes) -> bytes:
    return payload


async def missing(payload: bytes) -> bytes:
    raise NotFound("no such thing")


async def numbers(payload: bytes) -> AsyncIterator[bytes]:
    number = 0
    while True:
        yield str(number).encode()
        number += 1


async def count(items: AsyncIterator[bytes]) -> bytes:
    return str(len([item async for item in items])).encode()


async def chat(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for item in items:
        yield item


def serving() -> RpcServer:
    server = RpcServer("127.0.0.1:0")
    server.register("echo", echo)
    server.register("missing", missing)
    server.register_streaming("numbers", numbers, shape="server_streaming")
    server.register_streaming("count", count, shape="client_streaming")
    server.register_streaming("chat", chat)
    server.register_service(Doubler())
    return server


@service
class Doubler:
    async def double(self, number: int) -> int:
        return 2 * number


async def use(client: RpcClient) -> None:
    """Everything that a client does, errors and letting go included."""
    assert await client.call("echo", b"x") == b"x"
    assert await client.call("echo", bytes(1_000_000)) == bytes(1_000_000)
    with pytest.raises(NotFound):
        await client.call("missing")
    with pytest.raises(TimeoutError):
        await client.call("echo", timeout=0)
    assert await client.call_client_streaming("count", [b"1", b"2"]) == b"2"
    async for item in client.call_server_streaming("numbers"):
        if item == b"3":
            break
    with pytest.raises(StreamError):
        async for _ in client.call_server_streaming("nothing"):
            pass
    async with client.call_streaming("chat") as stream:
        await stream.send(b"x")
        assert await stream.receive() == b"x"
    duplex = BidirectionalStream[bytes]()
    replies = client.call_streaming("chat", duplex)
    await duplex.sender.send(b"y")
    assert await anext(replies) == b"y"
    duplex.abort()
    assert await client.service(Doubler).double(21) == 42
    with pytest.raises(TypeError):
        await client.call_client_streaming("count", b"bytes")  # type: ignore[arg-type]
    cancelled = asyncio.ensure_future(client.call_client_streaming("count", forever()))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled])
    # The handle that runs a turn holds what it was woken with, an error and the frames of its traceback for instance.
    await asyncio.sleep(0)


async def forever() -> AsyncIterator[bytes]:
    while True:
        await asyncio.sleep(0.001)
        yield b"x"


@pytest.mark.parametrize("how", ["awaited", "entered"])
def test_nothing_of_ours_keeps_a_dropped_client_alive(world: Any, eventually: Any, how: str) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await RpcClient.connect(server.address)
            if how == "entered":
                await client.__aenter__()
            await use(client)
            watched = weakref.ref(client)
            with pytest.warns(ResourceWarning, match=f"unclosed RpcClient of {server.address}; use it in `async with`"):
                del client
            assert watched() is None
            await eventually(lambda: not server.stats.connections)

    world.run(main())


def test_handlers_of_a_dropped_client_are_cancelled(world: Any, eventually: Any, idle: Any) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await RpcClient.connect(server.address)
            stream = client.call_server_streaming("numbers")
            assert await anext(stream) == b"0"
            assert server.stats.running_handlers == 1
            with pytest.warns(ResourceWarning, match="unclosed RpcClient"):
                del client
            await eventually(lambda: not server.stats.connections)
            with pytest.raises(StreamError.Transport, match="its client was dropped unclosed"):
                async for _ in stream:
                    pass
            await idle(server)

    world.run(main())


def test_calls_that_wait_for_a_connection_end_with_their_client(world: Any, eventually: Any) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await RpcClient.connect(server.address)
            address, connections = server.address, client._dialer.connections
        await eventually(lambda: not connections)
        before = asyncio.all_tasks()
        stream = client.call_server_streaming("numbers", wait_for_ready=True)
        await asyncio.sleep(0)
        with pytest.warns(ResourceWarning, match=f"unclosed RpcClient of {address}"):
            del client
        with pytest.raises(StreamError):
            await anext(stream)
        del stream
        await eventually(lambda: asyncio.all_tasks() == before)

    world.run(main())


@pytest.mark.filterwarnings("error")
def test_a_closed_client_is_dropped_in_silence(world: Any) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await RpcClient.connect(server.address)
            await use(client)
            await client.close()
            watched = weakref.ref(client)
            del client
            assert watched() is None
            with pytest.raises(Exception, match="no"):
                await RpcClient.connect("127.0.0.1:1", tls="no context")  # type: ignore[arg-type]

    world.run(main())


def test_a_client_may_be_dropped_by_another_thread(eventually: Any) -> None:
    async def main() -> None:
        async with serving() as server:
            held = [await RpcClient.connect(server.address)]

            def drop() -> None:
                with pytest.warns(ResourceWarning, match="unclosed RpcClient"):
                    held.clear()

            thread = threading.Thread(target=drop)
            thread.start()
            await eventually(lambda: not server.stats.connections)
            thread.join()

    asyncio.run(main())


@pytest.mark.filterwarnings("ignore:unclosed transport:ResourceWarning")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_client_may_outlive_its_loop() -> None:
    async def main() -> RpcClient:
        async with serving() as server:
            client = await RpcClient.connect(server.address)
            # Held back, as a machine that has lost its network holds them.
            client._dialer.connection.transport.pause_reading()  # type: ignore[union-attr]
            return client

    client = asyncio.run(main())
    del client  # its socket's own warning says what is left; nobody could have closed the client any more
    gc.collect()


def test_a_client_dropped_while_it_connects_gives_the_attempt_up() -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def join(protocol: Any) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        client = RpcClient("unix:scripted", open_transport=join)
        waiting = asyncio.ensure_future(client.call("x"))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait([waiting])
        del waiting
        with pytest.warns(ResourceWarning, match="unclosed RpcClient"):
            del client
        await asyncio.sleep(0.01)
        assert ended.is_set()

    asyncio.run(main())
