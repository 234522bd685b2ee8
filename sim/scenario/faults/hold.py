"""`hold`: packets are kept on their way, and come late.

Tests: tests/sim/scenario/faults/test_hold.py.
"""

from random import Random
from typing import ClassVar

from msgspec import Struct, field

from sim.history.facts import FaultSeen
from sim.history.reach import Way
from sim.scenario.cover import Change
from sim.scenario.faults.effect import ALONE, Effect, Healing, Strike, ends_of
from sim.scenario.faults.fault import Fault, Kind
from sim.scenario.places import stands_for
from sim.scenario.schema import Selector
from sim.scenario.select import Labels, ways

__all__ = ["Held", "Hold"]


class Held(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whose packets are kept, and on the way to whom."""

    from_: Selector = field(name="from")
    """Whose packets. A zone or router stands for the nodes that hang on it."""
    to: Selector = "all"
    """On the way to whom."""

    def ways(self, nodes: Labels, random: Random) -> list[tuple[str, str]]:
        """Every (from, to) whose packets are kept."""
        return ways(stands_for(self.from_, nodes), stands_for(self.to, nodes), nodes, random)


class Hold(Fault, frozen=True, kw_only=True):
    """Packets are kept on their way and delivered when it ends, in order: late news of another time."""

    verb: ClassVar[str] = "hold"
    kind: ClassVar[Kind | None] = Kind.DELAY
    healable: ClassVar[bool] = True
    nobody: ClassVar[str] = "nobody has a link to itself: name two different nodes"
    did: ClassVar[str] = "held"

    hold: Held
    """Which way."""

    def targets(self, nodes: Labels, random: Random) -> list[str]:
        return ends_of(self.hold.ways(nodes, random))

    def strike(self, now: Strike) -> Effect:
        held = self.hold.ways(now.nodes, now.random)
        rule = now.rule()
        rules = {f"{rule}/{number}": way for number, way in enumerate(held)}
        news = [now.world.hold(name, *way) for name, way in rules.items()]
        return Effect(
            ends_of(held),
            {"pairs": [list(way) for way in held]},
            Healing(now.world, list(rules)),
            "what these nodes send each other is held already" if held else ALONE,
            covered=not any(news),
            change=Change(held=frozenset(held)),
        )

    @classmethod
    def severs(cls, seen: FaultSeen) -> Way | None:
        return seen.among("pairs")
