"""`logged`: so many records of the trace hold a text.

A record holds it where it is the event's name, or stands in one of its texts: in what `logging` wrote at WARNING or
above, or in what the application recorded. The runner's own records do not count.

Tests: tests/sim/scenario/expect/test_logged.py.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from sim.scenario.expect.words import count, seconds
from sim.scenario.schema import Selector
from sim.scenario.verdict import Context, DeclaredFault, Expectation, ExpectationError, Judgement, Select, Verdict
from sim.trace import Event
from sim.trace.diff import CHOICE

__all__ = ["Logged"]


class Logged(Expectation, frozen=True, kw_only=True):
    """Measures records."""

    KEY: ClassVar[str] = "logged"
    SELECTORS: ClassVar[tuple[str, ...]] = ("by",)
    MEASURES: ClassVar[tuple[str, ...] | None] = ("records",)

    logged: str
    """The text; upper and lower case differ."""
    by: Selector = "all"
    """Whose records; left out = every node's."""
    min: int | None = None
    """How many there must be; left out = 1, or 0 where max_count is said."""
    max_count: int | None = None
    """How many there may be."""

    def mistakes(self, faults: Sequence[DeclaredFault], select: Select) -> Iterator[ExpectationError]:
        yield from super().mistakes(faults, select)
        if self.max_count is not None and self.max_count < (self.min or 0):
            yield ExpectationError(f"max_count = {self.max_count} is below min = {self.min or 0}", key="max_count")

    def examine(self, context: Context) -> Judgement:
        nodes = None if self.by == "all" else set(context.select(self.by))
        found = 0
        first: Event | None = None
        over: Event | None = None
        for event in context.events():
            if event.node and event.name != CHOICE and (nodes is None or event.node in nodes) and self._holds(event):
                found += 1
                first = first or event
                if self.max_count is not None and found == self.max_count + 1:
                    over = event
        least = self.min if self.min is not None else 0 if self.max_count is not None else 1
        measured = {"records": float(found)}
        saw = f'{count(found, "record")} held "{self.logged}"'
        if first is not None:
            saw += f", the first by {first.node} at {seconds(first.time)}"
        if over is not None:
            text = f"{saw}; at most {self.max_count} may"
            return self.answer(Verdict.FAILS, text, time=over.time, line=over.line, measured=measured)
        time, line = (first.time, first.line) if first else (None, None)
        if found < least:
            return self.answer(Verdict.FAILS, f"{saw}; {least} must", time=time, line=line, measured=measured)
        return self.answer(Verdict.HOLDS, saw, time=time, line=line, measured=measured)

    def _holds(self, event: Event) -> bool:
        return event.name == self.logged or any(isinstance(v, str) and self.logged in v for v in event.fields.values())
