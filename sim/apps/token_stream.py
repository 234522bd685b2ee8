"""A server that counts aloud, and a reader that listens: streams whose every item is a fact in the trace.

The reader has no second chance: a stream that ends by an error was lost, and its end is not recorded.

Tests: tests/test_scenarios.py.
"""

import asyncio
import logging
from collections.abc import AsyncIterator

from rpcnet import RpcClient, RpcError, RpcServer
from rpcnet.app import NodeContext
from sim.apps.roles import client_of, serve_as

__all__ = ["read", "serve"]

log = logging.getLogger(__name__)


async def serve(node: NodeContext, *, every: float = 0.1) -> None:
    """Offer `count`: the numbers from 0 up to the one asked for, one every `every` seconds. Ends when stopped."""
    server = RpcServer(node.address("rpc"), tls=node.tls, config=node.rpc_config)

    @server.method("count")
    async def count(tokens: int) -> AsyncIterator[int]:
        for index in range(tokens):
            await asyncio.sleep(every)
            yield index

    await serve_as("tokens", node, server)


async def read(node: NodeContext, *, streams: int = 1, tokens: int = 100, idle_timeout: float | None = 1.0) -> None:
    """Read `streams` streams of `tokens` numbers side by side; then stay a member until stopped."""
    async with client_of("tokens", node, role="reader") as client:
        async with asyncio.TaskGroup() as group:
            for stream in range(streams):
                group.create_task(_read_one(node, client, stream, tokens, idle_timeout))
        await asyncio.Event().wait()


async def _read_one(node: NodeContext, client: RpcClient, stream: int, tokens: int, idle_timeout: float | None) -> None:
    node.record("stream_opened", stream=stream)
    try:
        async with client.call_server_streaming("count", tokens, response=int, idle_timeout=idle_timeout) as numbers:
            async for index in numbers:
                node.record("token", stream=stream, index=index)
    except RpcError as error:
        log.warning("stream %d was lost: %s", stream, error)
    else:
        node.record("stream_completed", stream=stream)
