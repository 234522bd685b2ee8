"""A chain of calls: a client asks the front, whose handlers ask the back, whose handlers never answer.

Only the client names a time; the handlers of front and back have no clock but the deadline that came with the call.

Tests: tests/test_scenarios.py.
"""

import asyncio
from collections.abc import AsyncIterator

from rpcnet import RpcClient, RpcError, RpcServer, Status
from rpcnet.app import NodeContext
from sim.apps.roles import client_of, find, serve_as

__all__ = ["ask", "back", "front"]


async def back(node: NodeContext, *, every: float = 0.1) -> None:
    """Offer `ponder`, which never answers, and `count`, which never ends. Ends when stopped."""
    server = RpcServer(node.address("rpc"), tls=node.tls, config=node.rpc_config)

    @server.method("ponder")
    async def ponder(question: int) -> int:
        await asyncio.Event().wait()
        return question

    @server.method("count")
    async def count(first: int) -> AsyncIterator[int]:
        while True:
            yield first
            first += 1
            await asyncio.sleep(every)

    await serve_as("back", node, server)


async def front(node: NodeContext) -> None:
    """Offer the same methods, and have the back do the work. Ends when stopped."""
    server = RpcServer(node.address("rpc"), tls=node.tls, config=node.rpc_config)
    async with node.cluster() as cluster:
        address = await find(cluster, "back")
        async with RpcClient.connect(address, tls=node.tls, config=node.rpc_config) as client:

            @server.method("ponder")
            async def ponder(question: int) -> int:
                return await client.call("ponder", question, response=int)

            @server.method("count")
            async def count(first: int) -> AsyncIterator[int]:
                async for number in client.call_server_streaming("count", first, response=int):
                    yield number

            async with server:
                await cluster.register_self({"role": "front"})
                node.ready()
                await server.wait_closed()


async def ask(node: NodeContext, *, timeouts: list[float]) -> None:
    """Make a call of either kind for each of `timeouts`, all at once; then stay a member until stopped."""
    async with client_of("front", node, role="asker") as client:
        async with asyncio.TaskGroup() as group:
            for timeout in timeouts:
                group.create_task(_ponder(node, client, timeout))
                group.create_task(_count(node, client, timeout))
        await asyncio.Event().wait()


async def _ponder(node: NodeContext, client: RpcClient, timeout: float) -> None:
    try:
        await client.call("ponder", 1, response=int, timeout=timeout)
    except RpcError as error:
        node.record("ran_out" if error.code is Status.DEADLINE_EXCEEDED else "failed", error=str(error))


async def _count(node: NodeContext, client: RpcClient, timeout: float) -> None:
    try:
        async for _ in client.call_server_streaming("count", 0, response=int, timeout=timeout):
            pass
    except RpcError as error:
        node.record("ran_out" if error.code is Status.DEADLINE_EXCEEDED else "failed", error=str(error))
