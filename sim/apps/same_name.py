"""A process that comes under a name which another one has, and what to expect: it is refused, and nobody minds.

Tests: tests/test_scenarios.py.
"""

import asyncio
from collections.abc import Iterable
from copy import copy
from itertools import takewhile

from rpcnet import NameInUse
from rpcnet.app import NodeContext
from sim.trace import Event

__all__ = ["main", "only_the_twin_noticed"]


async def main(node: NodeContext, *, name: str) -> None:
    """Try to be member `name`; then nothing, until it is stopped."""
    twin = copy(node)
    twin.name = name
    node.ready()
    try:
        async with twin.cluster():
            node.record("let_in", member=name)
            await asyncio.Event().wait()
    except NameInUse as error:
        node.record("turned_away", member=name, error=str(error))
    await asyncio.Event().wait()


def only_the_twin_noticed(trace: Iterable[Event], *, name: str) -> bool:
    """Whether each twin was turned away, and the others saw one run of that name, up all the time."""
    before = takewhile(lambda event: event.name != "node_stopping", trace)
    events = [event for event in before if event.fields.get("member") == name]
    twins = {event.node for event in events if event.name in ("let_in", "turned_away")}
    let_in = {event.node for event in events if event.name == "let_in"}
    assert not let_in, f"{', '.join(sorted(let_in))} was let in under the name {name}"
    runs = {event.fields["run"] for event in events if event.node not in twins and "run" in event.fields}
    assert len(runs) == 1, f"the others saw {len(runs)} runs of {name}"
    downs = [event for event in events if event.name in ("member_suspected", "member_failed", "member_left")]
    assert not downs, f"{downs[0].node} recorded {downs[0].name} of {name}"
    return bool(twins)
