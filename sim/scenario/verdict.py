"""What an expectation answers, and what it is given to judge by.

An expectation is a predicate over a trace: frozen, built from a table of a scenario file, asked once when the run is
over. It sees events and what `history` derives from them; it knows no world, no live simulation and no TOML. A verdict
therefore does not depend on where the run took place.

The expectations themselves are in sim/scenario/expect, one class a file; docs/expectations.md is their table.

Tests: tests/sim/scenario/test_verdict.py.
"""

import difflib
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

import msgspec

from sim.history import FaultSeen, History
from sim.scenario.faults import severs
from sim.scenario.figures import with_unit
from sim.scenario.schema import Duration, Selector
from sim.trace import Event, read

__all__ = [
    "Context",
    "DeclaredFault",
    "Expectation",
    "ExpectationError",
    "Figure",
    "Judgement",
    "Select",
    "Verdict",
]


class Verdict(StrEnum):
    """How it came out."""

    HOLDS = "holds"
    FAILS = "fails"
    INCONCLUSIVE = "inconclusive"
    """What was to be judged never happened."""


if TYPE_CHECKING:
    Figure = float
else:

    class Figure(Duration):
        """A limit of a measured figure: a plain number, in a file also a duration ("9s") or a share ("5%")."""


Select: TypeAlias = Callable[[Selector], Sequence[str]]
"""Resolves a selector to the names of nodes."""


