"""`restart`: a node that is down starts again.

Tests: tests/sim/scenario/faults/test_restart.py.
"""

from typing import ClassVar

from sim.scenario.faults.fault import Kind
from sim.scenario.faults.of_nodes import OfNodes
from sim.scenario.schema import Each, Selector

__all__ = ["Restart"]


class Restart(OfNodes, frozen=True, kw_only=True):
    """A node that is down starts again (a running one is restarted by `stop`, `kill` or `crash` with `for`)."""

    verb: ClassVar[str] = "restart"
    kind: ClassVar[Kind | None] = Kind.RETURN
    undoable: ClassVar[bool] = False
    starts: ClassVar[bool] = True
    idle: ClassVar[str] = "running already"

    restart: Selector | Each
    """Whom."""
