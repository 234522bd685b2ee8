"""What the parts of the simulator cost, against itself without them.

python benchmarks/sim_overheads.py [--rounds 7] [--quick] [--json]

* trace: echoes over streams with the trace on disk, against the same with a trace that drops what it is given;
* network: the same echoes over a link with loss and bandwidth, against one with latency alone;
* start: making, running and closing a simulation with nothing in it, and one with a node;
* slope: datagrams between 10, 100, 1,000 and 10,000 nodes at equal total work, ten probes each among the most;
* floor: the same program as that many tasks of one bare loop, with no machines, no network between them and no trace:
  what Python's own objects cost when there are more of them than the processor's caches hold;
* seeds: a program of five nodes under a crash with restart and a partition, run with one seed after the other.

Rounds are interleaved, so that noise hits all alike. Figures are CPU seconds of this process, as machines are shared;
a ratio is the median of the ratios within each round.
"""

import argparse
import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from asyncio import events
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from sim import Simulation

PORT = 7000
WORKERS = 10
LATENCY = "uniform(0.5ms, 1.5ms)"
LOSSY = {"latency": LATENCY, "loss": 0.01, "bandwidth": "1Gbit/s"}
TARGETS = {"trace": 1.25, "network": 2.0, "start_seconds": 0.005, "slope": 1.5}


# -- programs ----------------------------------------------------------------------------------------------------------


async def serve() -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async with await asyncio.start_server(handle, "0.0.0.0", PORT) as server:
        await server.serve_forever()


