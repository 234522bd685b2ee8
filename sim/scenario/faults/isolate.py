"""`isolate`: nodes are alone, each of them.

Tests: tests/sim/scenario/faults/test_isolate.py.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar

from sim.history.facts import FaultSeen
from sim.history.reach import Way
from sim.network.rules import Cut
from sim.scenario.cover import Change
from sim.scenario.faults.effect import Effect, Healing, Strike
from sim.scenario.faults.fault import Checking, Kind, name_all
from sim.scenario.faults.of_nodes import OfNodes
from sim.scenario.faults.ways import change_ways
from sim.scenario.places import Places, places_of, touched
from sim.scenario.schema import Each, Selector
from sim.scenario.select import Labels

__all__ = ["Isolate"]


class Isolate(OfNodes, frozen=True, kw_only=True):
    """Each of these nodes is cut off from all others; of a zone or router the links are cut."""

    verb: ClassVar[str] = "isolate"
    kind: ClassVar[Kind | None] = Kind.CUT
    healable: ClassVar[bool] = True
    did: ClassVar[str] = "cut"

    isolate: Selector | Each
    """Whom."""

    def check(self, checking: Checking) -> bool:
        parts = self.isolate if isinstance(self.isolate, list) else [self.isolate]
        if any(part in checking.places.nodes for part in parts) and not self._named(checking.places):
            checking.blame(f"name either nodes or {checking.places.kind}s, in two faults where both are meant")
            return False
        return super().check(checking)

    def targets(self, nodes: Labels, random: Random) -> list[str]:
        if named := self._named(places_of(nodes)):
            return touched(((place, place) for place in named), nodes)
        return super().targets(nodes, random)

    def strike(self, now: Strike) -> Effect:
        places = places_of(now.nodes)
        if named := self._named(places):
            effect = change_ways(now, _links_of(named, places), {"loss": 1.0})
            effect.targets = touched(((place, place) for place in named), now.nodes)
            effect.detail["places"] = named
            return effect
        return super().strike(now)

    def _named(self, places: Places) -> list[str]:
        """The zones or routers that it names, where it names nothing else."""
        parts = self.isolate if isinstance(self.isolate, list) else [self.isolate]
        named = [part for part in parts if isinstance(part, str) and part in places.nodes]
        return named if len(named) == len(parts) else []

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
        if seen.detail.get("routed"):
            return seen.among("cut")
        alone = frozenset(seen.targets)
        return lambda a, b: a != b and (a in alone or b in alone)

    @classmethod
    def meets(cls, seen: FaultSeen) -> Way | None:
        if seen.detail.get("routed"):
            return lambda a, b: True  # whoever's way led over it, which the trace does not tell
        return cls.severs(seen)

    @classmethod
    def whom(cls, targets: Sequence[str], detail: Mapping[str, Any]) -> str:
        return name_all(detail["places"]) if "places" in detail else super().whom(targets, detail)


def _links_of(named: list[str], places: Places) -> list[tuple[str, str]]:
    return list(dict.fromkeys(edge for place in named for edge in places.links(place)))