class ExpectationError(Exception):
    """An expectation that cannot be judged as written.

    `key` is the TOML key at fault, or within it `inside`; `allowed` is what would do.
    """

    def __init__(self, message: str, *, key: str, inside: str | None = None, allowed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.key, self.inside = key, inside
        self.allowed = tuple(allowed)


class DeclaredFault(Protocol):
    """A fault as a file declares it or as a trace shows it: enough to tell whether an expectation means it."""

    @property
    def name(self) -> str: ...
    @property
    def verb(self) -> str: ...
    @property
    def targets(self) -> Sequence[str]: ...
    @property
    def undone(self) -> float | None:
        """When it was undone; None = it lasts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One expectation's answer."""

    name: str
    verdict: Verdict
    saw: str
    """Plain English: what was seen, when, by whom."""
    time: float | None = None
    """When, in seconds of the run."""
    line: int | None = None
    """The most telling line of the trace."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """Figures by name: detection seconds, gaps, percentiles, …"""
    looked_at: Sequence[int] = ()
    """The lines of the trace by which it was judged, beside `line`; the first of them where there are many."""


MAX_LINES = 30
"""Lines that a judgement says it looked at."""
MAX_KEPT_BYTES = 4_000_000
"""A trace file up to this size is kept in memory, about ten times as large, while it is judged."""


class Context:
    """A finished run, as expectations see it.

    `trace` is a trace file or its events; `select` resolves selectors to node names; `duration` is when the run's end
    began (nodes are stopped from then on); `slack` multiplies every `within` and `max` (1 in the simulator).
    """

    def __init__(
        self,
        trace: Path | Sequence[Event],
        *,
        select: Select,
        duration: float,
        slack: float = 1.0,
        backend: str = "sim",
    ) -> None:
        self._trace = trace
        self._select = select
        self.duration = duration
        self.slack = slack
        self.backend = backend

    def events(self) -> Iterator[Event]:
        """All events in order, lazily, times counted from time zero."""
        trace = self._trace
        if isinstance(trace, Path):
            if trace.stat().st_size > MAX_KEPT_BYTES:
                return read(trace)
            # Every expectation goes through it anew: decoded once, that takes a third of the time.
            trace = self._trace = list(read(trace))
        return iter(trace)

    def __iter__(self) -> Iterator[Event]:
        return self.events()

    def select(self, selector: Selector) -> list[str]:
        """The names of the nodes that a selector means."""
        return list(self._select(selector))

    @cached_property
    def history(self) -> History:
        """Who was up when, who believed what, who could reach whom; built in one pass, shared by all expectations."""
        return History(self.events(), self.duration, severs)

    @property
    def faults(self) -> Sequence[FaultSeen]:
        """The faults that took effect, in order."""
        return self.history.faults

    @property
    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """Node → labels."""
        return self.history.labels


class Expectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all expectations share. A subclass sets KEY, its fields, and `examine`."""

    KEY: ClassVar[str]
    """The TOML key that names it; it is a field as well."""
    SELECTORS: ClassVar[tuple[str, ...]] = ()
    """Which fields are selectors, so that unknown names are found before a run."""
    MEASURES: ClassVar[tuple[str, ...] | None] = ()
    """The figures that it measures, as far as there was something to measure; None = not known beforehand."""

    max: dict[str, Figure] = {}
    """Limits of measured figures, by name."""

    @property
    def title(self) -> str:
        """Its name in a list of results."""
        value = getattr(self, self.KEY)
        return f"{self.KEY} {value}" if isinstance(value, str) else self.KEY

    @property
    def meaning(self) -> str:
        """What it expects, in a sentence: the first one of its module, behind the key."""
        text = " ".join((sys.modules[type(self).__module__].__doc__ or "").partition("\n\n")[0].split())
        key, colon, rest = text.partition("`: ")
        return rest.partition(". ")[0].rstrip(".") if colon and key == f"`{self.KEY}" else ""

    def check(self, faults: Sequence[DeclaredFault], select: Select) -> None:
        """Raises the first of its mistakes."""
        for mistake in self.mistakes(faults, select):
            raise mistake

    def mistakes(self, faults: Sequence[DeclaredFault], select: Select) -> Iterator[ExpectationError]:
        """Before a run: why it could not be judged with the faults that the file declares."""
        known = self.MEASURES
        for name in self.max:
            if known is not None and name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f'; did you mean "{near[0]}"?' if near else ""
                text = f'{self.KEY} does not measure "{name}"{hint} (it measures: {", ".join(known)})'
                yield ExpectationError(text, key="max", inside=name, allowed=known)

    def examine(self, context: Context) -> Judgement:
        """The verdict, limits of `max` aside. A subclass's own."""
        raise TypeError(f"{type(self).__name__} has no examine()")

    def judge(self, context: Context) -> Judgement:
        """The verdict. Raises ExpectationError where it cannot be judged as it is written."""
        return self._limited(self.examine(context), context.slack)

    def answer(
        self,
        verdict: Verdict,
        saw: str,
        *,
        time: float | None = None,
        line: int | None = None,
        measured: Mapping[str, float] | None = None,
        looked_at: Iterable[int | None] = (),
    ) -> Judgement:
        """A judgement under this expectation's title; lines that are None or 0 are left out of `looked_at`."""
        lines = tuple(islice(dict.fromkeys(one for one in looked_at if one), MAX_LINES))
        return Judgement(
            name=self.title, verdict=verdict, saw=saw, time=time, line=line, measured=measured or {}, looked_at=lines
        )

    def _limited(self, judgement: Judgement, slack: float) -> Judgement:
        """Fails what held where a measured figure is above its limit."""
        if judgement.verdict is not Verdict.HOLDS:
            return judgement
        for name, limit in self.max.items():
            figure = judgement.measured.get(name)
            if figure is None:
                known = ", ".join(sorted(judgement.measured)) or "nothing"
                return replace(
                    judgement, verdict=Verdict.INCONCLUSIVE, saw=f"{name} was not measured; measured was {known}"
                )
            if math.isnan(figure) or figure > limit * slack:
                above = f"{name} is {with_unit(name, figure)}, above its limit {with_unit(name, limit * slack)}"
                text = f"{above}; {judgement.saw}"
                return replace(judgement, verdict=Verdict.FAILS, saw=text)
        return judgement
