"""`slow`: a machine is too slow for what it has to do.

Tests: tests/sim/scenario/faults/test_slow.py.
"""

import math
from typing import Any, ClassVar

from msgspec import Struct

from sim.scenario.faults.fault import Checking, Kind
from sim.scenario.faults.of_machine import OfMachine
from sim.scenario.schema import Selector

__all__ = ["Slow", "Strain"]


class Strain(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who is slow, and how much."""

    node: Selector
    """Whose steps."""
    factor: float
    """How many times as long as usual each takes: that of its `cpu`, or of `lognormal(50us, 1)`."""


class Slow(OfMachine, frozen=True, kw_only=True):
    """Every step of a program takes longer, its timers come late: a machine that others keep busy."""

    verb: ClassVar[str] = "slow"
    kind: ClassVar[Kind | None] = Kind.DELAY

    slow: Strain
    """Who, and how much."""

    def check(self, checking: Checking) -> bool:
        if not 1 <= self.slow.factor < math.inf:
            checking.blame(f"factor is at least 1, where nothing changes, not {self.slow.factor:g}", "factor")
        return True

    def settings(self) -> dict[str, Any]:
        return {"factor": self.slow.factor}
