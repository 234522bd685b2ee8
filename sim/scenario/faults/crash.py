"""`crash`: a machine loses power.

Tests: tests/sim/scenario/faults/test_crash.py.
"""

from typing import ClassVar

from sim.scenario.faults.fault import Kind
from sim.scenario.faults.of_nodes import OfNodes
from sim.scenario.schema import Each, Selector

__all__ = ["Crash"]


class Crash(OfNodes, frozen=True, kw_only=True):
    """Power loss: the others see silence. `for`: then it starts again."""

    verb: ClassVar[str] = "crash"
    kind: ClassVar[Kind | None] = Kind.DEATH
    downs: ClassVar[bool] = True

    crash: Selector | Each
    """Whom."""
