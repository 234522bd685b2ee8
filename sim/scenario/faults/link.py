"""`link`: what lies on the way between some nodes is another: slower, lossy, narrow, or cut.

Tests: tests/sim/scenario/faults/test_link.py.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar

from sim.history.facts import FaultSeen
from sim.history.reach import Way, may_be_missed
from sim.network.link import spelt_out
from sim.network.quantity import parse_probability
from sim.scenario.faults.effect import Effect, Strike
from sim.scenario.faults.fault import Checking, Fault, Kind, name_all
from sim.scenario.faults.ways import change_ways
from sim.scenario.places import across, mistake_of_ends, touched
from sim.scenario.schema import Between, Edge
from sim.scenario.select import Labels

__all__ = ["Link", "LinkChange"]


class LinkChange(Between, frozen=True, kw_only=True):
    """Other weather between two nodes, zones or routers: the keys of `[network]`, and between whom."""


class Link(Fault, frozen=True, kw_only=True):
    """What lies between some nodes changes."""

    verb: ClassVar[str] = "link"
    kind: ClassVar[Kind | None] = Kind.CUT
    healable: ClassVar[bool] = True
    nobody: ClassVar[str] = "nobody has a link to itself: name two different nodes"
    did: ClassVar[str] = "changed"

    link: LinkChange
    """Where, and to what."""

    def check(self, checking: Checking) -> bool:
        if mistake := mistake_of_ends(self.link):
            text, steps = mistake
            checking.blame(text, *steps)
            return False
        if not self.link.edge():
            checking.blame(f"changes nothing; allowed: {', '.join(Edge.__struct_fields__)}")
        checking.edge(self.link.edge())
        return True

    def targets(self, nodes: Labels, random: Random) -> list[str]:
        return touched(across(self.link, nodes, random), nodes)

    def strike(self, now: Strike) -> Effect:
        edge = spelt_out(self.link.edge())
        if "loss" in edge:
            edge["loss"] = parse_probability(edge["loss"])  # a preset's is text, and so may be one built in Python
        return change_ways(now, across(self.link, now.nodes, now.random), edge)

    @classmethod
    def severs(cls, seen: FaultSeen) -> Way | None:
        """At 100 % loss, and where it takes longer than a node may be away: then its news is as good as none."""
        detail = seen.detail
        lags = (key for key in ("latency", "jitter") if key in detail and not detail.get("routed"))
        if any(may_be_missed(detail[key]) for key in lags):
            return seen.among("pairs")
        if float(detail.get("loss") or 0.0) >= 1.0:
            return seen.among("cut" if "cut" in detail else "pairs")
        return None

    @classmethod
    def whom(cls, targets: Sequence[str], detail: Mapping[str, Any]) -> str:
        ends = [str(name) for name in detail.get("places", ())]
        return " – ".join(ends) if len(ends) == 2 else name_all(ends or targets)

    @classmethod
    def meets(cls, seen: FaultSeen) -> Way | None:
        if seen.detail.get("routed"):
            return lambda a, b: True  # whoever's way leads over it meets it, which the trace does not tell
        return seen.among("pairs")
