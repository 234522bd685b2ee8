"""A server whose calls never end by themselves, and clients that let them go: in each way there is, or by dying.

Each way is a small coroutine that opens a call, sees it work, and lets go; nothing in it says CANCEL. Nobody ends an
upload in order, so a handler that sees its items end plainly ("ended_well") was told an untruth.

Tests: tests/sim/apps/test_letting_go.py.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from rpcnet import BidirectionalStream, RpcClient, RpcError, RpcServer
from rpcnet.app import NodeContext
from sim.apps.roles import client_of, serve_as

__all__ = ["WAYS", "hold", "let_go", "serve", "storm"]

EVERY = 0.05
"""Seconds between two items of a stream."""
PAGE = bytes(4 * 1024)
SETTLING = 1.0
"""Seconds after which nothing of a call that was let go may be left."""


async def serve(node: NodeContext, *, ping: float = 20.0, max_streams: int = 100) -> None:
    """Offer an endless call of each shape: `wait`, `count`, `pour`, `swallow`, `echo`. Ends when stopped.

    `ping`: seconds, ping_interval and ping_timeout.
    """
    config = replace(node.rpc_config, ping_interval=ping, ping_timeout=ping, max_streams=max_streams)
    server = RpcServer(node.address("rpc"), tls=node.tls, config=config)

    @server.method("wait")
    async def wait(question: int) -> int:
        await asyncio.Event().wait()
        return question

    @server.method("count")
    async def count(first: int) -> AsyncIterator[int]:
        while True:
            yield first
            first += 1
            await asyncio.sleep(EVERY)

    @server.method("pour")
    async def pour(first: int) -> AsyncIterator[bytes]:
        while True:
            yield PAGE

    @server.method("swallow")
    async def swallow(numbers: AsyncIterator[int]) -> int:
        total = sum([number async for number in numbers])
        node.record("ended_well", method="swallow")
        return total

    @server.method("echo")
    async def echo(numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            yield number
        node.record("ended_well", method="echo")

    await serve_as("server", node, server)


async def let_go(node: NodeContext, *, pause: float = 0.5) -> None:
    """Go through all WAYS, one every `pause` seconds; then stay a member until stopped."""
    async with client_of("server", node) as client:
        for way in WAYS:
            await asyncio.sleep(pause)
            await way(client)
            node.record("way_taken", way=way.__name__)
        await asyncio.Event().wait()


async def storm(node: NodeContext, *, lines: int = 5, rounds: int = 3, window: int = 32 * 1024) -> None:
    """Go through all WAYS, in a drawn order, `rounds` times in each of `lines` lines; then stay a member until stopped.

    `window`: bytes that a stream may have unread; eight such streams fill the connection's window.
    """
    config = replace(node.rpc_config, max_streams=8, stream_window_bytes=window)
    async with client_of("server", node, config=config) as client:
        async with asyncio.TaskGroup() as group:
            for _ in range(lines):
                group.create_task(_go_through(node, client, rounds))
        await asyncio.sleep(SETTLING)
        if client.stats.queued_bytes:
            node.record("left_unread", bytes=client.stats.queued_bytes)
        await asyncio.Event().wait()


async def _go_through(node: NodeContext, client: RpcClient, rounds: int) -> None:
    for _ in range(rounds):
        for way in node.random.sample(WAYS, len(WAYS)):
            try:
                await way(client)
            except RpcError as error:  # the connection was reset meanwhile
                node.record("interrupted", way=way.__name__, error=str(error))
                await asyncio.sleep(EVERY)
            node.record("way_taken", way=way.__name__)


async def hold(node: NodeContext, *, streams: int = 1) -> None:
    """Listen to `streams` streams that never end, until this process does."""
    async with client_of("server", node) as client:
        async with asyncio.TaskGroup() as group:
            for _ in range(streams):
                group.create_task(_listen(client))


async def _listen(client: RpcClient) -> None:
    async with client.call_server_streaming("count", 0, response=int) as numbers:
        async for _ in numbers:
            pass


async def leave_the_block(client: RpcClient) -> None:
    async with client.call_server_streaming("count", 0, response=int) as numbers:
        await anext(numbers)


async def abort(client: RpcClient) -> None:
    numbers = client.call_server_streaming("count", 0, response=int)
    await anext(numbers)
    numbers.abort()


async def cancel_the_reader(client: RpcClient) -> None:
    heard = asyncio.Event()

    async def listen() -> None:
        async for _ in client.call_server_streaming("count", 0, response=int):
            heard.set()

    await _cancel(asyncio.create_task(listen()), heard)


async def cancel_a_unary_call(client: RpcClient) -> None:
    sent = asyncio.Event()
    asyncio.get_running_loop().call_later(EVERY, sent.set)
    await _cancel(asyncio.create_task(client.call("wait", 0, response=int)), sent)


async def cancel_an_upload(client: RpcClient) -> None:
    moving = asyncio.Event()

    async def numbers() -> AsyncIterator[int]:
        while True:
            yield 1
            moving.set()
            await asyncio.sleep(EVERY)

    await _cancel(asyncio.create_task(client.call_client_streaming("swallow", numbers(), response=int)), moving)


async def raise_in_the_block(client: RpcClient) -> None:
    try:
        async with client.call_streaming("echo", response=int) as stream:
            await stream.send(1)
            await stream.receive()
            raise LookupError("the reader's own trouble")
    except LookupError:
        pass


async def break_off(client: RpcClient) -> None:
    async for _ in client.call_server_streaming("count", 0, response=int):
        break


async def leave_much_unread(client: RpcClient) -> None:
    async with client.call_server_streaming("pour", 0) as pages:
        await anext(pages)
        await asyncio.sleep(EVERY)


async def drop_the_last_reference(client: RpcClient) -> None:
    numbers = client.call_server_streaming("count", 0, response=int)
    await anext(numbers)
    del numbers


async def drop_the_sending_half(client: RpcClient) -> None:
    questions = BidirectionalStream[int]()
    answers = client.call_streaming("echo", questions, response=int)
    await questions.sender.send(1)
    await anext(answers)
    del questions
    await asyncio.sleep(EVERY)


async def outrun_the_deadline(client: RpcClient) -> None:
    try:
        await client.call("wait", 0, response=int, timeout=EVERY)
    except TimeoutError:
        pass


async def _cancel(task: asyncio.Task[object], when: asyncio.Event) -> None:
    """Cancel `task` after `when`. RpcError where the call was cut before that."""
    task.add_done_callback(lambda _: when.set())
    await when.wait()
    if task.done():
        await task
    task.cancel()
    await asyncio.wait({task})


WAYS: tuple[Callable[[RpcClient], Awaitable[None]], ...] = (
    leave_the_block,
    abort,
    cancel_the_reader,
    cancel_a_unary_call,
    cancel_an_upload,
    raise_in_the_block,
    break_off,
    leave_much_unread,
    drop_the_last_reference,
    drop_the_sending_half,
    outrun_the_deadline,
)
