"""`calls`: the share of the selected nodes' calls that succeeded, and how long those took.

Calls are counted at the caller, of every shape. One that was still open when the run's end began is not counted. With
`within` or `after` only those that began in that time are judged: from the application's call on, the time included
that it waited for a connection. That time is not stretched by `--slack`, as it says which calls are meant, not how
soon something must happen.

Tests: tests/sim/scenario/expect/test_calls.py.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import ClassVar, NamedTuple

from sim.scenario.expect.timed import NeverHappened, Timed, Window
from sim.scenario.expect.words import count, names, percentile, seconds
from sim.scenario.schema import Selector
from sim.scenario.verdict import Context, DeclaredFault, ExpectationError, Figure, Judgement, Select, Verdict

__all__ = ["Calls"]

MAX_NAMED = 5
"""Methods that are named where none was called that is meant."""


SLOWEST = 5
"""Calls that took longest, which a judgement points at."""


class _Call(NamedTuple):
    """One that ended."""

    node: str
    method: str
    begun: float
    time: float
    line: int
    status: str
    seconds: float

    @property
    def succeeded(self) -> bool:
        return self.status == "OK"


class Calls(Timed, frozen=True, kw_only=True):
    """Measures calls, success (a share), and p50, p90, p99 and last: seconds of those that succeeded."""

    KEY: ClassVar[str] = "calls"
    SELECTORS: ClassVar[tuple[str, ...]] = ("calls",)
    MEASURES: ClassVar[tuple[str, ...] | None] = ("calls", "success", "p50", "p90", "p99", "last")

    calls: Selector
    """The callers."""
    method: str = "*"
    """Of which method: its name, or a pattern, `Ledger.*`."""
    min_success: Figure = 0.0
    """The least share that must succeed: "99%" or 0.99."""

    @property
    def title(self) -> str:
        title = super().title
        title += f" of {self.method}" if self.method != "*" else ""
        return title + (f" after {self.after}" if self.after is not None else "")

    def mistakes(self, faults: Sequence[DeclaredFault], select: Select) -> Iterator[ExpectationError]:
        yield from super().mistakes(faults, select)
        if not 0.0 <= self.min_success <= 1.0:
            yield ExpectationError(f"min_success is a share: 0 to 1, not {self.min_success:g}", key="min_success")
        if not self.method:
            yield ExpectationError('method is a name or a pattern like "Ledger.*", and not empty', key="method")
        if self.within is not None and self.within <= 0:
            yield ExpectationError("within is how long calls are judged that begin: above 0", key="within")

    def examine(self, context: Context) -> Judgement:
        nodes = set(context.select(self.calls))
        try:
            windows = self.windows_as_told(context)
        except NeverHappened as never:
            return self.answer(Verdict.INCONCLUSIVE, str(never))
        ended = [call for call in _ended(context) if call.node in nodes]
        calls = [call for call in ended if fnmatchcase(call.method, self.method)]
        if not calls:
            return self.answer(Verdict.INCONCLUSIVE, self._none_of(ended))
        found = [(window, [call for call in calls if self._is_in(call, window)]) for window in windows]
        meant = list(dict.fromkeys(call for _, some in found for call in some))
        measured = _measure(meant) if meant else {}
        for window, some in found:
            if some and _share(some) < self.min_success:
                return self._too_few(some, window, measured)
        for window, some in found:
            if not some:
                text = f"no call of these nodes {self._span(window)} ended"
                return self.answer(Verdict.INCONCLUSIVE, text, time=window.start, line=window.line, measured=measured)
        saw = _success(meant) + (f", of those {self._span(windows[0])}" if windows[0].since else "")
        saw += f", and of {len(windows) - 1} more strikes" if len(windows) > 1 else ""
        slow = sorted((call for call in meant if call.succeeded), key=lambda call: -call.seconds)[:SLOWEST]
        if not slow:
            return self.answer(Verdict.HOLDS, saw, measured=measured)
        worst = slow[0]
        saw += f"; the slowest: {worst.method} of {worst.node}, {seconds(worst.seconds)}"
        lines = [call.line for call in slow]
        return self.answer(Verdict.HOLDS, saw, time=worst.time, line=worst.line, measured=measured, looked_at=lines)

    def _is_in(self, call: _Call, window: Window) -> bool:
        last = math.inf if self.within is None else window.start + self.within
        return window.start <= call.begun < last

    def _span(self, window: Window) -> str:
        """`begun within 5 s of crash`."""
        if not window.since:
            return "in the run"
        how = "after" if self.within is None else f"within {seconds(self.within)} of"
        return f"begun {how} {window.since}"

    def _none_of(self, ended: Sequence[_Call]) -> str:
        if not ended or self.method == "*":
            return "no call of these nodes ended"
        others = Counter(call.method for call in ended).most_common(MAX_NAMED)
        called = names([f"{method} ({many} times)" for method, many in others])
        return f'no call of "{self.method}" of these nodes ended; they called {called}'

    def _too_few(self, calls: Sequence[_Call], window: Window, measured: dict[str, float]) -> Judgement:
        first = next(call for call in calls if not call.succeeded)
        since = f", of those {self._span(window)}" if window.since else ""
        text = (
            f"{_success(calls)}{since}, fewer than {self.min_success:.2%}; the first that did not: {first.method} "
            f"of {first.node} at {seconds(first.time)}, {first.status}"
        )
        lines = [call.line for call in calls if not call.succeeded]
        return self.answer(Verdict.FAILS, text, time=first.time, line=first.line, measured=measured, looked_at=lines)


def _ended(context: Context) -> Iterator[_Call]:
    """All calls that ended before the run's end began, in the order of their ends."""
    started: dict[tuple[str, object, object], float] = {}
    for event in context.events():
        if event.line >= context.history.end_line:
            return
        key = event.node, event.fields.get("connection"), event.fields.get("stream")
        if event.name == "call_started":
            started[key] = event.time
        elif event.name == "call_ended":
            took = float(event.fields.get("seconds") or 0.0)
            put = started.pop(key, event.time - took)  # One that never came to a connection has no start.
            yield _Call(
                event.node,
                str(event.fields.get("method")),
                put - float(event.fields.get("queue_seconds") or 0.0),
                event.time,
                event.line,
                str(event.fields.get("status")),
                took,
            )


def _share(calls: Sequence[_Call]) -> float:
    return sum(call.succeeded for call in calls) / len(calls)


def _success(calls: Sequence[_Call]) -> str:
    return f"{sum(call.succeeded for call in calls)} of {count(len(calls), 'call')} succeeded ({_share(calls):.2%})"


def _measure(calls: Sequence[_Call]) -> dict[str, float]:
    measured = {"calls": float(len(calls)), "success": _share(calls)}
    if took := [call.seconds for call in calls if call.succeeded]:
        ranks = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "last": 1.0}
        measured |= {name: percentile(took, rank) for name, rank in ranks.items()}
    return measured
