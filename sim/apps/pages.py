"""A server that hands out large pages as fast as it may, and a client with two readers on one connection.

One reader thinks over each page for longer than its idle_timeout, the other takes what comes. A front may stand between
server and clients: it passes the pages on, and has no clock but the deadline that comes with a call.

Tests: tests/test_scenarios.py.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

from rpcnet import RpcClient, RpcError, RpcServer
from rpcnet.app import NodeContext
from sim.apps.roles import client_of, find, serve_as

__all__ = ["pass_on", "read", "read_through", "serve"]

PAGE_BYTES = 64 * 1024
"""Eight pages fill a stream's window of 512 KiB."""
BACK_OFF = 0.5
"""Seconds at most until the front tries again to reach the server."""

log = logging.getLogger(__name__)


async def serve(node: NodeContext) -> None:
    """Offer `pages`: the number asked for, at the pace asked for; each is recorded as written. Ends when stopped."""
    server = RpcServer(node.address("rpc"), tls=node.tls, config=node.rpc_config)

    @server.method("pages")
    async def pages(order: tuple[str, int, float]) -> AsyncIterator[bytes]:
        reader, count, every = order
        for index in range(count):
            await asyncio.sleep(every)
            yield index.to_bytes(4, "big") + bytes(PAGE_BYTES)
            node.record("written", reader=reader, index=index)

    await serve_as("pages", node, server)


async def pass_on(node: NodeContext) -> None:
    """Offer `pages` as well, and take each page from the server. Ends when stopped."""
    server = RpcServer(node.address("rpc"), tls=node.tls, config=node.rpc_config)
    config = replace(node.rpc_config, max_reconnect_backoff=BACK_OFF)
    async with node.cluster() as cluster:
        address = await find(cluster, "pages")
        async with RpcClient.connect(address, tls=node.tls, config=config) as client:

            @server.method("pages")
            async def pages(order: tuple[str, int, float]) -> AsyncIterator[bytes]:
                async for page in client.call_server_streaming("pages", order):
                    yield page

            async with server:
                await cluster.register_self({"role": "front"})
                node.ready()
                await server.wait_closed()


async def read_through(
    node: NodeContext,
    *,
    pages: int = 20,
    every: float = 0.1,
    think: float = 0.0,
    idle_timeout: float = 1.0,
    timeout: float | None = None,
) -> None:
    """Read `pages` pages to the last through the front, `think` seconds over each; `timeout` is for them all."""
    async with client_of("front", node, role="reader") as client:
        node.record("stream_opened", stream=node.name)
        order = (node.name, pages, every)
        try:
            async with client.call_server_streaming("pages", order, idle_timeout=idle_timeout, timeout=timeout) as book:
                async for page in book:
                    node.record("read", reader=node.name, index=int.from_bytes(page[:4], "big"))
                    await asyncio.sleep(think)
        except RpcError as error:
            log.warning("%s was cut short: %s", node.name, error)
        else:
            node.record("stream_completed", stream=node.name)
        await asyncio.Event().wait()


async def read(
    node: NodeContext, *, slow_pages: int = 5, think: float = 2.0, brisk_pages: int = 80, idle_timeout: float = 1.0
) -> None:
    """Read `slow_pages` pages of an endless book, `think` seconds over each, and beside it `brisk_pages` at once."""
    async with client_of("pages", node, role="reader") as client:
        async with asyncio.TaskGroup() as group:
            group.create_task(_read(node, client, ("slow", 1000, 0.0), slow_pages, think, idle_timeout))
            group.create_task(_read(node, client, ("brisk", brisk_pages, 0.1), brisk_pages, 0.0, idle_timeout))
        await asyncio.Event().wait()


async def _read(
    node: NodeContext, client: RpcClient, order: tuple[str, int, float], wanted: int, think: float, idle_timeout: float
) -> None:
    reader = order[0]
    node.record("stream_opened", stream=reader)
    try:
        async with client.call_server_streaming("pages", order, idle_timeout=idle_timeout) as pages:
            for _ in range(wanted):
                page = await anext(pages)
                node.record("read", reader=reader, index=int.from_bytes(page[:4], "big"))
                await asyncio.sleep(think)
    except RpcError as error:
        log.warning("the %s reader was cut short: %s", reader, error)
    else:
        node.record("stream_completed", stream=reader)
