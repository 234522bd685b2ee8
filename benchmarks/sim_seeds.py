"""Seeds a second: five nodes under a crash with restart and a partition, on this simulator and on simloop.

python benchmarks/sim_seeds.py [--seeds 200] [--rounds 10] [--json]

The same asyncio program, which knows of no simulator, runs with one seed after the other in this process, for 20
virtual seconds each: every node asks random peers over connections that it keeps and makes again where they broke, and
probes random peers with datagrams. Ours writes its full trace to disk; simloop keeps its own in memory. The seeds are
swept in rounds, in which the two take turns: many short ones, as other work on the machine comes and goes in seconds.
Figures are CPU seconds of this process, the ratio is the median of the ratios within each round. What each of the two
saw is printed, so that one can see that both did the same work and that both faults were felt.

simloop is optional, and needs Python 3.12: `pip install simloop`; without it only our figure is printed.
"""

import argparse
import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from sim import Simulation

NAMES = [f"n{i}" for i in range(5)]
CRASHED, MINORITY, MAJORITY = "n1", NAMES[:2], NAMES[2:]
CRASH, RESTART, SPLIT, HEAL, END = 5.0, 7.0, 10.0, 13.0, 20.0
LATENCY = 0.0005, 0.0015
STREAMS, DATAGRAMS = 7000, 7001
ASK_EVERY, PROBE_EVERY = 0.25, 0.5
PATIENCE, IDLE = 0.5, 4.0


class Seen:
    """What happened to a program, over all of its nodes and seeds."""

    def __init__(self) -> None:
        self.asked = self.probed = self.boots = self.connected = 0
        self.lost: list[float] = []
        """When a question or probe stayed without an answer."""

    def told(self) -> dict[str, int]:
        down, split = ((CRASH, RESTART + PATIENCE), (SPLIT, HEAL + PATIENCE))
        counted = [sum(begin <= when <= end for when in self.lost) for begin, end in (down, split)]
        return {
            "answers over streams": self.asked,
            "answers to datagrams": self.probed,
            "connections made": self.connected,
            "programs started": self.boots,
            "unanswered in the crash": counted[0],
            "unanswered in the partition": counted[1],
            "unanswered else": len(self.lost) - sum(counted),
        }


# -- the program -------------------------------------------------------------------------------------------------------


