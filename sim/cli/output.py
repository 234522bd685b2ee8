"""All that `rpcnet-sim` prints for people: data to stdout, talk to stderr, colours where they are wanted (NO_COLOR).

Knows runs, mistakes, studies and differences of traces; decides nothing, and loads of the simulator what one of these
needs to be shown.

Tests: tests/sim/cli/test_output.py.
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.table import Table
from rich.text import Text

from sim.cli import terminal

if TYPE_CHECKING:
    from sim.scenario.mistake import Mistake
    from sim.scenario.run import Run
    from sim.study import Plan, Study
    from sim.study.determinism import Twin
    from sim.trace import Event
    from sim.trace.diff import Difference

__all__ = [
    "Result",
    "apart",
    "difference",
    "difference_in_kind",
    "interrupted",
    "item",
    "line",
    "mistakes",
    "note",
    "plan",
    "run",
    "stopped",
    "study",
    "summary",
    "twin",
    "wrong",
]

SIGNS: Final[dict[str, str]] = {"holds": "✓", "fails": "✗", "inconclusive": "?"}
"""In the order in which a summary counts them."""
STYLES: Final[dict[str, str]] = {"holds": "green", "fails": "bold red", "inconclusive": "yellow"}
MAX_NAMED = 10
"""Seeds that a summary names, and runs of a study; the others are counted."""
CELLS_A_TABLE = 6
MAX_WIDTH = 10_000
MAX_CELLS = 50
"""Cells of a plan that are listed; the others are counted."""

# --- runs -------------------------------------------------------------------------------------------------------------


def line(text: str) -> None:
    """Data."""
    terminal.data(Text(text))


def item(name: str, text: str) -> None:
    """A name and what it is, of a list."""
    terminal.data(Text(f"  {name}  ") + Text(text, "dim"))


def note(text: str) -> None:
    """Talk."""
    terminal.err().print(Text(f"rpcnet-sim: {text}", "yellow"))


def stopped(error: KeyboardInterrupt) -> None:
    """Ctrl-C, and where the simulated program was, if it says so."""
    note(f"interrupted: {error}" if str(error) else "interrupted")


def wrong(text: str) -> None:
    """What keeps us from going on."""
    terminal.err().print(Text("rpcnet-sim: ", "bold red") + Text(text))


def mistakes(found: "Sequence[Mistake]") -> None:
    """One line a mistake, in the form that editors know."""
    for mistake in found:
        place = f"{mistake.file}:{mistake.line}:{mistake.column}: " if mistake.line else f"{mistake.file}: "
        terminal.err().print(Text(place, "bold") + Text(mistake.message))


def run(found: "Run", page: Path | None) -> None:
    """A block: each expectation with what was seen, what led to a failure, where to look, how to see it again."""
    from sim.trace.cause import shown

    text = Text(f"{found.scenario.name}", "bold") + Text(f"  seed {found.seed}  {found.backend}")
    text += Text(f"  with {', '.join(found.defects)}") if found.defects else Text("")
    for judgement in found.expectations:
        text += Text(f"\n  {SIGNS[judgement.verdict]} ", STYLES[judgement.verdict]) + Text(judgement.name, "bold")
        text += Text(f": {judgement.saw}")
        if judgement.verdict != "holds" and judgement.line is not None:
            text += Text(f" (trace line {judgement.line})", "dim")
    if found.why:
        text += Text(f"\n  {found.why}")
    if found.error is not None:
        text += Text("\n  " + found.error.rstrip().replace("\n", "\n  "), "red")
    if found.verdict != "holds" and found.causes:
        # The first of them: the others are in the report and in --json.
        line, events = next(iter(found.causes.items()))
        text += Text(f"\n  what led to trace line {line}:")
        text += Text("".join(f"\n    {shown(event)}" for event in events), "dim")
    text += Text(f"\n{SIGNS[found.verdict]} {found.verdict}", STYLES[found.verdict])
    text += Text(f"  {found.virtual_seconds:g} s in {found.wall_seconds:.1f} s")
    text += Text(f"  digest {found.digest}" if found.digest else "")
    text += Text(f"\nreport: {page}") if page else Text("")
    if found.verdict != "holds" and found.command:
        text += Text(f"\nrun it again: {found.command}")
    terminal.data(text)


class Result(NamedTuple):
    """What a summary needs of a run."""

    seed: int
    verdict: str
    wall_seconds: float


def summary(name: str, results: Sequence[Result], missing: int = 0) -> None:
    """One line for many seeds of a scenario; `missing`: so many were not run, and what is not known does not hold."""
    count = Counter(result.verdict for result in results)
    words = ", ".join(f"{count[verdict]} {_plural(verdict, count[verdict])}" for verdict in SIGNS if count[verdict])
    verdict = next((v for v in ("fails", "inconclusive") if count[v]), "inconclusive" if missing else "holds")
    text = Text(f"{SIGNS[verdict]} ", STYLES[verdict]) + Text(name, "bold")
    seeds = f"{len(results)} seed{'s' if len(results) != 1 else ''}"
    words = ", ".join(
        filter(None, (words, f"{missing} {'was' if missing == 1 else 'were'} not run" if missing else ""))
    )
    text += Text(f"  {seeds}: {words}  in {sum(result.wall_seconds for result in results):.1f} s")
    if bad := [str(result.seed) for result in results if result.verdict != "holds"]:
        rest = f" and {len(bad) - MAX_NAMED} more" if len(bad) > MAX_NAMED else ""
        text += Text(f"  (seed{'s' if len(bad) != 1 else ''} {', '.join(bad[:MAX_NAMED])}{rest})")
    terminal.data(text)


def interrupted(name: str, done: int, planned: int) -> None:
    """The last object of an interrupted `--json`: what is missing does not hold."""
    left = {"scenario": name, "verdict": "inconclusive", "interrupted": True, "done": done, "missing": planned - done}
    terminal.object_(left)


def apart(fails: "Run", holds: "Run") -> None:
    """Where a seed that fails parts from one that holds, times, messages and order aside."""
    from sim.trace.cause import shown
    from sim.trace.diff import Kinds, choice_apart, first_difference_in_kind

    found = first_difference_in_kind(Kinds(fails.trace), Kinds(holds.trace))
    if choice := choice_apart(fails.trace, holds.trace, found and found.one and found.one.line):
        line(f"seed {fails.seed} fails, and made a choice that seed {holds.seed}, which holds, did not make:")
        line(f"  {shown(choice)}")
    if found is None:
        line(f"seed {fails.seed} has no event that seed {holds.seed}, which holds, has not, nor the other way round")
        return
    line(f"seed {fails.seed} fails, seed {holds.seed} holds; the first that only one of them has:")
    for seed, event in ((fails.seed, found.one), (holds.seed, found.other)):
        line(f"  seed {seed}: {'nothing' if event is None else shown(event)}")


def choice(trace: str, event: "Event") -> None:
    """Which task went first, where that probably mattered."""
    from sim.trace.cause import shown

    line(f"{trace} made a choice that the other did not, and that probably mattered:")
    line(f"  {shown(event)}")


def twin(file: str, found: "Twin") -> None:
    """One seed that was run twice: the same, or where the two runs part, what led to it, and what probably escaped."""
    one, other = found.digests
    if found.same:
        line(f"{file} seed {found.seed}: the same twice, digest {one}")
        return
    if found.thread is not None:
        line(f"{file} seed {found.seed}: it cannot be the same every time; {found.thread}")
        return
    line(f"{file} seed {found.seed}: two runs differ, digests {one} and {other}")
    if found.difference is not None:
        difference(found.difference, "one run", "the other", found.causes)
    for suspect in found.suspects:
        line(f"  probably escaped: {suspect}")


def difference(found: "Difference", one: str, other: str, causes: "Sequence[Sequence[Event]]") -> None:
    """The same line of two traces, whole, and what led to it in each."""
    from sim.trace.cause import shown

    line(f"the first event that differs is line {found.line}:")
    for name, event, led_to in zip((one, other), (found.one, found.other), causes, strict=True):
        line(f"  {name}: {_event(event)}")
        for cause in reversed([e for e in led_to if event is None or e.line != event.line]):
            line(f"    because of {shown(cause)}")


def difference_in_kind(found: "Difference", one: str, other: str, causes: "Sequence[Sequence[Event]]") -> None:
    """The first event that only one of two traces has, times, messages and order aside, and what led to it."""
    from sim.trace.cause import shown

    line("the first that only one of them has, times, messages and order aside:")
    for name, event, led_to in zip((one, other), (found.one, found.other), causes, strict=True):
        line(f"  {name}: {'nothing' if event is None else shown(event)}")
        for cause in reversed(led_to[:-1]):
            line(f"    because of {shown(cause)}")


# --- studies ----------------------------------------------------------------------------------------------------------


def plan(wanted: "Plan", remaining: int, out: str) -> None:
    """How many runs this is, what they are, and how many of them are done already."""
    console = terminal.out()
    console.print(Text(str(wanted)))
    for cell in wanted.cells[:MAX_CELLS] if wanted.matrix else ():
        console.print(Text(f"  {cell}"))
    if len(wanted.cells) > MAX_CELLS:
        console.print(Text(f"  and {len(wanted.cells) - MAX_CELLS} more cells"))
    console.print(Text(f"{len(wanted) - remaining} are in {out}, {remaining} are to be run"))


def study(found: "Study", command: str | None = None) -> None:
    """A table of the cells, the runs that do not hold with the command of each, the verdict.

    Where runs are missing `command` is told, which runs the sweep again.
    """
    from sim.study.plan import counted

    console = terminal.out()
    cells = found.cells
    for first in range(0, len(cells), CELLS_A_TABLE):
        heads, lines = found.table(cells[first : first + CELLS_A_TABLE])
        table = Table(box=None, pad_edge=False, show_header=bool(found.plan.matrix))
        for number, head in enumerate(heads):
            table.add_column(Text(head), justify="right" if number else "left", no_wrap=True)
        for line in lines:
            table.add_row(*map(Text, line))
        # Columns stay whole: a pipe has no width, and a terminal can be made wider.
        terminal.out(width=max(console.width, terminal.out(width=MAX_WIDTH).measure(table).maximum)).print(table)
    bad = [result for result in found.results if result.verdict != "holds"]
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
    done = f"{len(found)} of {len(found.plan)} runs" if found.missing else counted(len(found), "run")
    console.print(
        Text(f"{SIGNS[found.verdict]} ", STYLES[found.verdict])
        + Text(f"{found.plan.scenario.name}", "bold")
        + Text(f"  {done}: ")
        + Text(str(found.verdict), STYLES[found.verdict])
        + Text(f", {found.missing} {'run is' if found.missing == 1 else 'runs are'} missing" if found.missing else "")
        + Text(f"  results: {found.out}" if found.out else "")
    )
    if found.missing and command:
        console.print(Text(f"run what is missing: {command}"))


# --- words ------------------------------------------------------------------------------------------------------------


def _event(event: "Event | None") -> str:
    if event is None:
        return "ended before"
    fields = json.dumps(event.fields, default=str, ensure_ascii=False)
    return f"{event.time:.9f} {event.node or '-'} {event.name} (cause {event.cause}) {fields}"


def _plural(verdict: str, count: int) -> str:
    one = {"inconclusive": "is inconclusive"}
    several = {"holds": "hold", "fails": "fail", "inconclusive": "are inconclusive"}
    return several[verdict] if count != 1 else one.get(verdict, verdict)
