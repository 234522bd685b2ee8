"""`heal`: what lasts until it is undone is undone.

Tests: tests/sim/scenario/faults/test_heal.py.
"""

from itertools import chain
from random import Random
from typing import ClassVar

from sim.scenario.faults.effect import Effect, Healing, Strike
from sim.scenario.faults.fault import Checking, Fault
from sim.scenario.select import Labels

__all__ = ["Heal"]


class Heal(Fault, frozen=True, kw_only=True):
    """What has no end of its own is undone: a partition, isolation, link change, hold, slow reader or clock."""

    verb: ClassVar[str] = "heal"
    undoable: ClassVar[bool] = False

    heal: str
    """`all`, or the name of the fault."""

    def check(self, checking: Checking) -> bool:
        checking.healed(self.heal)
        return True

    def targets(self, nodes: Labels, random: Random) -> list[str]:
        return []

    def strike(self, now: Strike) -> Effect:
        healed = [e for e in now.in_force if isinstance(e.undo, Healing) and self.heal in {"all", e.name}]
        names = list(dict.fromkeys(effect.name for effect in healed))
        return Effect(
            list(dict.fromkeys(chain.from_iterable(effect.targets for effect in healed))),
            {"healed": names},
            idle=f'"{self.heal}" was not in force at that time',
            heals=names,
        )
