"""Faults that change machines until they are healed; their value is a table with the `node` and what changes.

Tests: tests/sim/scenario/faults/test_clock.py, tests/sim/scenario/faults/test_slow_receive.py.
"""

from random import Random
from typing import Any, ClassVar

from sim.scenario.faults.effect import Effect, Healing, Strike
from sim.scenario.faults.fault import Fault
from sim.scenario.select import Labels, select

__all__ = ["OfMachine"]


class OfMachine(Fault, frozen=True, kw_only=True):
    """A World's word of that name takes a name to heal it by, a node, and the settings."""

    healable: ClassVar[bool] = True

    def settings(self) -> dict[str, Any]:
        """What changes, as the world takes it and the trace tells it."""
        raise NotImplementedError

    def targets(self, nodes: Labels, random: Random) -> list[str]:
        return select(self.value.node, nodes, random)

    def strike(self, now: Strike) -> Effect:
        nodes, settings = select(self.value.node, now.nodes, now.random), self.settings()
        word, rule = getattr(now.world, self.verb), now.rule()
        changed = {node: f"{rule}/{node}" for node in nodes}
        targets = [node for node, name in changed.items() if word(name, node, **settings)]
        undo = Healing(now.world, [changed[node] for node in targets])
        return Effect(targets, settings, undo, f"{', '.join(nodes)}: not running at that time")
