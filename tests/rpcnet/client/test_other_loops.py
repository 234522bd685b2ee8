"""A client belongs to the loop that it was made in; from any other a call is refused before anything is sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from rpcnet import RpcClient, RpcServer

CALLS: dict[str, Callable[[RpcClient], Any]] = {
    "unary": lambda client: client.call("seen"),
    "server streaming": lambda client: client.call_server_streaming("seen"),
    "client streaming": lambda client: client.call_client_streaming("seen", [b"x"]),
    "bidirectional": lambda client: client.call_streaming("seen"),
    "with items": lambda client: client.call_streaming("seen", [b"x"]),
    "close": lambda client: client.close(),
}


async def attempt(make: Callable[[RpcClient], Any], client: RpcClient) -> None:
    async def call() -> None:
        found = make(client)
        if asyncio.iscoroutine(found):
            await found

    with pytest.raises(RuntimeError, match=f"client of {client.address} belongs to another event loop"):
        await call()


def in_a_thread(work: Callable[[], None]) -> asyncio.Future[None]:
    return asyncio.ensure_future(asyncio.to_thread(work))


@pytest.mark.parametrize("name", CALLS)
def test_a_call_from_another_threads_loop_is_refused(name: str) -> None:
    async def main() -> None:
        server, seen = seeing()
        async with server, RpcClient.connect(server.address) as client:
            await in_a_thread(lambda: asyncio.run(attempt(CALLS[name], client)))
            assert await client.call("echo", b"x") == b"x"
            assert client.stats.open_streams == 0
        assert seen == []

    asyncio.run(main())


@pytest.mark.parametrize("name", ["server streaming", "bidirectional", "with items"])
def test_a_stream_opened_in_a_thread_without_a_loop_is_refused(name: str) -> None:
    async def main() -> None:
        server, seen = seeing()
        async with server, RpcClient.connect(server.address) as client:

            def open_it() -> None:
                with pytest.raises(RuntimeError, match="belongs to another event loop"):
                    CALLS[name](client)

            await in_a_thread(open_it)
            assert client.stats.open_streams == 0
        assert seen == []

    asyncio.run(main())


def test_a_client_goes_on_in_its_own_loop_after_others_tried() -> None:
    loop = asyncio.new_event_loop()
    try:
        server, seen = seeing()
        loop.run_until_complete(server.start())
        client = loop.run_until_complete(RpcClient.connect(server.address).__aenter__())
        for make in CALLS.values():
            asyncio.run(attempt(make, client))
        assert loop.run_until_complete(client.call("echo", b"x")) == b"x"
        loop.run_until_complete(client.close())
        loop.run_until_complete(server.stop())
        assert seen == []
    finally:
        loop.close()


def test_what_the_error_advises_works() -> None:
    async def main() -> None:
        server, _ = seeing()
        async with server, RpcClient.connect(server.address) as client:
            loop = asyncio.get_running_loop()
            answers: list[bytes] = []

            def ask() -> None:
                answers.append(asyncio.run_coroutine_threadsafe(client.call("echo", b"x"), loop).result(10))

            await in_a_thread(ask)
            assert answers == [b"x"]

    asyncio.run(main())


def seeing() -> tuple[RpcServer, list[bytes]]:
    """A server that counts the calls of `seen`, whatever their shape."""
    seen: list[bytes] = []
    server = RpcServer("127.0.0.1:0")

    async def echo(payload: bytes) -> bytes:
        return payload

    async def note(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        seen.append(b"")
        async for item in items:
            yield item

    server.register("echo", echo)
    server.register_streaming("seen", note)
    return server, seen
