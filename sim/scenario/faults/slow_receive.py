"""`slow_receive`: a program reads late.

Tests: tests/sim/scenario/faults/test_slow_receive.py.
"""

from typing import Any, ClassVar

from msgspec import Struct

from sim.history.facts import FaultSeen
from sim.history.reach import Way, may_be_missed
from sim.network.latency import parse_latency
from sim.scenario.faults.fault import Checking, Kind
from sim.scenario.faults.of_machine import OfMachine
from sim.scenario.schema import Selector

__all__ = ["SlowReceive", "Slowness"]


class Slowness(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who reads late, and how late."""

    node: Selector
    """Whose program."""
    latency: str
    """Between a packet's arrival and its being read: a duration or a distribution, as in `[network]`."""


class SlowReceive(OfMachine, frozen=True, kw_only=True):
    """A program reads each packet late, in order, while its timers are on time: an overloaded receiver."""

    verb: ClassVar[str] = "slow_receive"
    kind: ClassVar[Kind | None] = Kind.DELAY
    did: ClassVar[str] = "slowed"

    slow_receive: Slowness
    """Who, and how late."""

    def check(self, checking: Checking) -> bool:
        checking.read(parse_latency, self.slow_receive.latency, "latency")
        return True

    def settings(self) -> dict[str, Any]:
        return {"latency": self.slow_receive.latency}

    @classmethod
    def severs(cls, seen: FaultSeen) -> Way | None:
        """Where its packets are read later than a node may be away."""
        late = frozenset(seen.targets)
        return (lambda a, b: a != b and b in late) if may_be_missed(seen.detail.get("latency")) else None

    @classmethod
    def meets(cls, seen: FaultSeen) -> Way | None:
        late = frozenset(seen.targets)
        return lambda a, b: b in late
