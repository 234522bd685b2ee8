"""`sequence`: numbers that an application recorded count up by one, with at most so many gaps and repeats.

For each node that records the event and each value of `by` there is a sequence of its own. A number that is left out is
a gap; one that is not above all before it is a repeat.

Tests: tests/sim/scenario/expect/test_sequence.py.
"""

from collections import abc
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import ClassVar

from msgspec import Struct

from sim.scenario.expect.words import count, seconds
from sim.scenario.verdict import Context, DeclaredFault, Expectation, ExpectationError, Judgement, Select, Verdict
from sim.trace import Event

__all__ = ["Numbers", "Sequence"]


class Numbers(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which numbers, and what is allowed."""

    event: str
    """The event that the application records: `token`."""
    by: str | None = None
    """The field that tells one sequence from another: `stream`; left out = one sequence a node."""
    field: str = "index"
    """The field that counts."""
    first: int | None = None
    """What each sequence begins with; left out = anything."""
    gaps: int = 0
    """How many numbers may be left out, in all sequences together."""
    repeats: int = 0
    """How many may come again, in all sequences together."""


@dataclass(slots=True)
class _Tally:
    highest: dict[tuple[str, Hashable], int] = field(default_factory=dict)
    count: int = 0
    gaps: int = 0
    repeats: int = 0
    latest: dict[tuple[str, Hashable], int] = field(default_factory=dict)
    """The line of the number before."""
    odd: list[tuple[Event, str, int]] = field(default_factory=list)
    """The first that is too much: event, what is odd about it, and the line of the number before it."""


class Sequence(Expectation, frozen=True, kw_only=True):
    """Measures gaps, repeats, count (numbers in all) and sequences."""

    KEY: ClassVar[str] = "sequence"
    MEASURES: ClassVar[tuple[str, ...] | None] = ("gaps", "repeats", "count", "sequences")

    sequence: Numbers
    """Which numbers, and what is allowed."""

    def mistakes(self, faults: abc.Sequence[DeclaredFault], select: Select) -> abc.Iterator[ExpectationError]:
        yield from super().mistakes(faults, select)
        for name in ("gaps", "repeats"):
            if getattr(self.sequence, name) < 0:
                yield ExpectationError(f"{name} is a number of numbers: 0 or more", key=self.KEY, inside=name)

    @property
    def title(self) -> str:
        return f"sequence {self.sequence.event}"

    def examine(self, context: Context) -> Judgement:
        numbers, tally = self.sequence, _Tally()
        for event in context.events():
            if event.name == numbers.event:
                value = event.fields.get(numbers.field)
                if not isinstance(value, int) or isinstance(value, bool):
                    text = f'{event.node} recorded "{event.name}" without a whole number "{numbers.field}": {value!r}'
                    return self.answer(Verdict.FAILS, text, time=event.time, line=event.line)
                self._take(tally, event, value)
        measured = {
            "gaps": float(tally.gaps),
            "repeats": float(tally.repeats),
            "count": float(tally.count),
            "sequences": float(len(tally.highest)),
        }
        if not tally.count:
            return self.answer(Verdict.INCONCLUSIVE, f'nobody recorded "{numbers.event}"', measured=measured)
        totals = f"{count(tally.gaps, 'gap')} and {count(tally.repeats, 'repeat')} in {count(tally.count, 'number')}"
        if tally.odd:
            event, why, before = tally.odd[0]
            text = f"{why}; {totals} (allowed: {numbers.gaps} and {numbers.repeats})"
            lines = (before, event.line)
            return self.answer(
                Verdict.FAILS, text, time=event.time, line=event.line, measured=measured, looked_at=lines
            )
        text = f"{totals} of {count(len(tally.highest), 'sequence')}"
        return self.answer(Verdict.HOLDS, text, measured=measured)

    def _take(self, tally: _Tally, event: Event, value: int) -> None:
        numbers = self.sequence
        key = (event.node, event.fields.get(numbers.by) if numbers.by is not None else None)
        tally.count += 1
        highest, before = tally.highest.get(key), tally.latest.get(key, 0)
        tally.latest[key] = event.line
        expected = numbers.first if highest is None else highest + 1
        tally.highest[key] = value if highest is None else max(highest, value)
        if expected is None or value == expected:
            return
        if value > expected:
            tally.gaps += value - expected
            if tally.gaps > numbers.gaps:
                tally.odd.append((event, self._odd(event, f"went from {expected - 1} to {value}"), before))
        else:
            tally.repeats += 1
            if tally.repeats > numbers.repeats:
                tally.odd.append((event, self._odd(event, f"came to {value} after {expected - 1}"), before))
        del tally.odd[1:]

    def _odd(self, event: Event, what: str) -> str:
        numbers = self.sequence
        which = f"{numbers.by} {event.fields.get(numbers.by)} of {event.node}" if numbers.by else event.node
        return f"the {numbers.field} of {which} {what} at {seconds(event.time)}"
