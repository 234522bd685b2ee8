"""Break one thing at a time in a room, and see whether the room's own tests notice.

    python -m tests.mutation ROOM [--sample N --seed S] [--jobs 2]

Prints every survivor that survivors.toml does not argue, with its diff and the entry to add, and every mutant that was
killed because it hangs. Exit code 1 where there is a survivor without a reason, or where the list names one that no
longer exists or survives.
"""

import argparse
import sys
import time
from math import inf
from pathlib import Path
from random import Random

from tests.mutation.rooms import ROOMS
from tests.mutation.run import Verdict, mutants_of, run
from tests.mutation.survivors import complaints, load

ROOT = Path(__file__).parents[2]


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.mutation", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("room", choices=ROOMS, help="whose sources are changed, and whose tests run")
    options.add_argument("--sample", type=int, metavar="N", help="so many mutants, drawn by --seed, instead of all")
    options.add_argument("--seed", type=int, default=1, metavar="S")
    options.add_argument("--jobs", type=int, default=2, help="how many run at once (2)")
    options.add_argument(
        "--budget", type=float, default=inf, metavar="SECONDS", help="of tests beyond those of the first few files"
    )
    options.add_argument("--only", default="", metavar="TEXT", help="mutants of files whose path contains this")
    given = options.parse_args()
    room = ROOMS[given.room]
    everything = mutants_of(ROOT, room)
    chosen = [mutant for mutant in everything if given.only in mutant.file]
    if given.sample is not None and given.sample < len(chosen):
        chosen = [chosen[place] for place in sorted(Random(given.seed).sample(range(len(chosen)), given.sample))]
    argued, began = load(), time.monotonic()
    print(f"{given.room}: {len(chosen)} of {len(everything)} mutants", flush=True)

    def tell(verdict: Verdict, done: int) -> None:
        if verdict.survived and verdict.mutant.key not in argued:
            print(
                f"[{done}/{len(chosen)}] survived: {verdict.mutant.file}:{verdict.mutant.first} "
                f"{verdict.mutant.line}  ->  {verdict.mutant.mutant}",
                flush=True,
            )
        elif verdict.hangs:
            print(
                f"[{done}/{len(chosen)}] hangs ({verdict.why}): {verdict.mutant.file}:{verdict.mutant.first} "
                f"{verdict.mutant.line}  ->  {verdict.mutant.mutant}",
                flush=True,
            )
        elif done % 50 == 0:
            print(f"[{done}/{len(chosen)}] {time.monotonic() - began:.0f} s", flush=True)

    verdicts = run(ROOT, room, chosen, jobs=given.jobs, tell=tell, budget=given.budget)
    wrong = complaints(argued, everything, verdicts)
    survivors = sum(verdict.survived for verdict in verdicts)
    for text in wrong:
        print(f"\n{text}")
    print(
        f"\n{given.room}: {len(verdicts)} mutants, {len(verdicts) - survivors} killed "
        f"({sum(verdict.hangs for verdict in verdicts)} of them hang), {survivors} survive, "
        f"{len(wrong)} complaints, {time.monotonic() - began:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
