"""Where the calls of a cluster's client wait, and what becomes of those whose member, policy or client goes wrong."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rpcnet import Internal, PermissionDenied, RpcConfig
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


class Wrong:
    """A policy that does what it should not."""

    sticky = False

    def __init__(self, pick: Callable[[], Any]) -> None:
        self._pick = pick

    def pick(self, candidates: Any, call: Any) -> Any:
        return self._pick()


class Unforeseen(BaseException):
    pass


def raises(error: BaseException) -> Callable[[], Any]:
    def pick() -> Any:
        raise error

    return pick


@pytest.mark.parametrize("has_connected", [False, True])
@pytest.mark.parametrize(
    ("pick", "kind"),
    [
        (raises(ValueError("slip")), Internal),
        (raises(Unforeseen()), Internal),
        (raises(asyncio.CancelledError()), Internal),
        (raises(StopIteration()), Internal),
        (raises(PermissionDenied("not you")), PermissionDenied),
        (lambda: None, Internal),
    ],
)
def test_a_policy_that_goes_wrong_ends_the_call(world, pick, kind, has_connected) -> None:
    async def main() -> None:
        async with workers("w1") as (mine, _), ClusterClient(mine, role="worker", policy=Wrong(pick)) as client:
            if has_connected:
                await connected(client, 1)
            with pytest.raises(kind):
                await client.call("name", timeout=30)
            with pytest.raises(kind):
                [item async for item in client.call_streaming("echo", [b"x"], timeout=30)]
            with pytest.raises(kind):
                await client.call_with_metadata("name", timeout=30)

    world.run(main())


def test_a_member_that_a_policy_kept_is_no_candidate(world) -> None:
    async def main() -> None:
        kept = []

        class First:
            sticky = True

            def pick(self, candidates: Any, call: Any) -> Any:
                kept.extend(candidates)
                return kept[0]

        async with workers("w1", "w2") as (mine, all_of_them):
            async with ClusterClient(mine, role="worker", policy=First()) as client:
                await connected(client, 2)
                assert await client.call("name") == b"w1"
                await all_of_them["w1"].cluster.leave()
                await until(lambda: len(client.members) == 1)
                with pytest.raises(Internal, match="none of its candidates"):
                    await client.call("name", timeout=30)

    world.run(main())
