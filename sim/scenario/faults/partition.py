"""`partition`: the network falls into groups that cannot reach each other.

Tests: tests/sim/scenario/faults/test_partition.py.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from random import Random
from typing import Any, ClassVar

from msgspec import Struct

from sim.history.facts import FaultSeen
from sim.history.reach import Way
from sim.network.rules import Cut
from sim.scenario.cover import Change
from sim.scenario.faults.effect import Effect, Healing, Strike
from sim.scenario.faults.fault import Checking, Fault, Kind, name_all
from sim.scenario.places import stands_for
from sim.scenario.schema import Selector
from sim.scenario.select import Labels, select

__all__ = ["Partition", "Split"]


class Split(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Groups of nodes that are cut off from each other; who is in no group stays connected to all."""

    groups: list[Selector]
    """Two or more. A zone or router stands for the nodes that hang on it."""
    one_way: bool = False
    """Only what the first group says is lost; it still hears the others."""

    def chosen(self, nodes: Labels, random: Random) -> list[list[str]]:
        """The groups by name. Who is selected twice belongs to the first: "a minority of the workers, the rest"."""
        taken: set[str] = set()
        groups = []
        for selector in self.groups:
            found = select(stands_for(selector, nodes), nodes, random)
            groups.append([name for name in found if name not in taken])
            taken.update(groups[-1])
        return groups


class Partition(Fault, frozen=True, kw_only=True):
    """The network falls apart."""

    verb: ClassVar[str] = "partition"
    kind: ClassVar[Kind | None] = Kind.CUT
    healable: ClassVar[bool] = True
    did: ClassVar[str] = "cut"

    partition: Split
    """Which parts."""

    def check(self, checking: Checking) -> bool:
        groups = self.partition.groups
        if len(groups) < 2:
            checking.blame('a partition has two or more groups, like [["a", "b"], ["role=worker"]]', "groups")
            return False
        chosen = [checking.selector(group, "groups", index) for index, group in enumerate(groups)]
        taken: set[str] = set()
        for index, names in enumerate(chosen):
            if names is not None and taken.issuperset(names):
                checking.blame("everybody in this group is in an earlier one", "groups", index)
                return False
            taken.update(names or ())
        return None not in chosen

    def targets(self, nodes: Labels, random: Random) -> list[str]:
        return list(chain.from_iterable(self.partition.chosen(nodes, random)))

    def strike(self, now: Strike) -> Effect:
        groups, one_way = self.partition.chosen(now.nodes, now.random), self.partition.one_way
        rule = now.rule()
        news = now.world.partition(rule, groups, one_way)
        return Effect(
            list(chain.from_iterable(groups)),
            {"groups": groups, "one_way": one_way},
            Healing(now.world, [rule]),
            "these groups are cut off from each other already",
            covered=not news,
            change=Change(cuts=[Cut.between([frozenset(group) for group in groups], one_way=one_way)]),
        )

    @classmethod
    def severs(cls, seen: FaultSeen) -> Way | None:
        group = {node: number for number, nodes in enumerate(seen.detail.get("groups", ())) for node in nodes}
        one_way = bool(seen.detail.get("one_way"))

        def blocks(a: str, b: str) -> bool:
            if a not in group or b not in group or group[a] == group[b]:
                return False
            return group[a] == 0 if one_way else True

        return blocks

    @classmethod
    def whom(cls, targets: Sequence[str], detail: Mapping[str, Any]) -> str:
        groups = detail.get("groups")
        if isinstance(groups, list | tuple) and groups:
            return " | ".join(name_all([str(node) for node in group]) for group in groups)
        return super().whom(targets, detail)
