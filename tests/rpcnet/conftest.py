"""A server and a client of it, in one loop, and what must be true of both once everything was let go."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from rpcnet import RpcClient, RpcConfig, RpcServer
from rpcnet.testing import connected
from tests.conftest import Simulated, Sockets

Register = Callable[[RpcServer], None]
Pair = Callable[..., AbstractAsyncContextManager[tuple[RpcServer, RpcClient]]]


async def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Let the loop turn until `condition` holds; fail after a bound that no working code comes near."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        assert loop.time() < end, f"did not come true within {seconds} s"
        await asyncio.sleep(0.001)


async def idle(server: RpcServer, client: RpcClient | None = None) -> None:
    """Everything that was let go is back: handlers, streams, bytes, at both ends."""

    def nothing_runs() -> bool:
        ends: list[Any] = [server.stats] if client is None else [server.stats, client.stats]
        return all(not (end.running_handlers or end.open_streams or end.queued_bytes) for end in ends)

    await eventually(nothing_runs)


class InMemory(Simulated):
    """As simulated, but that `pair` joins its two ends without a socket (rpcnet.testing)."""

    name = "memory"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is tested with a pair in both worlds is tested with one in memory as well: the double is like the thing."""
    if "world" in metafunc.fixturenames:
        own = metafunc.definition.get_closest_marker("own_sockets") is not None
        with_pair = ["memory"] if "pair" in metafunc.fixturenames and not own else []
        metafunc.parametrize("world", ["sim", "sockets", *with_pair], indirect=True)


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Any:
    return {"sim": Simulated, "sockets": Sockets, "memory": InMemory}[request.param]()


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> Pair:
    """`async with pair(register) as (server, client)`; at the end both must be empty and no task of theirs left."""
    in_memory = "world" in request.fixturenames and request.getfixturevalue("world").name == "memory"

    @asynccontextmanager
    async def make(
        register: Register,
        config: RpcConfig | None = None,
        client_config: RpcConfig | None = None,
        address: str = "127.0.0.1:0",
        server_interceptors: Any = (),
        client_interceptors: Any = (),
        **both: Any,
    ) -> AsyncIterator[tuple[RpcServer, RpcClient]]:
        before = asyncio.all_tasks()
        server = RpcServer(address, config=config, interceptors=server_interceptors, **both)
        register(server)
        options = {"config": client_config or config, "interceptors": client_interceptors, **both}
        async with AsyncExitStack() as stack:
            if in_memory:
                server.begin()
                stack.push_async_exit(server)
                joined: Any = connected(server, **options)
            else:
                await stack.enter_async_context(server)
                joined = RpcClient.connect(server.address, **options)
            async with joined as client:
                yield server, client
            await eventually(lambda: server.stats.connections == 0)
            await idle(server, client)
        left = asyncio.all_tasks() - before
        assert not left, f"tasks are left: {left}"

    return make


@pytest.fixture(name="idle")
def idle_fixture() -> Callable[..., Awaitable[None]]:
    return idle


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., Awaitable[None]]:
    return eventually
