"""A service tested without a port, in both worlds: calls, cancellation and the end are those of a socket."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rpcnet import RpcServer, Unavailable
from rpcnet.testing import connected


async def echo(payload: bytes) -> bytes:
    return payload


async def flood(_: bytes) -> AsyncIterator[bytes]:
    while True:
        yield bytes(10_000)


def a_server() -> RpcServer:
    server = RpcServer("127.0.0.1:0")
    server.register("echo", echo)
    server.register_streaming("flood", flood, shape="server_streaming")
    return server


def test_a_server_that_never_listens_is_called(world: Any) -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        server = a_server()
        async with connected(server) as client:
            assert await client.call("echo", b"x") == b"x"
            assert await client.call("echo", bytes(1_000_000)) == bytes(1_000_000)
        assert server.stats.connections == 0
        assert not server.is_running
        assert asyncio.all_tasks() == before

    world.run(main())


def test_letting_go_of_a_stream_cancels_its_handler_there_too(world: Any, idle: Any) -> None:
    async def main() -> None:
        server = a_server()
        async with connected(server) as client:
            async for item in client.call_server_streaming("flood"):
                assert len(item) == 10_000
                break
            await idle(server, client)

    world.run(main())


def test_a_server_that_runs_goes_on_when_the_pair_is_left(world: Any) -> None:
    async def main() -> None:
        async with a_server() as server:
            async with connected(server) as one, connected(server) as other:
                assert await one.call("echo", b"1") == await other.call("echo", b"1")
            assert server.is_running

    world.run(main())


def test_a_client_hears_that_its_server_stopped(world: Any) -> None:
    async def main() -> None:
        server = a_server()
        async with connected(server) as client:
            stream = client.call_server_streaming("flood")
            await stream.receive()
            await server.stop(grace=0)
            with pytest.raises(Unavailable):
                await client.call("echo", b"x", timeout=1.0)

    world.run(main())
