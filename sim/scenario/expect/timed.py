"""Expectations with a deadline: `within`, counted from `after`.

`after` is the name of a fault, "end of" that name (when it was undone), "start" or "quiet". Left out, it is the one
fault that fits; where none or several would, an expectation with `within` is refused. Without `within` the end of the
run is meant.

Tests: tests/sim/scenario/expect/test_timed.py.
"""

import difflib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from sim.history import FaultSeen
from sim.scenario.expect.words import names, seconds
from sim.scenario.faults import Kind, verbs_of
from sim.scenario.schema import Duration, Selector
from sim.scenario.verdict import Context, DeclaredFault, Expectation, ExpectationError, Select

__all__ = ["DELAYS", "END_OF", "HARM", "NeverHappened", "Timed", "Window"]

HARM = verbs_of(Kind.DEATH, Kind.LEAVE, Kind.STALL, Kind.CUT)
"""After which a node may be taken for dead."""
DELAYS = verbs_of(Kind.DELAY)
END_OF = "end of "
"""How `after` begins where the end of a fault is meant; its name follows."""
_START, _QUIET = "start", "quiet"


class NeverHappened(Exception):
    """What the time was to be counted from is not in the trace; the text says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From when to when something had to happen."""

    start: float
    """-inf: the whole run."""
    deadline: float
    since: str
    """What it is counted from, in words: `crash`, `the start`; "" for the whole run."""
    limit: float | None
    """Seconds from start to deadline as asked for, slack included."""
    line: int | None = None
    """Of the fault."""
    due: bool
    """Whether what was asked for ended within the run: if not, nothing that is missing is a failure yet."""
    again: Mapping[str, float] = field(default_factory=dict)
    """Nodes that the same fault strikes again after the start, up to the deadline, and when it first does."""
    until: float = math.inf
    """When the same fault strikes again after the deadline: what is seen from then on is not of this window."""

    def after(self, time: float) -> str:
        """`6.42 s after crash`, or `at 6.42 s` where nothing is counted from."""
        return f"{seconds(time - self.start)} after {self.since}" if self.since else f"at {seconds(time)}"

    @property
    def limits(self) -> str:
        """` (limit 10 s)`, or nothing."""
        return f" (limit {seconds(self.limit)})" if self.limit is not None else ""

    @property
    def by_then(self) -> str:
        """`within 10 s of crash`, `by the end of the run`."""
        return "by the end of the run" if self.limit is None else f"within {seconds(self.limit)} of {self.since}"


