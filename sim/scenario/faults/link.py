"""`link`: what lies on the way between some nodes is another: slower, lossy, narrow, or cut.

Tests: tests/sim/scenario/faults/test_link.py.
"""

from random import Random
from typing import Any, ClassVar

from msgspec import field

from sim.history.facts import FaultSeen
from sim.history.reach import Way, may_be_missed
from sim.network.quantity import parse_probability
from sim.scenario.cover import Change
from sim.scenario.faults.effect import ALONE, Effect, Healing, Strike, ends_of
from sim.scenario.faults.fault import Checking, Fault, Kind
from sim.scenario.schema import Edge, Selector
from sim.scenario.select import Labels, ways

__all__ = ["Link", "LinkChange"]


class LinkChange(Edge, frozen=True, kw_only=True):
    """Other weather between two nodes: the keys of `[network]`, and between whom."""

    from_: Selector | None = field(default=None, name="from")
    """Whose packets, with `to`: one way."""
    to: Selector | None = None
    """To whom."""
    between: list[Selector] | None = None
    """Two selectors: both ways."""

    def pairs(self, nodes: Labels, random: Random) -> list[tuple[str, str]]:
        """Every (from, to) whose link changes."""
        if self.between is not None:
            one, other = self.between
            forth = ways(one, other, nodes, random)
            return list(dict.fromkeys(forth + [(b, a) for a, b in forth]))
        assert self.from_ is not None and self.to is not None, "checked when the file was read"
        return ways(self.from_, self.to, nodes, random)


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
        change = self.link
        one_way = change.from_ is not None and change.to is not None
        if (change.between is not None) == (one_way or change.from_ is not None or change.to is not None):
            checking.blame("say where: either from and to (one way), or between = [a, b] (both ways)")
            return False
        if change.between is None and not one_way:
            checking.blame(f"{'to' if change.to is None else 'from'} is missing")
            return False
        if change.between is not None and len(change.between) != 2:
            checking.blame(f"between takes two, not {len(change.between)}", "between")
            return False
        if not change.edge():
            checking.blame(f"changes nothing; allowed: {', '.join(Edge.__struct_fields__)}")
        checking.edge(change.edge())
        return True

    def targets(self, nodes: Labels, random: Random) -> list[str]:
        return ends_of(self.link.pairs(nodes, random))

    def strike(self, now: Strike) -> Effect:
        pairs, edge, rule = self.link.pairs(now.nodes, now.random), self.link.edge(), now.rule()
        if self.link.loss is not None:
            edge["loss"] = parse_probability(self.link.loss)  # built in Python it may be text
        cuts = edge.get("loss", 0.0) >= 1
        before = now.world.apart(pairs) if cuts else set()
        # One name for all: the network looks through every name for each way that it finds.
        news = [now.world.link(rule, *pair, **edge) for pair in pairs]
        detail: dict[str, Any] = {"routed": True} if now.routed else {}
        if cuts:
            # On a graph there may be another way round, and others may have lost theirs.
            after = now.world.apart(pairs)
            detail["cut"] = [list(pair) for pair in sorted((after - before) | after.intersection(pairs))]
        return Effect(
            ends_of(pairs),
            {"pairs": [list(pair) for pair in pairs], **edge, **detail},
            Healing(now.world, [rule]),
            "nothing lies between these nodes, or it is so already" if pairs else ALONE,
            covered=not any(news),
            change=Change(linked=frozenset(pairs), edge=edge),
        )

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
    def meets(cls, seen: FaultSeen) -> Way | None:
        if seen.detail.get("routed"):
            return lambda a, b: True  # whoever's way leads over it meets it, which the trace does not tell
        return seen.among("pairs")
