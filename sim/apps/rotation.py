"""A member whose keys change while it runs: it adds a new key, seals with it, removes the old one, each at its time.

What operators do by hand at all members, here each does by its own clock, a little later than others, so that some
always have a step before others. It goes on setting tags meanwhile. At the end it records what it has refused.

Tests: tests/test_scenarios.py.
"""

import asyncio
from collections.abc import Iterable

from rpcnet.app import NodeContext
from rpcnet.cluster import Cluster
from sim.trace import Event

__all__ = ["main", "nobody_was_refused"]

SPREAD = 1.0
"""Seconds by which a member may be later than the first one with a step."""


async def main(
    node: NodeContext,
    *,
    key: str,
    add: float = 2.0,
    use: float = 5.0,
    remove: float | None = 8.0,
    look: float = 11.0,
    every: float = 0.1,
) -> None:
    """`key` is the new one; times are seconds since the start. Tags are set every `every` s or so until `look`."""
    started = asyncio.get_running_loop().time()
    async with node.cluster() as cluster:
        keyring = cluster.keyring
        assert keyring is not None, "the scenario gives keys"
        old = keyring.primary
        await cluster.register_self({"count": "0"})
        node.ready()
        counting = asyncio.create_task(_count(node, cluster, every))
        try:
            for step, at, which in ((keyring.add, add, key), (keyring.use, use, key), (keyring.remove, remove, old)):
                if at is not None:
                    await _until(started + at + node.random.uniform(0, SPREAD))
                    node.record("key_changed", step=step.__name__, key=step(which), sealing=keyring.primary)
            await _until(started + look)
            stats = cluster.stats
            node.record("refused", packets=stats.unknown_key + stats.forged + stats.unsealed + stats.replayed)
        finally:
            counting.cancel()
        await asyncio.Event().wait()


def nobody_was_refused(trace: Iterable[Event], *, absent: str) -> bool:
    """Whether no member has refused a packet of another one until it looked; the one that was away aside."""
    events = [event for event in trace if event.name == "refused" and event.node != absent]
    refused = {event.node: event.fields["packets"] for event in events}
    assert not any(refused.values()), f"packets of members were refused: {refused}"
    return bool(refused)


async def _count(node: NodeContext, cluster: Cluster, every: float) -> None:
    number = 0
    while True:
        number += 1
        await asyncio.sleep(every * node.random.uniform(0.5, 1.5))
        await cluster.update_tags({"count": str(number)})


async def _until(time: float) -> None:
    await asyncio.sleep(max(0.0, time - asyncio.get_running_loop().time()))
