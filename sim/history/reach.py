"""Who could reach whom, and when: cuts, dead links, held packets and long stalls, from what the trace says.

A stall of up to three seconds leaves a node reachable: it is the limit below which nobody may be declared dead. A pair
that was apart for longer needs as long again until news has come through, so its separation ends that much later.

Tests: tests/sim/history/test_reach.py.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from sim.history.facts import FaultSeen, Life, Membership
from sim.history.faults import Lost
from sim.network.latency import parse_latency

__all__ = ["STALL", "Reach", "Severs", "Way", "may_be_missed", "merge_spans"]

STALL = 3.0
"""Seconds: "a stall of up to three seconds kills nobody" (docs/expectations.md)."""

DRAWS = 1000
"""Of a latency, to see how late packets get."""

Span = tuple[float, float]
Way = Callable[[str, str], bool]
"""Whether something is so of what the first node sends to the second."""
Severs = Callable[[FaultSeen], Way | None]
"""What a fault cuts: from whom it keeps what whom sends; None where it cuts nothing."""


class Reach:
    """Answers from a run's faults and stalls."""

    def __init__(
        self,
        faults: Sequence[FaultSeen],
        lives: Mapping[str, Sequence[Life]],
        severs: Severs,
        lost: Sequence[Lost] = (),
    ) -> None:
        self._cuts = [
            (_span(fault), blocks)
            for fault in faults
            # What links of a graph part changes with each that is cut beside them.
            if not (lost and fault.detail.get("routed")) and (blocks := severs(fault)) is not None
        ]
        ends = [*(time for time, _ in lost[1:]), math.inf]
        self._lost = [((start, end), pairs) for (start, pairs), end in zip(lost, ends, strict=False)]
        self._stalls = {node: _long_stalls(of_node) for node, of_node in lives.items()}
        self._apart: dict[tuple[str, str], list[Span]] = {}

    def apart(self, one: str, other: str) -> list[Span]:
        """When two nodes could not hear each other both ways: spans that do not overlap, in order."""
        key = (one, other) if one < other else (other, one)
        spans = self._apart.get(key)
        if spans is None:
            cuts = [span for span, blocks in self._cuts if blocks(one, other) or blocks(other, one)]
            cuts += [span for span, pairs in self._lost if (one, other) in pairs or (other, one) in pairs]
            stalls = [*self._stalls.get(one, ()), *self._stalls.get(other, ())]
            spans = self._apart[key] = merge_spans(cuts + stalls)
        return spans

    def reachable(self, one: str, other: str, time: float) -> bool:
        """Whether the two could hear each other at that time; says nothing of whether they were up."""
        return not any(start <= time < end for start, end in self.apart(one, other))

    def last_reachable(self, observer: str, membership: Membership, time: float) -> float:
        """The last moment up to `time` at which the member was up and the observer could reach it; -inf = never."""
        moment = min(time, membership.end)
        for start, end in reversed(self.apart(observer, membership.node)):
            settled = end + STALL if end - start > STALL else end
            if start <= moment < settled:
                moment = start
                if start <= membership.start:
                    return -math.inf
        return moment if moment >= membership.start else -math.inf


def merge_spans(spans: Sequence[Span]) -> list[Span]:
    """The same moments as spans that neither overlap nor touch, in order."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _span(fault: FaultSeen) -> Span:
    return fault.time, math.inf if fault.undone is None else fault.undone


def _long_stalls(lives: Sequence[Life]) -> list[Span]:
    """Stalls that last longer than a node may be away. What was meant counts: signals of a busy machine come late."""
    stalls = [stall for life in lives for stall in life.stalls]
    return [(s.start, s.end) for s in stalls if min(s.seconds, s.end - s.start) > STALL]


def may_be_missed(latency: Any) -> bool:
    """Whether one packet in a hundred comes later than a node may be away, so that its news is as good as none."""
    draw = parse_latency(latency).sampler(Random(0))
    return sum(draw() > STALL for _ in range(DRAWS)) > DRAWS // 100
