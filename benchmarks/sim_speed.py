"""How fast the simulator is beside raw asyncio on the same machine: echo over streams, datagrams between nodes.

python benchmarks/sim_speed.py [--calls 20000] [--rounds 5]

The same programs run on real loopback sockets (asyncio.run) and in the simulator (trace on disk), in turn; the last
line gives the ratios of the medians. Then the cost of one simulated message for 10 to 1,000 nodes at equal total work:
a step that is quadratic in nodes would show as a rising row. CPU seconds of this process, as machines are shared.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sim import Simulation

WORKERS = 10
PORT = 7000


async def serve(host: str, ready: asyncio.Event | None = None) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async with await asyncio.start_server(handle, host, PORT) as server:
        if ready is not None:
            ready.set()
        await server.serve_forever()


async def call(host: str, calls: int) -> None:
    async def one() -> None:
        reader, writer = await asyncio.open_connection(host, PORT)
        for _ in range(calls // WORKERS):
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
        writer.close()

    await asyncio.gather(*[one() for _ in range(WORKERS)])


async def probe(index: int, names: list[str], rounds: int) -> None:
    """Send a datagram to a random peer and wait for its answer, so many times."""
    loop = asyncio.get_running_loop()
    draw, answered = random.Random(index), asyncio.Event()

    class Peer(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            if data == b"ping":
                transport.sendto(b"pong", addr)
            else:
                answered.set()

    transport, _ = await loop.create_datagram_endpoint(Peer, ("0.0.0.0", PORT))
    await asyncio.sleep(1)
    for _ in range(rounds):
        answered.clear()
        transport.sendto(b"ping", (draw.choice(names), PORT))
        await answered.wait()
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    transport.close()


def echo_on_sockets(calls: int) -> None:
    async def main() -> None:
        ready = asyncio.Event()
        server = asyncio.create_task(serve("127.0.0.1", ready))
        await ready.wait()
        await call("127.0.0.1", calls)
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)

    asyncio.run(main())


def echo_simulated(calls: int, trace: Path) -> None:
    with Simulation(1, trace=trace) as simulation:
        simulation.network.default_link(latency="uniform(0.5ms, 1.5ms)")
        simulation.add_node("server").start(serve, "0.0.0.0")
        simulation.run_until_complete(simulation.add_node("client").start(call, "server", calls, delay=0.1))


def probes_simulated(nodes: int, messages: int, trace: Path) -> None:
    with Simulation(1, trace=trace) as simulation:
        simulation.network.default_link(latency="uniform(0.5ms, 1.5ms)")
        names = [f"n{i}" for i in range(nodes)]
        for i, name in enumerate(names):
            simulation.add_node(name).start(probe, i, names, messages // nodes // 2)
        simulation.run()


def cpu_seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        echo_simulated(200, trace)  # imports and caches
        real, simulated = [], []
        for _ in range(options.rounds):
            real.append(cpu_seconds(lambda: echo_on_sockets(options.calls)))
            simulated.append(cpu_seconds(lambda: echo_simulated(options.calls, trace)))
        print(f"echo calls a CPU second: {options.calls / statistics.median(real):10,.0f} raw asyncio on loopback")
        print(
            f"                         {options.calls / statistics.median(simulated):10,.0f} simulated, trace on disk"
        )
        slope = []
        messages = 40_000
        for nodes in (10, 100, 1000):
            took = min(cpu_seconds(lambda n=nodes: probes_simulated(n, messages, trace)) for _ in range(2))
            slope.append(took / messages)
            print(f"one message among {nodes:5,} nodes: {took / messages * 1e6:6.1f} µs")
    speedup = statistics.median(real) / statistics.median(simulated)
    grown = slope[-1] / slope[0]
    print(f"simulated echo {speedup:.2f}x raw asyncio; a message among 1,000 nodes costs {grown:.2f}x one among 10")


if __name__ == "__main__":
    main()