class Timed(Expectation, frozen=True, kw_only=True):
    """An expectation with `within` and `after`."""

    FITS: ClassVar[tuple[frozenset[str], ...]] = ()
    """Verbs of faults that it may mean, the likelier first; empty = any fault."""
    SUBJECT: ClassVar[str | None] = None
    """The field whose nodes a fault must touch to fit; None = wherever it strikes."""
    OF_UNDOING: ClassVar[bool] = False
    """Count from when the fault was undone, where it was."""

    within: Duration | None = None
    """How soon; left out = by the end of the run."""
    after: str | None = None
    """The name of a fault, "end of" that name, "start" or "quiet"."""

    def mistakes(self, faults: Sequence[DeclaredFault], select: Select) -> Iterator[ExpectationError]:
        """Refuse an `after` that names nothing, and a `within` without `after` where not exactly one fault fits."""
        yield from super().mistakes(faults, select)
        known = list(dict.fromkeys(fault.name for fault in faults))
        if self.after is not None:
            ending = dict.fromkeys(f"{END_OF}{fault.name}" for fault in faults if fault.undone is not None)
            allowed = [*known, *ending, _START, _QUIET]
            if self.after not in allowed and self._lasting in known:
                text = (
                    f'after = "{self.after}", but nothing undoes "{self._lasting}" before the end of the run: '
                    f"give it for, or heal it (allowed: {', '.join(allowed)})"
                )
                yield ExpectationError(text, key="after", allowed=allowed)
            elif self.after not in allowed:
                near = difflib.get_close_matches(self.after, allowed, n=1)
                hint = f'; did you mean "{near[0]}"?' if near else ""
                text = f'after = "{self.after}" is not the name of a fault{hint} (allowed: {", ".join(allowed)})'
                yield ExpectationError(text, key="after", allowed=allowed)
        elif self.within is not None and (mistake := self._not_one(self.fits(faults, self._subject(select)), known)):
            yield mistake

    def fits(self, faults: Sequence[DeclaredFault], nodes: Collection[str] | None) -> list[str]:
        """The names of the faults that it may mean where it names none. `nodes`: whom they must touch; None = any."""
        touching = [f for f in faults if nodes is None or not set(nodes).isdisjoint(f.targets)]
        if not self.FITS:
            return list(dict.fromkeys(fault.name for fault in touching))
        for verbs in self.FITS:
            if found := list(dict.fromkeys(fault.name for fault in touching if fault.verb in verbs)):
                return found
        return []

    def windows(self, context: Context, node: str | None = None) -> list[Window]:
        """The spans of time to judge: one for each time that the fault meant struck (`node`, where given).

        Raises NeverHappened, ExpectationError.
        """
        if self.after == _START:
            return [self._window(context, 0.0, "the start")]
        if self.after == _QUIET:
            if context.history.quiet is None:
                raise NeverHappened("it was never quiet: the last fault was not undone before the end of the run")
            return [self._window(context, context.history.quiet, "it was quiet")]
        name = self._lasting or self.after or self._meant(context)
        if name is None:
            return [_whole(context)]
        strikes = [fault for fault in context.faults if fault.name == name and fault.line < context.history.end_line]
        if not strikes:
            raise NeverHappened(f'the fault "{name}" never took effect')
        if self._lasting is not None:
            strikes = [fault for fault in strikes if self._ended(fault, context)]
            if not strikes:
                raise NeverHappened(f'the fault "{name}" was not undone before the end of the run')
        chosen = [fault for fault in strikes if node is None or node in fault.targets] or strikes[-1:]
        return [self._after(fault, strikes, context, node) for fault in chosen]

    @property
    def _lasting(self) -> str | None:
        """The fault whose end is counted from; None = none is named so."""
        return self.after[len(END_OF) :] if self.after is not None and self.after.startswith(END_OF) else None

    def windows_as_told(self, context: Context) -> list[Window]:
        """As `windows`, but the whole run where neither `within` nor `after` is said, whichever fault may fit."""
        if self.after is None and self.within is None:
            return [_whole(context)]
        return self.windows(context)

    def _meant(self, context: Context) -> str | None:
        """The fault meant where none is named; None = the whole run."""
        found = self.fits(context.faults, self._subject(context.select))
        if self.within is not None and not found:
            raise NeverHappened("no fault took effect that it could be counted from")
        known = list(dict.fromkeys(fault.name for fault in context.faults))
        if self.within is not None and (mistake := self._not_one(found, known)):
            raise mistake
        return found[0] if len(found) == 1 else None

    def _ended(self, fault: FaultSeen, context: Context) -> bool:
        """Whether its end is what counts: it was undone, and not only because the run was over."""
        counts = self.OF_UNDOING or self._lasting is not None
        return counts and fault.undone is not None and fault.undone < context.duration

    def _moment(self, fault: FaultSeen, context: Context) -> float:
        return fault.undone if fault.undone is not None and self._ended(fault, context) else fault.time

    def _since(self, fault: FaultSeen, context: Context) -> str:
        return f"the end of {fault.name}" if self._ended(fault, context) else fault.name

    def _after(self, fault: FaultSeen, strikes: Sequence[FaultSeen], context: Context, node: str | None) -> Window:
        """The window of one strike of a fault."""
        window = self._window(context, self._moment(fault, context), self._since(fault, context), fault.line)
        later = [other for other in strikes if other.time > fault.time]
        again: dict[str, float] = {}
        for other in (other for other in later if other.time <= window.deadline):
            again = dict.fromkeys(other.targets, other.time) | again
        ends = (o.time for o in later if o.time > window.deadline and (node is None or node in o.targets))
        return replace(window, again=again, until=min(ends, default=math.inf))

    def _window(self, context: Context, start: float, since: str, line: int | None = None) -> Window:
        end = context.duration
        if self.within is None:
            return Window(start=start, deadline=end, since=since, limit=None, line=line, due=True)
        limit = self.within * context.slack
        due = start + self.within <= end
        return Window(start=start, deadline=min(start + limit, end), since=since, limit=limit, line=line, due=due)

    def _subject(self, select: Select) -> list[str] | None:
        if self.SUBJECT is None:
            return None
        selector: Selector = getattr(self, self.SUBJECT)
        return list(select(selector))

    def _not_one(self, found: list[str], known: list[str]) -> ExpectationError | None:
        """Why not exactly one fault is meant."""
        if len(found) == 1:
            return None
        allowed = [*(found or known), _START, _QUIET]
        which = f"{len(found)} faults fit ({names(found)})" if found else "no fault fits"
        text = f"{self.KEY} has within, but no after, and {which}: say after = one of {', '.join(allowed)}"
        return ExpectationError(text, key="after", allowed=allowed)


def _whole(context: Context) -> Window:
    return Window(start=-math.inf, deadline=context.duration, since="", limit=None, due=True)
