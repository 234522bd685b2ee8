"""Applications that fail in one way each, for the pages of planted failures."""

import asyncio

from rpcnet import RpcClient, RpcServer
from rpcnet.app import NodeContext


async def idle(node: NodeContext) -> None:
    node.ready()
    await asyncio.Event().wait()


async def leaking(node: NodeContext) -> None:
    """Opens a socket that it never closes."""
    await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("0.0.0.0", 9999))
    node.ready()
    await asyncio.Event().wait()


async def skipping(node: NodeContext) -> None:
    """Counts, and leaves out the number 5 of its stream 1."""
    node.ready()
    for index in range(10):
        await asyncio.sleep(0.5)
        if index != 5:
            node.record("token", stream=1, index=index)


async def serving(node: NodeContext) -> None:
    server = RpcServer("0.0.0.0:7000", tls=node.tls, config=node.rpc_config)

    @server.method("echo")
    async def echo(text: str) -> str:
        return text

    async with server:
        node.ready()
        await asyncio.Event().wait()


async def calling(node: NodeContext, *, server: str) -> None:
    await asyncio.sleep(0.1)
    async with RpcClient.connect(server, tls=node.tls, config=node.rpc_config) as client:
        node.ready()
        while True:
            await client.call("echo", "hello")
            await asyncio.sleep(0.2)


async def raising(node: NodeContext) -> None:
    node.ready()
    await asyncio.sleep(2.0)
    prices = {"apple": 3}
    node.record("priced", item="apple", price=prices["apple"])
    node.record("priced", item="pear", price=prices["pear"])


async def deadlocked(node: NodeContext) -> None:
    """Two tasks take the same two locks in different order."""
    left, right = asyncio.Lock(), asyncio.Lock()

    async def take(stream: int, first: asyncio.Lock, second: asyncio.Lock) -> None:
        node.record("stream_opened", stream=stream)
        async with first:
            await asyncio.sleep(1.0)
            async with second:
                node.record("stream_completed", stream=stream)

    node.ready()
    await asyncio.gather(take(1, left, right), take(2, right, left))


async def never_ready(node: NodeContext) -> None:
    await asyncio.Event().wait()
