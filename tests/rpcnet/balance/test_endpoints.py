"""Where the calls of a cluster's client wait, and what becomes of those whose member, policy or client goes wrong."""

import asyncio

import pytest

from rpcnet import RpcConfig
from rpcnet.balance import ClusterClient, ConsistentHash, LeastOutstanding, RoundRobin
from tests.rpcnet.balance.members import connected, until, workers


@pytest.mark.parametrize("policy", [RoundRobin, LeastOutstanding, lambda: ConsistentHash("user")])
def test_more_calls_than_places_all_have_their_turn(world, policy) -> None:
    async def main() -> None:
        async with workers("w1", "w2", config=RpcConfig(max_streams=2)) as (mine, all_of_them):
            async with ClusterClient(mine, role="worker", policy=policy()) as client:
                calls = [asyncio.create_task(client.call("hold", metadata={"user": str(user)})) for user in range(40)]
                await until(lambda: sum(worker.running for worker in all_of_them.values()) == 4)
                calls.pop().cancel()
                calls.pop(0).cancel()
                for worker in all_of_them.values():
                    worker.held.set()
                assert set(await asyncio.gather(*calls)) == {b"w1", b"w2"}
                await until(lambda: client.stats.running_handlers == 0)

    world.run(main())


def test_calls_that_wait_for_a_member_that_leaves_go_elsewhere(world) -> None:
    async def main() -> None:
        async with workers("w1", "w2", config=RpcConfig(max_streams=2)) as (mine, all_of_them):
            async with ClusterClient(mine, role="worker") as client:
                await connected(client, 2)
                calls = [asyncio.create_task(client.call("hold")) for _ in range(12)]
                await until(lambda: sum(worker.running for worker in all_of_them.values()) == 4)
                await all_of_them["w1"].cluster.update_tags({"role": "idler"})
                await until(lambda: len(client.members) == 1)
                all_of_them["w2"].held.set()
                await until(lambda: sum(call.done() for call in calls) == 10)
                all_of_them["w1"].held.set()
                assert sorted(await asyncio.gather(*calls)) == [b"w1"] * 2 + [b"w2"] * 10

    world.run(main())
