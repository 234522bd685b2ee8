"""Instructions that one message, one node, one connection, one member at rest take in the simulator, by valgrind.

python benchmarks/sim_instructions.py [CASE …] [--json]

Seconds on a shared machine differ by half from one minute to the next; instructions do not, so that a change of a
percent can be seen. They leave out what memory takes: among ten thousand nodes a probe costs as many instructions as
among ten, and more time (sim_overheads.py tells it). Each case runs twice in a process of its own, with less and with
more of the same work; the difference is what one takes, and what starting Python takes is not in it.

`member-second` is a second of a sealed cluster member at rest (membership_scale.py): about a ping sent, another
received and answered, an answer received.

Needs valgrind (Debian's package of that name). A case takes some ten seconds, `probe-of-3000` a minute.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from membership_scale import SETTLED, start
from sim_overheads import LATENCY, LOSSY, PORT, echoes, probe, probes

from sim import Simulation


def nodes(count: int, trace: Path) -> Simulation:
    simulation = Simulation(1, trace=trace)
    simulation.network.default_link(latency=LATENCY)
    names = [f"n{i}" for i in range(count)]
    for i, name in enumerate(names):
        simulation.add_node(name).start(probe, i, names, 1)
    return simulation


def connections(count: int, trace: Path) -> None:
    """One after another; the server hangs up at once."""

    async def serve() -> None:
        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        async with await asyncio.start_server(hang_up, "0.0.0.0", PORT) as server:
            await server.serve_forever()

    async def connect() -> None:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("server", PORT)
            await reader.read()
            writer.close()
            await writer.wait_closed()

    simulation = Simulation(1, trace=trace)
    simulation.network.default_link(latency=LATENCY)
    simulation.add_node("server").start(serve)
    simulation.run_until_complete(simulation.add_node("client").start(connect, delay=0.1))


def members(seconds: int, trace: Path) -> None:
    """So many seconds of one member, by ten that are joined and at rest."""
    simulation = Simulation(1, trace=trace)
    start(simulation, 10, keyed=True)
    simulation.run(until=SETTLED + seconds / 10)


CASES: dict[str, tuple[int, int, Callable[[int, Path], object]]] = {
    "node": (20, 220, nodes),
    "node-that-binds": (20, 220, lambda count, trace: nodes(count, trace).run(until=0.0)),
    "connection": (10, 110, connections),
    "echo": (100, 1_100, lambda count, trace: echoes(count, trace, {"latency": LATENCY})),
    "echo-lossy": (100, 1_100, lambda count, trace: echoes(count, trace, LOSSY)),
    "member-second": (100, 1_100, members),
    "probe-of-20": (200, 1_200, lambda count, trace: probes(20, count, trace)),
    "probe-of-3000": (6_000, 30_000, lambda count, trace: probes(3_000, count, trace)),
}
"""By name: how many in the shorter run, how many in the longer one, and what runs so many."""


def counted(case: str, count: int) -> int:
    """The instructions of a process that does so much of a case."""
    words = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run(
        [*words, sys.executable, __file__, "--do", case, str(count)],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    assert found is not None, done.stderr
    return int(found[1].replace(",", ""))


def do(case: str, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        CASES[case][2](count, Path(folder) / "trace")
    os._exit(0)  # what ending takes is nobody's


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all where left out")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--do", nargs=2, metavar=("CASE", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.do:
        do(options.do[0], int(options.do[1]))
    if unknown := set(options.cases) - CASES.keys():
        parser.error(f"there is no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not installed (on Debian: apt-get install valgrind)")
    found = {}
    for case in options.cases or CASES:
        less, more, _ = CASES[case]
        found[case] = round((counted(case, more) - counted(case, less)) / (more - less))
        if not options.json:
            print(f"{case:16s} {found[case]:10,} instructions", flush=True)
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
