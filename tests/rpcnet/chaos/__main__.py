"""`python -m tests.rpcnet.chaos SEED [LAST]`: play one seed, or a range; tell of each failure what was expected.

--without 3,7  leave out operations; --shrink  find which can be left out; --jobs N  several processes; --plan  show the
plan; --story  show what was seen of each call even if all is well.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.rpcnet.chaos.draw import draw
from tests.rpcnet.chaos.play import play
from tests.rpcnet.chaos.story import shrunk, told


def check(seed: int, without: tuple[int, ...] = (), shrink: bool = False, story: bool = False) -> tuple[int, str]:
    """Play one seed. The text is empty where all is well."""
    plan = draw(seed).without(without)
    record = play(plan)
    if record.wrong and shrink:
        without = shrunk(plan, without)
        record = play(draw(seed).without(without))
    return seed, told(record, without, story) if record.wrong or story else ""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rpcnet.chaos", description=__doc__)
    parser.add_argument("first", type=int, metavar="SEED")
    parser.add_argument("last", type=int, nargs="?", metavar="LAST", help="play all seeds up to this one")
    parser.add_argument("--without", default="", help="numbers of operations to leave out, with commas")
    parser.add_argument("--shrink", action="store_true", help="leave out what a failure does not need")
    parser.add_argument("--story", action="store_true", help="tell of calls that are well, too")
    parser.add_argument("--plan", action="store_true", help="show what was drawn, and play nothing")
    parser.add_argument("--jobs", type=int, default=1)
    chosen = parser.parse_args(arguments)
    without = tuple(int(number) for number in chosen.without.split(",") if number)
    seeds = range(chosen.first, (chosen.last if chosen.last is not None else chosen.first) + 1)
    if chosen.plan:
        print(*(line for seed in seeds for line in draw(seed).without(without).lines()), sep="\n")
        return 0
    work = partial(check, without=without, shrink=chosen.shrink, story=chosen.story)
    failed = []
    if chosen.jobs > 1:
        with ProcessPoolExecutor(chosen.jobs) as pool:
            results = pool.map(work, seeds, chunksize=4)
            failed = _print(results)
    else:
        failed = _print(map(work, seeds))
    print(f"{len(seeds)} seeds, {len(failed)} failed{': ' if failed else ''}{' '.join(map(str, failed))}")
    return 1 if failed else 0


def _print(results: "object") -> list[int]:
    failed = []
    for seed, text in results:  # type: ignore[attr-defined]
        if text:
            print(text, flush=True)
        if text and "all is well" not in text:
            failed.append(seed)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
