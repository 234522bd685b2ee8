"""The faults of a run as the trace tells of them, and when it was quiet.

Tests: tests/sim/history/test_history.py, tests/sim/report/test_tables.py.
"""

import math
from typing import Any

from sim.history.ending import Ending
from sim.history.facts import FaultSeen
from sim.trace import Event

__all__ = ["Faults", "Lost"]

Lost = tuple[float, frozenset[tuple[str, str]]]
"""From when on there is no way through a graph, from whom to whom."""


class Faults:
    """A part of a reader. Of more than `limit` faults the others are counted."""

    def __init__(self, ending: Ending, limit: float = math.inf) -> None:
        self._ending, self._limit = ending, limit
        self.all: list[FaultSeen] = []
        """In the order in which they were told, idle ones too."""
        self.omitted = 0
        self.lost: list[Lost] = []
        self.quiet: float | None = None

    def on_fault(self, event: Event) -> None:
        self._keep(event, event.time)

    def on_fault_idle(self, event: Event) -> None:
        # Told of when it was over, where it might still have come to something.
        struck = float(event.fields.get("struck", event.time))
        self._keep(event, struck, str(event.fields.get("why") or "touched nothing"))

    def _keep(self, event: Event, time: float, idle: str = "") -> None:
        if len(self.all) >= self._limit:
            self.omitted += 1
            return
        name, detail = str(event.fields.get("name") or ""), event.fields.get("detail")
        self.all.append(
            FaultSeen(
                name=name,
                verb=str(event.fields.get("verb") or name),
                targets=_targets(event),
                detail=detail if isinstance(detail, dict) else {"": detail} if detail else {},
                time=time,
                line=event.line,
                number=len(self.all) + 1,
                idle=idle,
            )
        )

    def on_fault_undone(self, event: Event) -> None:
        name, targets = event.fields.get("name"), _targets(event)
        open_ones = [fault for fault in self.all if fault.name == name and fault.undone is None and not fault.idle]
        # A rolling fault has one name and a turn for each target.
        for fault in [fault for fault in open_ones if fault.targets == targets] or open_ones:
            fault.undone = event.time

    def on_apart(self, event: Event) -> None:
        pairs: Any = event.fields.get("pairs", ())
        self.lost.append((event.time, frozenset((a, b) for a, b in pairs)))

    def on_quiet(self, event: Event) -> None:
        if not self._ending.begun:
            self.quiet = event.time


def _targets(event: Event) -> tuple[str, ...]:
    return tuple(str(target) for target in event.fields.get("targets") or ())