async def ask(calls: int) -> None:
    async def one() -> None:
        reader, writer = await asyncio.open_connection("server", PORT)
        for _ in range(calls // WORKERS):
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
        writer.close()

    await asyncio.gather(*[one() for _ in range(WORKERS)])


class Peer(asyncio.DatagramProtocol):
    """Answers pings, and says when a pong has come."""

    answered: "asyncio.Future[None] | None" = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if data == b"ping":
            self.transport.sendto(b"pong", addr)
        elif self.answered is not None and not self.answered.done():
            self.answered.set_result(None)


async def probe(index: int, names: list[str], rounds: int) -> None:
    """Once a second a ping to a random peer, whose answer is awaited for half a second at most."""
    loop = asyncio.get_running_loop()
    draw = Random(index)
    transport, peer = await loop.create_datagram_endpoint(Peer, ("0.0.0.0", PORT))
    await asyncio.sleep(draw.random())
    for _ in range(rounds):
        peer.answered = loop.create_future()
        transport.sendto(b"ping", (draw.choice(names), PORT))
        try:
            async with asyncio.timeout(0.5):
                await peer.answered
        except TimeoutError:
            pass
        await asyncio.sleep(1)
    await asyncio.sleep(1)
    transport.close()


# -- the least that it could cost --------------------------------------------------------------------------------------


class BareLoop(asyncio.BaseEventLoop):
    """Virtual time for one program and nothing else: a heap of tuples, and a datagram is a callback with a delay."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.later: list[Any] = []
        self.next_key = count().__next__
        self.draw = Random(1).random
        self.hearers: dict[Any, Peer] = {}

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        handle = events.Handle(callback, args, self, context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        timer = events.TimerHandle(when, callback, args, self, context)
        heappush(self.later, (when, self.next_key(), timer))
        return timer

    def _timer_handle_cancelled(self, handle: Any) -> None:
        pass

    async def create_datagram_endpoint(self, factory: Any, local: Any) -> Any:  # type: ignore[override]
        name, peer = f"n{len(self.hearers)}", factory()
        self.hearers[name, local[1]] = peer
        transport = BareTransport(self, (name, local[1]))
        peer.connection_made(transport)
        return transport, peer

    def complete(self, work: Any) -> None:
        events._set_running_loop(self)
        try:
            task, ready = asyncio.Task(work, loop=self), self._ready  # type: ignore[attr-defined]
            while not task.done():
                if ready:
                    handle = ready.popleft()
                else:
                    self.now, _, handle = heappop(self.later)
                if not handle._cancelled:
                    handle._context.run(handle._callback, *handle._args)
        finally:
            events._set_running_loop(None)
            self.close()


class BareTransport:
    def __init__(self, loop: BareLoop, own: Any) -> None:
        self.loop, self.own = loop, own

    def sendto(self, data: bytes, to: Any) -> None:
        loop = self.loop
        loop.call_later(0.0005 + 0.001 * loop.draw(), loop.hearers[to].datagram_received, data, self.own)

    def close(self) -> None:
        pass


# -- what is measured --------------------------------------------------------------------------------------------------


def echoes(calls: int, trace: Path | None, link: dict[str, Any]) -> None:
    with Simulation(1, trace=trace) as simulation:
        if trace is None:
            simulation.trace.append = bool  # keeps nothing
        simulation.network.default_link(**link)
        simulation.add_node("server").start(serve)
        simulation.run_until_complete(simulation.add_node("client").start(ask, calls, delay=0.1))


def probes(nodes: int, work: int, trace: Path) -> None:
    simulation = Simulation(1, trace=trace)
    simulation.network.default_link(latency=LATENCY)
    names = [f"n{i}" for i in range(nodes)]
    for i, name in enumerate(names):
        simulation.add_node(name).start(probe, i, names, work // nodes)
    simulation.run()


def bare_probes(nodes: int, work: int) -> None:
    names = [f"n{i}" for i in range(nodes)]

    async def all_of_them() -> None:
        await asyncio.gather(*[probe(i, names, work // nodes) for i in range(nodes)])

    collecting = gc.isenabled()
    gc.disable()
    try:
        BareLoop().complete(all_of_them())
    finally:
        if collecting:
            gc.enable()


def empty(nodes: int) -> None:
    with Simulation(1) as simulation:
        for i in range(nodes):
            simulation.add_node(f"n{i}")
        simulation.run(until=1.0)


def five_nodes(seed: int) -> None:
    """Twenty seconds of five nodes that probe each other, under two faults."""
    with Simulation(seed) as simulation:
        simulation.network.default_link(latency=LATENCY, loss=0.01)
        names = [f"n{i}" for i in range(5)]
        for i, name in enumerate(names):
            simulation.add_node(name).start(probe, i, names, 18)

        def faults() -> Any:
            yield simulation.environment.timeout(5.0)
            simulation.nodes["n1"].crash()
            yield simulation.environment.timeout(2.0)
            simulation.nodes["n1"].restart()
            yield simulation.environment.timeout(2.0)
            simulation.network.partition(["n0", "n1"], ["n2", "n3", "n4"], name="split")
            yield simulation.environment.timeout(4.0)
            simulation.network.heal("split")

        simulation.environment.process(faults())
        simulation.run(until=20.0)


def cpu_seconds(work: Callable[[], None]) -> float:
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


def interleaved(rounds: int, works: dict[str, Callable[[], None]]) -> dict[str, list[float]]:
    """The seconds of each, round by round; the first round, in which things are imported and cached, is not counted."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            seconds = cpu_seconds(work)
            if number:
                found[name].append(seconds)
    return found


def ratio(found: dict[str, list[float]], one: str, other: str) -> float:
    return statistics.median(a / b for a, b in zip(found[one], found[other], strict=True))


def measure(rounds: int, calls: int, work: int, nodes: list[int], trace: Path) -> dict[str, Any]:
    plain = {"latency": LATENCY}
    parts = interleaved(
        rounds,
        {
            "bare": lambda: echoes(calls, None, plain),
            "traced": lambda: echoes(calls, trace, plain),
            "lossy": lambda: echoes(calls, trace, LOSSY),
        },
    )
    starts = interleaved(5 * rounds, {"empty": lambda: empty(0), "one_node": lambda: empty(1)})
    slopes = interleaved(
        max(2, rounds // 2),
        {str(n): (lambda n=n: probes(n, work, trace)) for n in nodes}  # type: ignore[misc]
        | {f"floor {n}": (lambda n=n: bare_probes(n, work)) for n in nodes},  # type: ignore[misc]
    )
    seeds = interleaved(rounds, {"seeds": lambda: [five_nodes(seed) for seed in range(10)] and None})
    medians = {name: statistics.median(times) for name, times in slopes.items()}
    most, least = str(nodes[-1]), str(nodes[0])
    return {
        "trace": ratio(parts, "traced", "bare"),
        "network": ratio(parts, "lossy", "traced"),
        "echoes_a_second": calls / statistics.median(parts["traced"]),
        "start_seconds": statistics.median(starts["empty"]),
        "start_with_a_node_seconds": statistics.median(starts["one_node"]),
        "microseconds_a_probe": {name: seconds / work * 1e6 for name, seconds in medians.items()},
        "slope": ratio(slopes, most, least),
        "slope_of_the_floor": ratio(slopes, f"floor {most}", f"floor {least}"),
        "seeds_a_second": 10 / statistics.median(seeds["seeds"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, at most 1,000 nodes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    calls, work, nodes = (
        (2_000, 5_000, [10, 100, 1_000]) if options.quick else (20_000, 100_000, [10, 100, 1_000, 10_000])
    )
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.rounds, calls, work, nodes, Path(folder) / "trace")
    if options.json:
        print(json.dumps(found))
        return
    for name, figure in found.items():
        shown = figure if isinstance(figure, dict) else {"": figure}
        for of, value in shown.items():
            target = f"   target ≤ {TARGETS[name]:g}" if name in TARGETS else ""
            print(f"{name.replace('_', ' ')} {of}".ljust(34) + f"{value:12,.4g}{target}")


if __name__ == "__main__":
    main()
