"""How fast are calls over real sockets, beside raw asyncio on the same machine?

    python benchmarks/rpc_speed.py [--rounds 5] [--seconds 1.0] [--json]

A server process and this client process talk over 127.0.0.1. The raw peer is the floor, not a library: frames with a
length, echoed by an asyncio.Protocol, no call numbers, no deadlines, no flow control. Rounds are interleaved, so that
noise hits both alike; a figure is the median of its rounds, a ratio the median of the ratios within each round.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from struct import Struct

sys.path.insert(0, str(Path(__file__).parents[1]))

from rpcnet import RpcClient, RpcServer

BODY = b"x" * 60
ITEM = b"x" * 100
IN_FLIGHT = 64
STREAM_ITEMS = 20_000
SIZE = Struct("!I")


class Frames(asyncio.Protocol):
    """Cuts what it reads into frames with a length."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        data = self.buffer + data if self.buffer else data
        at, size = 0, len(data)
        while size - at >= 4:
            stop = at + 4 + SIZE.unpack_from(data, at)[0]
            if stop > size:
                break
            self.frame(data[at + 4 : stop])
            at = stop
        self.buffer = data[at:]

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
        if len(body) == 4:
            self.task = asyncio.create_task(self.stream(SIZE.unpack(body)[0]))
        else:
            self.transport.write(SIZE.pack(len(body)) + body)

    async def stream(self, count: int) -> None:
        for _ in range(count):
            if not self.writable.is_set():
                await self.writable.wait()
            self.transport.write(SIZE.pack(len(ITEM)) + ITEM)


class RawClient(Frames):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.waiting: deque[asyncio.Future[bytes]] = deque()

    def frame(self, body: bytes) -> None:
        self.waiting.popleft().set_result(body)

    async def call(self, body: bytes) -> bytes:
        reply: asyncio.Future[bytes] = self.loop.create_future()
        self.waiting.append(reply)
        self.transport.write(SIZE.pack(len(body)) + body)
        return await reply

    async def stream(self, count: int) -> int:
        replies = [self.loop.create_future() for _ in range(count)]
        self.waiting.extend(replies)
        self.transport.write(SIZE.pack(4) + SIZE.pack(count))
        return len([await reply for reply in replies])


async def serve_raw() -> None:
    server = await asyncio.get_running_loop().create_server(RawServer, "127.0.0.1", 0)
    print(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


async def echo(payload: bytes) -> bytes:
    return payload


async def items(payload: bytes) -> AsyncIterator[bytes]:
    for _ in range(SIZE.unpack(payload)[0]):
        yield ITEM


async def serve_rpc() -> None:
    server = RpcServer("127.0.0.1:0")
    server.register("echo", echo)
    server.register_streaming("items", items, shape="server_streaming")
    await server.start()
    print(server.address, flush=True)
    await server.wait_closed()


Call = Callable[[bytes], Awaitable[bytes]]
Stream = Callable[[int], Awaitable[int]]


async def one_after_another(call: Call, _: Stream, seconds: float) -> float:
    done, begun = 0, time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds:
        await call(BODY)
        done += 1
    return done / (now - begun)


async def many_at_once(call: Call, _: Stream, seconds: float) -> float:
    begun = time.perf_counter()
    done = 0

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < begun + seconds:
            await call(BODY)
            done += 1

    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return done / (time.perf_counter() - begun)


async def streaming(_: Call, stream: Stream, seconds: float) -> float:
    done, begun = 0, time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds:
        done += await stream(STREAM_ITEMS)
    return done / (now - begun)


WORKLOADS = {
    "unary calls a second, one after another": one_after_another,
    f"unary calls a second, {IN_FLIGHT} at once": many_at_once,
    "items of 100 bytes a second, one stream": streaming,
}


async def measure(addresses: dict[str, str], rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    host, _, port = addresses["raw"].partition(":")
    _, raw = await asyncio.get_running_loop().create_connection(RawClient, host, int(port))
    samples: dict[str, dict[str, list[float]]] = {name: {"raw": [], "rpcnet": []} for name in WORKLOADS}
    async with RpcClient.connect(addresses["rpcnet"]) as client:
        call = client_call(client)

        async def stream(count: int) -> int:
            return len([item async for item in client.call_server_streaming("items", SIZE.pack(count))])

        peers: dict[str, tuple[Call, Stream]] = {"raw": (raw.call, raw.stream), "rpcnet": (call, stream)}
        assert await call(BODY) == await raw.call(BODY)
        for _ in range(rounds):
            for name, workload in WORKLOADS.items():
                for peer, (one, many) in peers.items():
                    samples[name][peer].append(await workload(one, many, seconds))
    raw.transport.close()
    return {
        name: {
            "raw": statistics.median(both["raw"]),
            "rpcnet": statistics.median(both["rpcnet"]),
            "ratio": statistics.median(b / a for a, b in zip(both["raw"], both["rpcnet"], strict=True)),
        }
        for name, both in samples.items()
    }


def client_call(client: RpcClient) -> Call:
    call = client.call

    def one(body: bytes) -> Awaitable[bytes]:
        return call("echo", body)

    return one


def main() -> None:
    arguments = argparse.ArgumentParser(description="Calls and stream items a second, beside raw asyncio.")
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=float, default=1.0, help="of each sample")
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--serve", choices=["raw", "rpcnet"], help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.serve:
        asyncio.run(serve_raw() if given.serve == "raw" else serve_rpc())
        return
    servers: list[subprocess.Popen[str]] = []
    addresses: dict[str, str] = {}
    try:
        for peer in ("raw", "rpcnet"):
            command = [sys.executable, __file__, "--serve", peer]
            servers.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stdout = servers[-1].stdout
            assert stdout is not None
            addresses[peer] = stdout.readline().strip()
        figures = asyncio.run(measure(addresses, given.rounds, given.seconds))
    finally:
        for server in servers:
            server.kill()
            server.communicate()
    if given.json:
        print(json.dumps(figures, indent=2))
        return
    print(f"{'':42}{'raw asyncio':>12}{'rpcnet':>12}{'ratio':>8}")
    for name, row in figures.items():
        print(f"{name:42}{row['raw']:12,.0f}{row['rpcnet']:12,.0f}{row['ratio']:8.2f}")


if __name__ == "__main__":
    main()
