"""How fast are calls over real sockets, and what do idle ones hold, beside raw asyncio and aiohttp on the same machine?

    python benchmarks/rpc_speed.py [--rounds 15] [--seconds 0.5] [--json]

A server process for each peer and this client process talk over 127.0.0.1. The raw peer is the floor, not a library:
frames with a length, echoed by an asyncio.Protocol, no serialization, no call numbers, no deadlines, no flow control.
aiohttp, where it is installed, echoes the same over a websocket and by POST. Rounds are interleaved, so that noise hits
all alike; a figure is the median of its rounds, a ratio the median of the ratios to raw within each round, and the
spread the least and the greatest of those ratios. Memory is the growth of both ends' resident memory, in a process of
its own for each figure. The rows are those of the issue "RPC complete" (W1 to W5), with what is wanted of each.
"""

import argparse
import asyncio
import contextlib
import gc
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from struct import Struct
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1]))

from rpcnet import RpcClient, RpcServer


class Small(msgspec.Struct):
    """Three fields, about 60 bytes as MessagePack."""

    number: int
    text: str
    weight: float


class Item(msgspec.Struct):
    """About 100 bytes as MessagePack."""

    number: int
    text: str


SMALL = Small(7, "x" * 30, 2.5)
ITEM = Item(7, "x" * 80)
SMALL_BYTES, ITEM_BYTES = msgspec.msgpack.encode(SMALL), msgspec.msgpack.encode(ITEM)
LARGE = os.urandom(1 << 20)
IN_FLIGHT = 64
STREAM_ITEMS = 4_000
TWO_WAY_IN_FLIGHT = 16
CONNECTIONS = 500
STREAMS = 400
STREAMS_EACH = 80
SIZE = Struct("!I")
ASKS_FOR_ITEMS = 4
"""Bytes of a raw frame that asks for so many items."""


class Frames(asyncio.Protocol):
    """Cuts what it reads into frames with a length."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.need = 4

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.buffer:
            self.buffer += data
            if len(self.buffer) < self.need:
                return
            data = bytes(self.buffer)
            self.buffer.clear()
        at, size = 0, len(data)
        self.need = 4
        while size - at >= 4:
            stop = at + 4 + SIZE.unpack_from(data, at)[0]
            if stop > size:
                self.need = stop - at
                break
            self.frame(data[at + 4 : stop])
            at = stop
        if at < size:
            self.buffer += data[at:]

    def frame(self, body: bytes) -> None:
        raise AssertionError("supplied by the two ends")


class RawServer(Frames):
    """Echoes; a body of four bytes asks for so many items."""

    def __init__(self) -> None:
        super().__init__()
        self.writable = asyncio.Event()
        self.writable.set()
        self.task: asyncio.Task[None] | None = None

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def frame(self, body: bytes) -> None:
        if len(body) == ASKS_FOR_ITEMS:
            self.task = asyncio.create_task(self.stream(SIZE.unpack(body)[0]))
        else:
            self.transport.write(SIZE.pack(len(body)) + body)

    async def stream(self, count: int) -> None:
        for _ in range(count):
            if not self.writable.is_set():
                await self.writable.wait()
            self.transport.write(SIZE.pack(len(ITEM_BYTES)) + ITEM_BYTES)


async def serve_raw() -> None:
    server = await asyncio.get_running_loop().create_server(RawServer, "127.0.0.1", 0)
    print(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def rpc_server() -> RpcServer:
    server = RpcServer("127.0.0.1:0")

    @server.method("unary")
    async def unary(message: Small) -> Small:
        return message

    @server.method("items")
    async def items(count: int) -> AsyncIterator[Item]:
        for _ in range(count):
            yield ITEM

    @server.method("two_way")
    async def two_way(messages: AsyncIterator[Small]) -> AsyncIterator[Small]:
        async for message in messages:
            yield message

    async def large(payload: bytes) -> bytes:
        return payload

    server.register("large", large)
    return server


async def serve_rpcnet() -> None:
    server = rpc_server()
    await server.start()
    print(server.address, flush=True)
    await server.wait_closed()


async def serve_aiohttp() -> None:
    from aiohttp import WSMsgType, web

    async def large(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def two_way(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await socket.send_bytes(msgspec.msgpack.encode(msgspec.msgpack.decode(message.data, type=Small)))
        return socket

    app = web.Application(client_max_size=1 << 24)
    app.add_routes([web.post("/large", large), web.get("/two_way", two_way)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.Event().wait()


class Raw(Frames):
    """The floor's client: answers come in the order of what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.waiting: deque[asyncio.Future[bytes]] = deque()

    def frame(self, body: bytes) -> None:
        self.waiting.popleft().set_result(body)

    def send(self, body: bytes) -> asyncio.Future[bytes]:
        reply: asyncio.Future[bytes] = self.loop.create_future()
        self.waiting.append(reply)
        self.transport.write(SIZE.pack(len(body)) + body)
        return reply

    async def unary(self) -> None:
        await self.send(SMALL_BYTES)

    async def items(self, count: int) -> None:
        replies = [self.loop.create_future() for _ in range(count)]
        self.waiting.extend(replies)
        self.transport.write(SIZE.pack(ASKS_FOR_ITEMS) + SIZE.pack(count))
        for reply in replies:
            await reply

    async def two_way(self, rounds: int) -> None:
        replies = deque(self.send(SMALL_BYTES) for _ in range(TWO_WAY_IN_FLIGHT))
        for _ in range(rounds):
            await replies.popleft()
            replies.append(self.send(SMALL_BYTES))
        for reply in replies:
            await reply

    async def large(self) -> None:
        await self.send(LARGE)


