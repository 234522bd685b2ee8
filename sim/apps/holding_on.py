"""A client that holds a stream of each kind for as long as it may, and says how each of them ended.

Nothing but a failure may end them: "lost" is StreamError.Transport, "ended_well" a plain end, "ended_oddly" all else.

Tests: tests/test_scenarios.py.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from rpcnet import RpcClient, RpcError, StreamTransportError
from rpcnet.app import NodeContext
from sim.apps.roles import client_of

__all__ = ["KINDS", "main"]

EVERY = 0.05
"""Seconds between two items of a stream."""


async def main(node: NodeContext, *, ping: float = 1.0) -> None:
    """Hold a stream of each of KINDS to `sim.apps.letting_go:serve`; `ping`: seconds, ping_interval and _timeout."""
    config = replace(node.rpc_config, ping_interval=ping, ping_timeout=ping)
    async with client_of("server", node, config=config) as client:
        async with asyncio.TaskGroup() as group:
            for kind in KINDS:
                group.create_task(_hold(node, client, kind))
        await asyncio.Event().wait()


async def _hold(node: NodeContext, client: RpcClient, kind: Callable[[RpcClient], Awaitable[None]]) -> None:
    try:
        await kind(client)
    except StreamTransportError as error:
        node.record("lost", kind=kind.__name__, error=str(error))
    except RpcError as error:
        node.record("ended_oddly", kind=kind.__name__, error=f"{type(error).__name__}: {error}")
    else:
        node.record("ended_well", kind=kind.__name__)


async def read(client: RpcClient) -> None:
    async for _ in client.call_server_streaming("count", 0, response=int):
        pass


async def upload(client: RpcClient) -> None:
    await client.call_client_streaming("swallow", _numbers(), response=int)


async def talk(client: RpcClient) -> None:
    async for _ in client.call_streaming("echo", _numbers(), response=int):
        pass


async def write(client: RpcClient) -> None:
    async with client.call_streaming("echo", response=int) as stream:
        async for number in _numbers():
            await stream.send(number)


async def _numbers() -> AsyncIterator[int]:
    while True:
        yield 1
        await asyncio.sleep(EVERY)


KINDS: tuple[Callable[[RpcClient], Awaitable[None]], ...] = (read, upload, talk, write)
