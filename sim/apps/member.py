"""A member of the cluster and nothing else; on request it changes its tags, in whole batches, at an uneven rhythm.

All counters of a batch hold the same number, so that half a batch is seen at a glance.

Tests: tests/test_scenarios.py.
"""

import asyncio

from rpcnet.app import NodeContext

__all__ = ["main"]


async def main(
    node: NodeContext,
    *,
    tags: dict[str, str] | None = None,
    counters: list[str] | None = None,
    every: float = 1.0,
    batches: int = 10,
) -> None:
    """Be a member with `tags`; then set all `counters` to 1, 2, … `batches`, every `every` seconds or so."""
    async with node.cluster() as cluster:
        await cluster.register_self({**(tags or {}), **dict.fromkeys(counters or (), "0")})
        node.ready()
        if counters:
            for batch in range(1, batches + 1):
                await asyncio.sleep(every * node.random.uniform(0.5, 1.5))
                await cluster.update_tags(dict.fromkeys(counters, str(batch)))
        await asyncio.Event().wait()
