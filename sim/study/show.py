"""What the `sweep` command prints: the plan before, the summary after. Data to stdout.

Knows studies and rich; decides nothing.
"""

from rich.table import Table
from rich.text import Text

from sim import terminal
from sim.scenario.verdict import Verdict
from sim.study.plan import Plan, counted
from sim.study.rows import MAX_NAMED, Study

__all__ = ["print_plan", "print_study"]

CELLS_A_TABLE = 6
MAX_WIDTH = 10_000
MAX_CELLS = 50
"""Cells of a plan that are listed; the others are counted."""
SIGNS = {Verdict.HOLDS: "✓", Verdict.FAILS: "✗", Verdict.INCONCLUSIVE: "?"}
STYLES = {Verdict.HOLDS: "green", Verdict.FAILS: "bold red", Verdict.INCONCLUSIVE: "yellow"}


def print_plan(wanted: Plan, remaining: int, out: str) -> None:
    """How many runs this is, what they are, and how many of them are done already."""
    console = terminal.out()
    console.print(Text(str(wanted)))
    for cell in wanted.cells[:MAX_CELLS] if wanted.matrix else ():
        console.print(Text(f"  {cell}"))
    if len(wanted.cells) > MAX_CELLS:
        console.print(Text(f"  and {len(wanted.cells) - MAX_CELLS} more cells"))
    console.print(Text(f"{len(wanted) - remaining} are in {out}, {remaining} are to be run"))


def print_study(study: Study, command: str | None = None) -> None:
    """A table of the cells, the runs that do not hold with the command of each, the verdict.

    Where runs are missing `command` is told, which runs the sweep again.
    """
    console = terminal.out()
    cells = study.cells
    for first in range(0, len(cells), CELLS_A_TABLE):
        heads, lines = study.table(cells[first : first + CELLS_A_TABLE])
        table = Table(box=None, pad_edge=False, show_header=bool(study.plan.matrix))
        for number, head in enumerate(heads):
            table.add_column(Text(head), justify="right" if number else "left", no_wrap=True)
        for line in lines:
            table.add_row(*map(Text, line))
        # Columns stay whole: a pipe has no width, and a terminal can be made wider.
        terminal.out(width=max(console.width, terminal.out(width=MAX_WIDTH).measure(table).maximum)).print(table)
    bad = [result for result in study.results if result.verdict is not Verdict.HOLDS]
    for result in bad[:MAX_NAMED]:
        where = f"seed {result.seed}, {result.cell}" if result.parameters else f"seed {result.seed}"
        console.print(
            Text(f"{SIGNS[result.verdict]} ", STYLES[result.verdict])
            + Text(f"{where}: ", "bold")
            + Text(result.why)
            + Text(f"\n  run it again: {result.command}" if result.command else "", "dim")
        )
    if len(bad) > MAX_NAMED:
        console.print(Text(f"and {len(bad) - MAX_NAMED} more that do not hold"))
    done = f"{len(study)} of {len(study.plan)} runs" if study.missing else counted(len(study), "run")
    console.print(
        Text(f"{SIGNS[study.verdict]} ", STYLES[study.verdict])
        + Text(f"{study.plan.scenario.name}", "bold")
        + Text(f"  {done}: ")
        + Text(str(study.verdict), STYLES[study.verdict])
        + Text(f", {study.missing} {'run is' if study.missing == 1 else 'runs are'} missing" if study.missing else "")
        + Text(f"  results: {study.out}" if study.out else "")
    )
    if study.missing and command:
        console.print(Text(f"run what is missing: {command}"))
