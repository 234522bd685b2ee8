"""Many connections with many streams, few of them active, for an hour: does anything grow?

    python benchmarks/rpc_idle.py [--connections 500] [--streams 50] [--minutes 60] [--json]

Runs in the simulator: a server and a client machine, every connection with its streams open, and each second of virtual
time one stream in a hundred, drawn at random, sends an item and awaits its echo. One row for each tenth of the time:
the virtual latency of an echo (that of the link, unless something holds it up), the CPU time that a virtual second
takes, the objects that Python tracks, and the resident memory.
"""

import argparse
import asyncio
import gc
import json
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from rpcnet import ClientStream, RpcClient, RpcConfig, RpcServer
from sim import Simulation

INSECURE = RpcConfig(insecure=True)
ITEM = b"x" * 100
ROWS = 10
ACTIVE = 100
"""One stream in so many is active in a second."""
BEGIN = 60
"""Virtual seconds in which all streams are opened."""


def resident() -> float:
    """MiB of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


class Program:
    """Both ends; `latencies` are those of the echoes since they were last taken."""

    def __init__(self, connections: int, streams: int, until: float) -> None:
        self.connections = connections
        self.streams = streams
        self.until = until
        self.latencies: list[float] = []
        self.running = 0
        """Handlers that run."""

    async def serve(self) -> None:
        server = RpcServer("server:7000", config=INSECURE)

        async def echo(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            self.running += 1
            try:
                async for item in items:
                    yield item
            finally:
                self.running -= 1

        server.register_streaming("echo", echo, shape="bidirectional")
        async with server:
            await asyncio.sleep(self.until + 2)

    async def call(self) -> None:
        draw = random.Random(1)
        async with AsyncExitStack() as clients:
            opened: list[ClientStream[Any]] = []
            for _ in range(self.connections):
                client = await RpcClient.connect("server:7000", config=INSECURE)
                await clients.enter_async_context(client)
                opened += [client.call_streaming("echo") for _ in range(self.streams)]
            for stream in opened:
                await self.exchange(stream)
            active = max(1, len(opened) // ACTIVE)
            while asyncio.get_running_loop().time() < self.until:
                await asyncio.gather(*map(self.exchange, draw.sample(opened, active)))
                await asyncio.sleep(1)

    async def exchange(self, stream: ClientStream[Any]) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await stream.send(ITEM)
        await stream.receive()
        self.latencies.append(loop.time() - begun)


def measure(connections: int, streams: int, seconds: int) -> list[dict[str, float]]:
    """Rows of figures, one for each tenth of the time."""
    program = Program(connections, streams, BEGIN + seconds)
    rows: list[dict[str, float]] = []
    with Simulation(seed=1) as simulation:
        simulation.network.default_link(latency="1ms")
        simulation.add_node("server").start(program.serve)
        simulation.add_node("client").start(program.call)
        simulation.run(until=BEGIN)
        for row in range(ROWS):
            program.latencies.clear()
            begun = time.process_time()
            simulation.run(until=BEGIN + seconds * (row + 1) / ROWS)
            used = time.process_time() - begun
            gc.collect()
            rows.append({
                "latency_p50_ms": statistics.median(program.latencies) * 1e3,
                "latency_max_ms": max(program.latencies) * 1e3,
                "cpu_ms_per_second": used / seconds * ROWS * 1e3,
                "objects": len(gc.get_objects()),
                "resident_mib": resident(),
                "open_streams": program.running,
            })  # fmt: skip
        simulation.run(until=BEGIN + seconds + 10)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--connections", type=int, default=500)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--minutes", type=int, default=60, help="of virtual time")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure(options.connections, options.streams, options.minutes * 60)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{options.connections} connections, {options.streams} streams each, {options.minutes} virtual minutes")
    print("latency p50, max (virtual ms) | CPU ms a virtual second | objects | resident MiB | streams open")
    for row in rows:
        print(
            f"{row['latency_p50_ms']:8.3f} {row['latency_max_ms']:8.3f} | {row['cpu_ms_per_second']:8.1f}"
            f" | {row['objects']:>9,.0f} | {row['resident_mib']:7.1f} | {row['open_streams']:,.0f}"
        )


if __name__ == "__main__":
    main()
