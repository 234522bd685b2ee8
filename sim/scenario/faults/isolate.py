"""`isolate`: nodes are alone, each of them.

Tests: tests/sim/scenario/faults/test_isolate.py.
"""

from typing import ClassVar

from sim.history.facts import FaultSeen
from sim.history.reach import Way
from sim.network.rules import Cut
from sim.scenario.cover import Change
from sim.scenario.faults.effect import Effect, Healing, Strike
from sim.scenario.faults.fault import Kind
from sim.scenario.faults.of_nodes import OfNodes
from sim.scenario.schema import Each, Selector

__all__ = ["Isolate"]


class Isolate(OfNodes, frozen=True, kw_only=True):
    """Each of these nodes is cut off from all others."""

    verb: ClassVar[str] = "isolate"
    kind: ClassVar[Kind | None] = Kind.CUT
    healable: ClassVar[bool] = True
    did: ClassVar[str] = "cut"

    isolate: Selector | Each
    """Whom."""

    def touch(self, now: Strike, nodes: list[str]) -> Effect:
        rule = now.rule()
        cuts = {f"{rule}/{node}": node for node in nodes}
        news = [now.world.isolate(cut, node) for cut, node in cuts.items()]
        undo = Healing(now.world, list(cuts))
        change = Change(cuts=[Cut.around(node) for node in nodes])
        idle = f"{', '.join(nodes)}: isolated already"
        return Effect(nodes, {}, undo, idle, covered=not any(news), change=change)

    @classmethod
    def severs(cls, seen: FaultSeen) -> Way | None:
        alone = frozenset(seen.targets)
        return lambda a, b: a != b and (a in alone or b in alone)
