"""`calls`: the share of the selected nodes' calls that succeeded, and how long those took.

Calls are counted at the caller, of every shape. One that was still open when the run's end began is not counted.

Tests: tests/sim/scenario/expect/test_calls.py.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from sim.scenario.expect.words import count, percentile, seconds
from sim.scenario.schema import Selector
from sim.scenario.verdict import (
    Context,
    DeclaredFault,
    Expectation,
    ExpectationError,
    Figure,
    Judgement,
    Select,
    Verdict,
)
from sim.trace import Event

__all__ = ["Calls"]


class Calls(Expectation, frozen=True, kw_only=True):
    """Measures calls, success (a share), and p50, p90, p99 and last: seconds of those that succeeded."""

    KEY: ClassVar[str] = "calls"
    SELECTORS: ClassVar[tuple[str, ...]] = ("calls",)
    MEASURES: ClassVar[tuple[str, ...] | None] = ("calls", "success", "p50", "p90", "p99", "last")

    calls: Selector
    """The callers."""
    min_success: Figure = 0.0
    """The least share that must succeed: "99%" or 0.99."""

    def mistakes(self, faults: Sequence[DeclaredFault], select: Select) -> Iterator[ExpectationError]:
        yield from super().mistakes(faults, select)
        if not 0.0 <= self.min_success <= 1.0:
            yield ExpectationError(f"min_success is a share: 0 to 1, not {self.min_success:g}", key="min_success")

    def examine(self, context: Context) -> Judgement:
        nodes = set(context.select(self.calls))
        took: list[float] = []
        failed: list[Event] = []
        for event in context.events():
            if event.line >= context.history.end_line:
                break
            if event.name == "call_ended" and event.node in nodes:
                if event.fields.get("status") == "OK":
                    took.append(float(event.fields.get("seconds") or 0.0))
                else:
                    failed.append(event)
        total = len(took) + len(failed)
        if not total:
            return self.answer(Verdict.INCONCLUSIVE, "no call of these nodes ended")
        share = len(took) / total
        measured = {"calls": float(total), "success": share}
        if took:
            ranks = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "last": 1.0}
            measured |= {name: percentile(took, rank) for name, rank in ranks.items()}
        saw = f"{len(took)} of {count(total, 'call')} succeeded ({share:.2%})"
        if share >= self.min_success:
            return self.answer(Verdict.HOLDS, saw, measured=measured)
        first = failed[0]
        text = (
            f"{saw}, fewer than {self.min_success:.2%}; the first that did not: {first.fields.get('method')} "
            f"of {first.node} at {seconds(first.time)}, {first.fields.get('status')}"
        )
        return self.answer(Verdict.FAILS, text, time=first.time, line=first.line, measured=measured)
