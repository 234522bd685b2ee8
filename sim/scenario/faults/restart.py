"""`restart`: a node that is down starts again.

Tests: tests/sim/scenario/faults/test_restart.py.
"""

from typing import ClassVar

from sim.backends.program import World
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
    restart: Selector | Each
    """Whom."""

    def why_idle(self, nodes: list[str], world: World) -> str:
        up = [node for node in nodes if world.is_up(node)]
        unborn = [node for node in nodes if node not in up]
        parts = ((up, "running already"), (unborn, "not started yet"))
        return "; ".join(f"{', '.join(some)}: {why} at that time" for some, why in parts if some)
