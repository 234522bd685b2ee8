"""Which strategy finds which race: planted bugs × interleavings, and the repaired programs.

python benchmarks/races.py [PROGRAM …] [--runs 1000] [--json]

Each program (benchmarks/planted) runs with the seeds 1 to so many. The table says how many of 1,000 runs the bug
struck in, and below, the mean number of runs to the first that finds it (runs / found); `-` where none did. `fifo` must
find none, or it would be no bug of order or time. `cpu` is fifo again, where each step takes CPU. `repaired`: runs of
the repaired twins, of all columns, that found something: none may. The exit code is 1 where one of these is broken.

A hundred runs of a program take about a second for all strategies; `--runs 1000` of all takes some minutes.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import sim
from benchmarks.planted import Program
from benchmarks.planted.ordering import deep_ordering, shallow_ordering
from benchmarks.planted.state import aba, cache_stampede, check_then_set, double_close, torn_read_modify_write
from benchmarks.planted.time import assumed_ready, lease_runs_out
from benchmarks.planted.waiting import cancelled_wait_for, deadlock_of_two_locks, lost_wake_up, starvation
from sim.kernel.interleaving.interleaving import INTERLEAVINGS

PROGRAMS: dict[str, Program] = {
    "check-then-set": check_then_set,
    "lost wake-up": lost_wake_up,
    "starvation": starvation,
    "shallow ordering": shallow_ordering,
    "deep ordering": deep_ordering,
    "deadlock of two locks": deadlock_of_two_locks,
    "double close": double_close,
    "cache stampede": cache_stampede,
    "ABA": aba,
    "torn read-modify-write over RPC": torn_read_modify_write,
    "assumed ready": assumed_ready,
    "lease runs out": lease_runs_out,
}
if sys.version_info < (3, 12):
    PROGRAMS["cancelled wait_for"] = cancelled_wait_for
CPU = "lognormal(50us, 1)"
COLUMNS: dict[str, dict[str, str]] = {
    **{name: {"interleaving": name} for name in INTERLEAVINGS},
    "cpu": {"interleaving": "fifo", "cpu": CPU},
}
"""How the programs are run: arguments of sim.run."""
REPAIRED_RUNS = 0.2
"""Of the repaired twins, so large a share of the runs is made."""


def found(program: Program, column: str, seeds: Sequence[int], *, repaired: bool = False) -> list[int]:
    """The seeds with which the bug strikes."""
    return [seed for seed in seeds if sim.run(program(repaired), seed=seed, **COLUMNS[column])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if unknown := [name for name in options.programs if name not in PROGRAMS]:
        parser.error(f"there is no program {unknown[0]}; there are {', '.join(PROGRAMS)}")
    seeds = range(1, options.runs + 1)
    few = seeds[: max(1, int(options.runs * REPAIRED_RUNS))]
    width = max(map(len, PROGRAMS))
    if not options.json:
        print(" " * width + "".join(f"{name:>9}" for name in (*COLUMNS, "repaired")), flush=True)
    wrong = 0
    for name in options.programs or PROGRAMS:
        program = PROGRAMS[name]
        counts = {each: len(found(program, each, seeds)) for each in COLUMNS}
        false = sum(len(found(program, each, few, repaired=True)) for each in COLUMNS)
        wrong += counts["fifo"] + false
        if options.json:
            print(json.dumps({"program": name, "runs": options.runs, "found": counts, "repaired": false}), flush=True)
            continue
        share = "".join(f"{1000 * count / options.runs:9.0f}" for count in counts.values())
        mean = "".join(f"{options.runs / count:9.1f}" if count else f"{'-':>9}" for count in counts.values())
        print(f"{name:{width}}{share}{false:9}\n{'  runs to the first':{width}}{mean}", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