class Rpc:
    def __init__(self, client: RpcClient) -> None:
        self.client = client

    async def unary(self) -> None:
        await self.client.call("unary", SMALL, response=Small)

    async def items(self, count: int) -> None:
        async for _ in self.client.call_server_streaming("items", count, response=Item):
            pass

    async def two_way(self, rounds: int) -> None:
        async with self.client.call_streaming("two_way", response=Small) as stream:
            for _ in range(TWO_WAY_IN_FLIGHT):
                await stream.send(SMALL)
            for _ in range(rounds):
                await stream.receive()
                await stream.send(SMALL)

    async def large(self) -> None:
        await self.client.call("large", LARGE)


class Aiohttp:
    def __init__(self, session: Any, address: str) -> None:
        self.session = session
        self.address = address

    async def two_way(self, rounds: int) -> None:
        async with self.session.ws_connect(f"http://{self.address}/two_way", compress=0) as socket:
            for _ in range(TWO_WAY_IN_FLIGHT):
                await socket.send_bytes(msgspec.msgpack.encode(SMALL))
            for _ in range(rounds):
                msgspec.msgpack.decode((await socket.receive()).data, type=Small)
                await socket.send_bytes(msgspec.msgpack.encode(SMALL))

    async def large(self) -> None:
        async with self.session.post(f"http://{self.address}/large", data=LARGE) as response:
            await response.read()


async def until(seconds: float, once: Callable[[], Awaitable[Any]], count: int) -> float:
    """How many a second, where `once` does so many."""
    done, begun = 0, time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds:
        await once()
        done += count
    return done / (now - begun)


async def one_after_another(peer: Any, seconds: float) -> float:
    return await until(seconds, peer.unary, 1)


async def many_at_once(peer: Any, seconds: float) -> float:
    async with asyncio.TaskGroup() as group:
        rates = [group.create_task(until(seconds, peer.unary, 1)) for _ in range(IN_FLIGHT)]
    return sum(rate.result() for rate in rates)


async def streaming(peer: Any, seconds: float) -> float:
    return await until(seconds, lambda: peer.items(STREAM_ITEMS), STREAM_ITEMS)


async def two_way(peer: Any, seconds: float) -> float:
    return await until(seconds, lambda: peer.two_way(2_000), 2_000)


async def large(peer: Any, seconds: float) -> float:
    return await until(seconds, peer.large, 1)


WORKLOADS = {
    "W1 unary calls a second, one after another": (one_after_another, ("raw", "rpcnet"), 0.70),
    f"W2 unary calls a second, {IN_FLIGHT} at once": (many_at_once, ("raw", "rpcnet"), 0.38),
    "W3 items of 100 bytes a second, one stream": (streaming, ("raw", "rpcnet"), 1.9),
    f"W4 two-way messages a second, {TWO_WAY_IN_FLIGHT} in flight": (two_way, ("raw", "rpcnet", "aiohttp"), 0.80),
    "W5 echoes of 1 MiB a second": (large, ("raw", "rpcnet", "aiohttp"), 2.0),
}
"""By name: what is done, by whom, and which ratio of rpcnet to raw is wanted."""
MEMORY = {"KiB of an idle connection, both ends": ("connections", 8.0), "KiB of an idle stream": ("streams", 6.0)}
"""By name: what is opened, and the most that is wanted."""


