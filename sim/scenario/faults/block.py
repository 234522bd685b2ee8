"""`block`: a node's event loop is busy for a while.

Tests: tests/sim/scenario/faults/test_block.py.
"""

from typing import ClassVar

from sim.scenario.faults.fault import Standstill
from sim.scenario.faults.stall import Stall
from sim.scenario.schema import Each, Selector

__all__ = ["Block"]


class Block(Stall, frozen=True, kw_only=True):
    """The event loop is busy for the time of `for`, as by a handler that computes."""

    verb: ClassVar[str] = "block"
    standstill: ClassVar[Standstill | None] = Standstill("blocked", "----", "loop blocked")

    block: Selector | Each
    """Whom."""
