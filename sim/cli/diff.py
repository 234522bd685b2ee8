"""`rpcnet-sim diff`: the first event that differs between two traces, and what led to it.

Tests: tests/sim/cli/test_report_and_diff.py.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.cli import output
from sim.cli.arguments import demand_trace
from sim.cli.exits import FAILS, HOLDS

if TYPE_CHECKING:
    from sim.trace import Event

__all__ = ["diff"]

STARTED = "run_started"
CAUSES = 4
"""Events that lead up to one that differs, itself included."""


def diff(one: Path, other: Path, /) -> int:
    """Name the first event that differs between two traces, and what led to it; exit code 0 = none, 1 = one.

    Parameters
    ----------
    one:
        A trace file, or the directory of a report.
    other:
        The one to compare it with.
    """
    from sim.scenario.run import RunTrace
    from sim.trace import read
    from sim.trace.cause import chain
    from sim.trace.diff import Kinds, choice_apart, first_difference, first_difference_in_kind

    files = [demand_trace(path) for path in (one, other)]
    found = first_difference(*(_nameless(read(file)) for file in files))
    told = [_told_to_be(read(file)) for file in files]
    apart = [key for key in dict.fromkeys((*told[0], *told[1])) if told[0].get(key) != told[1].get(key)]
    if found is None:
        output.line(f"the same, but for what the runs were told to be: {', '.join(apart)}" if apart else "the same")
        return HOLDS
    in_kind = None
    if "seed" in apart or "backend" in apart:
        # From the start their times differ, and the order of their messages; that says nothing.
        in_kind = first_difference_in_kind(*(Kinds(read(file)) for file in files))
    found = in_kind or found
    causes = [
        chain(RunTrace(file), event.line, CAUSES) if event else []
        for file, event in zip(files, (found.one, found.other), strict=True)
    ]
    first, second = (
        f"{path}" + "".join(f" ({key} {own[key]})" for key in apart if key in own)
        for path, own in zip((one, other), told, strict=True)
    )
    show = output.difference_in_kind if in_kind else output.difference
    show(found, first, second, causes)
    if "seed" in apart:
        one_trace, other_trace = map(RunTrace, files)
        for name, own, theirs, event in (
            (first, one_trace, other_trace, found.one),
            (second, other_trace, one_trace, found.other),
        ):
            if choice := choice_apart(own, theirs, event.line if in_kind and event else None):
                output.choice(name, choice)
    return FAILS


def _told_to_be(events: "Iterator[Event]") -> dict[str, Any]:
    """What a trace's first event says of its run: scenario, seed, backend."""
    first = next(events, None)
    return first.fields if first is not None and first.name == STARTED else {}


def _nameless(events: "Iterator[Event]") -> "Iterator[Event]":
    """The same without that."""
    return (event._replace(fields={}) if event.name == STARTED else event for event in events)
