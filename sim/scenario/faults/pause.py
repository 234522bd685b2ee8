"""`pause`: a process is halted for a while (SIGSTOP, a long garbage collection).

Tests: tests/sim/scenario/faults/test_pause.py.
"""

from typing import ClassVar

from sim.scenario.faults.fault import Standstill
from sim.scenario.faults.stall import Stall
from sim.scenario.schema import Each, Selector

__all__ = ["Pause"]


class Pause(Stall, frozen=True, kw_only=True):
    """SIGSTOP for the time of `for`: its host goes on to receive, nothing is read and no timer runs."""

    verb: ClassVar[str] = "pause"
    standstill: ClassVar[Standstill | None] = Standstill("paused", "||||", "paused")

    pause: Selector | Each
    """Whom."""
