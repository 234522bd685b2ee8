"""What a fault does to ways: all that lies between two nodes, or the link between two neighbours of a graph.

On a graph there may be another way round, and others than those at its ends may lose theirs: who has none left is
asked of the world. Knows no verb.

Tests: tests/sim/scenario/faults/test_link.py, tests/sim/scenario/test_wan.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sim.scenario.cover import Change
from sim.scenario.faults.effect import ALONE, Effect, Healing, Strike, ends_of
from sim.scenario.places import places_of, touched

__all__ = ["change_ways"]


def change_ways(now: Strike, pairs: Sequence[tuple[str, str]], edge: Mapping[str, Any]) -> Effect:
    """Have each of these be like that until it is undone. `edge` is edge data, its loss a number."""
    rule = now.rule()
    cuts = edge.get("loss", 0.0) >= 1
    before = now.world.apart(pairs) if cuts else set()
    # One name for all: the network looks through every name for each way that it finds.
    news = [now.world.link(rule, *pair, **edge) for pair in pairs]
    places = [end for end in ends_of(pairs) if end in places_of(now.nodes).nodes]
    detail: dict[str, Any] = {"routed": True} if now.routed or places else {}
    if places:
        detail["places"] = places
    if cuts:
        # On a graph there may be another way round, and others may have lost theirs.
        after = now.world.apart(pairs)
        detail["cut"] = [list(pair) for pair in sorted((after - before) | after.intersection(pairs))]
    return Effect(
        touched(pairs, now.nodes),
        {"pairs": [list(pair) for pair in pairs], **edge, **detail},
        Healing(now.world, [rule]),
        "nothing lies between these nodes, or it is so already" if pairs else ALONE,
        covered=not any(news),
        change=Change(linked=frozenset(pairs), edge=edge),
    )