async def measure(addresses: dict[str, str], rounds: int, seconds: float) -> dict[str, Any]:
    async with contextlib.AsyncExitStack() as stack:
        host, _, port = addresses["raw"].partition(":")
        _, raw = await asyncio.get_running_loop().create_connection(Raw, host, int(port))
        stack.callback(raw.transport.close)
        peers: dict[str, Any] = {
            "raw": raw,
            "rpcnet": Rpc(await stack.enter_async_context(RpcClient.connect(addresses["rpcnet"]))),
        }
        if "aiohttp" in addresses:
            import aiohttp

            session = await stack.enter_async_context(aiohttp.ClientSession())
            peers["aiohttp"] = Aiohttp(session, addresses["aiohttp"])
        figures: dict[str, Any] = {}
        samples: dict[str, dict[str, list[float]]] = {
            name: {peer: [] for peer in among if peer in peers} for name, (_, among, _) in WORKLOADS.items()
        }
        for number in range(rounds):
            for name, (workload, _, _) in WORKLOADS.items():
                for peer, taken in samples[name].items():
                    taken.append(await workload(peers[peer], seconds))
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    for name, by_peer in samples.items():
        figures[name] = {"wanted": WORKLOADS[name][2]}
        for peer, taken in by_peer.items():
            ratios = [one / floor for one, floor in zip(taken, by_peer["raw"], strict=True)]
            figures[name][peer] = {
                "rate": statistics.median(taken),
                "ratio": statistics.median(ratios),
                "spread": [min(ratios), max(ratios)],
            }
    return figures


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def grown(what: str) -> float:
    """KiB of resident memory that one more takes at both ends, which are in this process."""
    async with rpc_server() as server, contextlib.AsyncExitStack() as stack:

        async def client() -> RpcClient:
            made = await stack.enter_async_context(RpcClient.connect(server.address))
            await made.call("unary", SMALL, response=Small)
            return made

        async def streams(count: int) -> list[Any]:
            opened = []
            for number in range(count):
                if number % STREAMS_EACH == 0:
                    caller = await client()
                stream = await stack.enter_async_context(caller.call_streaming("two_way", response=Small))
                await stream.send(SMALL)
                await stream.receive()
                opened.append(stream)
            return opened

        async def connections(count: int) -> list[Any]:
            return [await client() for _ in range(count)]

        make, count = {"connections": (connections, CONNECTIONS), "streams": (streams, STREAMS)}[what]
        kept = await make(count // 4)  # what the first ones have made for all
        gc.collect()
        before = resident()
        kept += await make(count)
        gc.collect()
        return (resident() - before) / count / 1024


def served(peer: str) -> tuple[subprocess.Popen[str], str]:
    server = subprocess.Popen([sys.executable, __file__, "--serve", peer], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    return server, server.stdout.readline().strip()


def main() -> None:
    arguments = argparse.ArgumentParser(description="Calls and stream items a second, and memory, beside raw asyncio.")
    arguments.add_argument("--rounds", type=int, default=15)
    arguments.add_argument("--seconds", type=float, default=0.5, help="of each sample")
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--serve", choices=["raw", "rpcnet", "aiohttp"], help=argparse.SUPPRESS)
    arguments.add_argument("--grow", choices=["connections", "streams"], help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.serve:
        asyncio.run({"raw": serve_raw, "rpcnet": serve_rpcnet, "aiohttp": serve_aiohttp}[given.serve]())
        return
    if given.grow:
        print(asyncio.run(grown(given.grow)))
        return
    peers = ["raw", "rpcnet", *(["aiohttp"] if importlib.util.find_spec("aiohttp") else [])]
    servers: dict[str, tuple[subprocess.Popen[str], str]] = {}
    try:
        for peer in peers:
            servers[peer] = served(peer)
        addresses = {peer: address for peer, (_, address) in servers.items()}
        figures = asyncio.run(measure(addresses, given.rounds, given.seconds))
    finally:
        for server, _ in servers.values():
            server.kill()
            server.communicate()
    for name, (what, wanted) in MEMORY.items():
        command = [sys.executable, __file__, "--grow", what]
        kib = [float(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout) for _ in range(5)]
        figures[name] = {"wanted": wanted, "rpcnet": {"kib": statistics.median(kib), "spread": [min(kib), max(kib)]}}
    if given.json:
        print(json.dumps(figures, indent=2))
    else:
        show(figures)


def show(figures: dict[str, Any]) -> None:
    print(f"{'':46}{'raw':>10}{'rpcnet':>10}{'ratio':>7}{'spread':>13}{'wanted':>8}{'aiohttp':>9}")
    for name, row in figures.items():
        ours = row["rpcnet"]
        low, high = ours["spread"]
        spread = f"{low:.2f}-{high:.2f}"
        if "kib" in ours:
            print(f"{name:46}{'':10}{ours['kib']:10.1f}{'':7}{spread:>13}{'≤ ' + format(row['wanted'], 'g'):>8}")
            continue
        other = f"{row['aiohttp']['ratio']:9.2f}" if "aiohttp" in row else ""
        print(
            f"{name:46}{row['raw']['rate']:10,.0f}{ours['rate']:10,.0f}{ours['ratio']:7.2f}{spread:>13}"
            f"{'≥ ' + format(row['wanted'], 'g'):>8}{other}"
        )


if __name__ == "__main__":
    main()
