"""rpcnet, for the side-by-side benchmark of RPC libraries: typed methods, as its documentation recommends.

Run it with `run.py --adapters benchmarks/peers --peers rpcnet,…`, rpcnet importable.
"""

from collections.abc import AsyncIterator

from base import ITEM, AsyncClient, Item, Small

from rpcnet import RpcClient, RpcConfig, RpcServer

PEERS = {"rpcnet": {}, "rpcnet_uvloop": {"loop": "uvloop"}, "rpcnet_tls": {"tls": True}}
DISTS = ["rpcnet", "msgspec"]
MODES = {"w1", "w2", "w3", "w4", "w5", "w7c", "w7s"}
NOTES = {"w7s": "100 streams a connection by default, so 80 a connection; the figure includes 1/80 of a connection"}

CONFIG = RpcConfig()


async def serve(ctx):
    server = RpcServer("127.0.0.1:0", tls=ctx.server_ssl(), config=CONFIG)

    @server.method("unary")
    async def unary(message: Small) -> Small:
        return message

    @server.method("stream")
    async def stream(count: int) -> AsyncIterator[Item]:
        for _ in range(count):
            yield ITEM

    @server.method("bidi")
    async def bidi(messages: AsyncIterator[Small]) -> AsyncIterator[Small]:
        async for message in messages:
            yield message

    async def large(payload: bytes) -> bytes:
        return payload

    server.register("large", large)
    await server.start()
    ctx.ready(int(server.address.rpartition(":")[2]))
    await server.wait_closed()


class Bidi:
    def __init__(self, stream):
        self.stream = stream
        self.send = stream.send
        self.recv = stream.receive

    async def close(self):
        await self.stream.end()
        self.stream.abort()


class Client(AsyncClient):
    streams_per_connection = 80

    async def connect(self):
        address = f"127.0.0.1:{self.address}"
        self.client = await RpcClient.connect(address, tls=self.ctx.client_ssl(), config=CONFIG)

    async def close(self):
        await self.client.close()

    async def unary(self, message):
        return await self.client.call("unary", message, response=Small)

    async def server_stream(self, count):
        got = 0
        async for _ in self.client.call_server_streaming("stream", count, response=Item):
            got += 1
        return got

    async def open_bidi(self):
        return Bidi(self.client.call_streaming("bidi", response=Small))

    async def large(self, data):
        return await self.client.call("large", data)