class Prober(asyncio.DatagramProtocol):
    """Answers probes, and waits for the answers to its own."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, asyncio.Future[None]] = {}
        self.number = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        kind, number = data[:1], data[1:]
        if kind == b"?":
            self.transport.sendto(b"!" + number, addr)
        elif (answered := self.waiting.pop(number, None)) is not None and not answered.done():
            answered.set_result(None)

    async def probe(self, peer: str) -> None:
        self.number += 1
        number = self.number.to_bytes(8)
        self.waiting[number] = answered = asyncio.get_running_loop().create_future()
        self.transport.sendto(b"?" + number, (peer, DATAGRAMS))
        try:
            async with asyncio.timeout(PATIENCE):
                await answered
        finally:
            self.waiting.pop(number, None)


class Asker:
    """Keeps a connection to each peer that it has asked; one that fails is made again with the next question."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.connections: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def ask(self, peer: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                if peer not in self.connections:
                    self.connections[peer] = await asyncio.open_connection(peer, STREAMS)
                    self.seen.connected += 1
                reader, writer = self.connections[peer]
                writer.write(b"how are you?\n")
                await writer.drain()
                if await reader.readline() != b"HOW ARE YOU?\n":
                    raise ConnectionError(f"{peer} hung up")
        except (OSError, TimeoutError):
            self.hang_up(peer)
            raise

    def hang_up(self, peer: str) -> None:
        if peer in self.connections:
            self.connections.pop(peer)[1].close()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection, until it ends or nothing came for a while."""
    try:
        while True:
            async with asyncio.timeout(IDLE):
                line = await reader.readline()
            if not line:
                break
            writer.write(line.upper())
            await writer.drain()
    except (OSError, TimeoutError):
        pass
    finally:
        writer.close()


async def member(index: int, seed: int, seen: Seen) -> None:
    seen.boots += 1
    loop, draw = asyncio.get_running_loop(), Random(f"{seed}/{index}")
    peers = [name for i, name in enumerate(NAMES) if i != index]
    server = await asyncio.start_server(answer, "0.0.0.0", STREAMS)
    transport, prober = await loop.create_datagram_endpoint(Prober, ("0.0.0.0", DATAGRAMS))
    asker = Asker(seen)

    async def asking() -> None:
        while True:
            await asyncio.sleep(ASK_EVERY * (0.5 + draw.random()))
            try:
                await asker.ask(draw.choice(peers))
                seen.asked += 1
            except (OSError, TimeoutError):
                seen.lost.append(loop.time())

    async def probing() -> None:
        while True:
            await asyncio.sleep(PROBE_EVERY * (0.5 + draw.random()))
            try:
                await prober.probe(draw.choice(peers))
                seen.probed += 1
            except TimeoutError:
                seen.lost.append(loop.time())

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asking())
            tasks.create_task(probing())
    finally:
        for peer in list(asker.connections):
            asker.hang_up(peer)
        transport.close()
        server.close()


# -- the two simulators ------------------------------------------------------------------------------------------------


def here(seed: int, seen: Seen, trace: Path) -> None:
    with Simulation(seed, trace=trace) as simulation:
        low, high = LATENCY
        simulation.network.default_link(latency=f"uniform({low}s, {high}s)")
        for index, name in enumerate(NAMES):
            simulation.add_node(name).start(member, index, seed, seen)
        simulation.run(until=CRASH)
        simulation.nodes[CRASHED].crash()
        simulation.run(until=RESTART)
        simulation.nodes[CRASHED].restart()
        simulation.run(until=SPLIT)
        simulation.network.partition(MINORITY, MAJORITY, name="split")
        simulation.run(until=HEAL)
        simulation.network.heal("split")
        simulation.run(until=END)
    if simulation.leaks:
        raise RuntimeError(f"seed {seed} left behind: {simulation.leaks}")


def on_simloop(seed: int, seen: Seen) -> None:
    loop: Any = import_module("simloop").SimLoop(seed=seed)
    network = loop.net
    network.set_defaults(latency=LATENCY)

    def boot(index: int) -> Any:
        return network.host(NAMES[index]).create_task(member(index, seed, seen))

    async def test() -> None:
        members = [boot(index) for index in range(len(NAMES))]
        await asyncio.sleep(CRASH)
        network.host(CRASHED).crash()
        await asyncio.sleep(RESTART - CRASH)
        network.host(CRASHED).restart()
        members.append(boot(NAMES.index(CRASHED)))
        await asyncio.sleep(SPLIT - RESTART)
        network.partition(MINORITY, MAJORITY)
        await asyncio.sleep(HEAL - SPLIT)
        network.heal()
        await asyncio.sleep(END - HEAL)
        for task in members:
            task.cancel()
        await asyncio.gather(*members, return_exceptions=True)
        await asyncio.sleep(1)  # what they closed reaches the others

    try:
        loop.run_until_complete(test())
    finally:
        loop.close()


# -- what is measured --------------------------------------------------------------------------------------------------


def sweep(run: Callable[[int, Seen], None], seeds: range, seen: Seen) -> float:
    """The CPU seconds for these seeds."""
    gc.collect()
    start = time.process_time()
    for seed in seeds:
        run(seed, seen)
    return time.process_time() - start


def measure(rounds: int, seeds: int, trace: Path) -> dict[str, Any]:
    simulators: dict[str, Callable[[int, Seen], None]] = {"ours": lambda seed, seen: here(seed, seen, trace)}
    if find_spec("simloop") is not None:
        simulators["simloop"] = on_simloop
    seconds: dict[str, list[float]] = {name: [] for name in simulators}
    seen = {name: Seen() for name in simulators}
    for run in simulators.values():
        sweep(run, range(min(seeds, 5)), Seen())  # imports and caches
    each = max(1, seeds // rounds)
    for number in range(rounds):
        for name in sorted(simulators, reverse=bool(number % 2)):
            seconds[name].append(sweep(simulators[name], range(number * each, (number + 1) * each), seen[name]))
    found: dict[str, Any] = {"seeds_a_second": {n: each / statistics.median(spent) for n, spent in seconds.items()}}
    if "simloop" in simulators:
        pairs = zip(seconds["simloop"], seconds["ours"], strict=True)
        found["ratio"] = statistics.median(theirs / ours for theirs, ours in pairs)
    return found | {"seen": {name: saw.told() for name, saw in seen.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options.rounds, options.seeds, Path(folder) / "trace")
    if options.json:
        print(json.dumps(found))
        return
    names = list(found["seen"])
    print("".ljust(32) + "".join(f"{name:>12}" for name in names))
    print("seeds a second".ljust(32) + "".join(f"{found['seeds_a_second'][name]:12.1f}" for name in names))
    for what in found["seen"]["ours"]:
        print(what.ljust(32) + "".join(f"{found['seen'][name][what]:12,}" for name in names))
    if "ratio" in found:
        print("ours beside simloop".ljust(32) + f"{found['ratio']:11.2f}×   target ≥ 2")
    else:
        print("for the ratio: simloop is not installed here (Python 3.12 or later, `pip install simloop`)")


if __name__ == "__main__":
    main()
