"""The figures of membership: fourteen rows, each with its workload, beside what others publish and the control arms.

python benchmarks/membership.py [--rows 1,3,5] [--seeds N] [--quick] [--processes 2] [--results DIR] [--report DIR]

Each run is a cluster of SWIM cores in virtual time (benchmarks/swim/arena.py): it replays from its seed. Results are
kept by seed under --results, and a run that was interrupted goes on, also with code that does just the same. --quick
takes few seeds of rows 1, 3, 5, 7, 9 and 10, some five minutes on two cores; --seeds at most so many of each cell.
--report writes the table as JSON and the plots. --only prints from what is there, and measures nothing. The exit code
is 1 where a figure does not hold.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.swim.fingerprint import behaviour
from benchmarks.swim.results import Store, measure
from benchmarks.swim.rows import ROWS, Cell, Figure, Results


def seeds_of(cell: Cell, arm: str, options: argparse.Namespace) -> range:
    count = cell.quick if options.quick else cell.seeds
    if arm != "ours" and cell.control:
        count = min(count, max(1, count // 3) if options.quick else cell.control)
    if options.seeds is not None:
        count = min(count, options.seeds)
    return range(1, count + 1)


def collect(store: Store, number: int, options: argparse.Namespace) -> tuple[Results, float]:
    """What is held of a row, and the CPU seconds that it took."""
    results: Results = {}
    cpu = 0.0
    for cell in ROWS[number].cells:
        for arm in cell.arms:
            held = store.read(number, cell, arm)
            runs = [held[seed] for seed in seeds_of(cell, arm, options) if seed in held]
            if runs:
                results[cell.name, arm] = runs
                cpu += sum(run["cpu"] for run in runs)
    return results, cpu


def verdict_of(number: int, results: Results, figures: list[Figure]) -> str:
    if any(figure.holds is False for figure in figures):
        return "FAILS"
    return (
        "holds"
        if all((cell.name, "ours") in results or "ours" not in cell.arms for cell in ROWS[number].cells)
        else "INCOMPLETE"
    )


def print_row(number: int, verdict: str, figures: list[Figure], cpu: float) -> None:
    row = ROWS[number]
    print(f"\n{number} · {row.title} · {verdict} · {cpu:.0f} CPU s\n  others: {row.others}")
    for figure in figures:
        mark = {True: "ok", False: "FAIL", None: ""}[figure.holds]
        value = f"{figure.value:,.3f}".rstrip("0").rstrip(".")
        print(f"  {mark:4} {figure.what:58} {value:>12}  {figure.limit:26} {figure.seeds} seeds")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=lambda text: [int(each) for each in text.split(",")])
    parser.add_argument("--cells", default="", help="only cells whose name contains this")
    parser.add_argument("--arms", type=lambda text: text.split(","), help="only these, such as ours,plain")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="store_true", help="measure nothing")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("reports/membership"))
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    quick = [number for number, row in ROWS.items() if any(cell.quick for cell in row.cells)]
    numbers = options.rows or (quick if options.quick else list(ROWS))
    store = Store(options.results)
    wanted = [
        (number, place, arm, seeds_of(cell, arm, options))
        for number in numbers
        for place, cell in enumerate(ROWS[number].cells)
        for arm in cell.arms
        if options.cells in cell.name and (options.arms is None or arm in options.arms)
    ]
    if not options.only:
        store.recognize(behaviour)
        for line in measure(store, wanted, options.processes):
            print(line, file=sys.stderr, flush=True)
    table, fails = {}, False
    for number in numbers:
        results, cpu = collect(store, number, options)
        figures = list(ROWS[number].judge(results))
        verdict = verdict_of(number, results, figures)
        fails |= verdict != "holds"
        print_row(number, verdict, figures, cpu)
        table[number] = {
            "title": ROWS[number].title,
            "others": ROWS[number].others,
            "verdict": verdict,
            "cpu_seconds": round(cpu),
            "figures": [vars(figure) for figure in figures],
        }
    if options.report:
        from benchmarks.swim.plots import draw

        options.report.mkdir(parents=True, exist_ok=True)
        (options.report / "membership.json").write_text(json.dumps(table, indent=1, ensure_ascii=False) + "\n")
        draw({number: collect(store, number, options)[0] for number in ROWS}, options.report)
    sys.exit(fails)


if __name__ == "__main__":
    main()
