"""Where the calls of a cluster's client wait, and what becomes of those whose member, policy or client goes wrong."""

import asyncio
import gc
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from rpcnet import DeadlineExceeded, FailedPrecondition, Internal, PermissionDenied, RpcConfig, Unavailable
from rpcnet.balance import ClusterClient, ConsistentHash, LeastOutstanding, RoundRobin
from tests.rpcnet.balance.members import connected, reached, started, until, workers


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


def test_a_member_that_hangs_holds_up_no_call_that_waits(world) -> None:
    async def main() -> None:
        async with (
            workers("w1", "w2", config=RpcConfig(max_streams=2)) as (mine, all_of_them),
            AsyncExitStack() as stack,
        ):
            async with ClusterClient(mine, role="worker") as client:
                await connected(client, 2)
                calls = [asyncio.create_task(client.call("hold")) for _ in range(20)]
                await until(lambda: sum(worker.running for worker in all_of_them.values()) == 4)
                all_of_them["w2"].held.set()
                await until(lambda: sum(call.done() for call in calls) == 18)
                hanging = [asyncio.create_task(client.call("hold")) for _ in range(2)]
                assert set(await asyncio.gather(*hanging)) == {b"w2"}
                all_of_them["w2"].held.clear()
                more = [asyncio.create_task(client.call("hold")) for _ in range(6)]
                await until(lambda: all_of_them["w2"].running == 2)
                late = await started(stack, "w3", mine)  # a member that comes takes calls that wait
                late.held.set()
                await until(lambda: sum(call.done() for call in more) == 4)
                for worker in all_of_them.values():
                    worker.held.set()
                assert set(await asyncio.gather(*calls, *more)) == {b"w1", b"w2", b"w3"}

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


def raises(error: Callable[[], BaseException]) -> Callable[[], Any]:
    def pick() -> Any:
        raise error()

    return pick


@pytest.mark.parametrize("has_connected", [False, True])
@pytest.mark.parametrize(
    ("pick", "kind"),
    [
        (raises(ValueError), Internal),
        (raises(Unforeseen), Internal),
        (raises(asyncio.CancelledError), Internal),
        (raises(StopIteration), Internal),
        (raises(PermissionDenied), PermissionDenied),
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


class WithoutSticky:
    def pick(self, candidates: Any, call: Any) -> Any:
        return candidates[0]


@pytest.mark.parametrize("policy", [RoundRobin, WithoutSticky(), object(), "round_robin"])
def test_what_is_no_policy_is_refused_at_once(world, policy) -> None:
    async def main() -> None:
        async with workers() as (mine, _):
            with pytest.raises(TypeError, match="a policy is an object"):
                ClusterClient(mine, role="worker", policy=policy)

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


def test_one_member_with_a_useless_address_costs_the_others_nothing(world) -> None:
    async def main() -> None:
        async with workers("w1") as (mine, _), AsyncExitStack() as stack:
            async with ClusterClient(mine, role="worker") as client:
                await connected(client, 1)
                await started(stack, "far", mine, address="203.0.113.1:7000")  # and there is no TLS
                await started(stack, "w2", mine)
                await connected(client, 2)
                assert set(await reached(lambda: client.call("name"), 4)) == {"w1", "w2"}
            async with ClusterClient(mine, role="worker") as client:
                await connected(client, 2)

    world.run(main())


def test_without_a_usable_member_the_error_says_why(world) -> None:
    async def main() -> None:
        async with workers() as (mine, _), AsyncExitStack() as stack:
            await started(stack, "far", mine, address="203.0.113.1:7000")
            await until(lambda: any("role" in member.tags for member in mine.members()))
            async with ClusterClient(mine, role="worker") as client:
                with pytest.raises(Unavailable, match=r"far: 203\.0\.113\.1:7000 is not a loopback address"):
                    await client.call("name")
            async with ClusterClient(mine, role="worker", service="metrics") as client:
                with pytest.raises(Unavailable, match="far: it announces no service 'metrics'"):
                    await client.call("name")

    world.run(main())


def test_a_member_that_fails_after_losing_its_tags_is_cut_off(world) -> None:
    async def main() -> None:
        async with workers("w1", "w2") as (mine, all_of_them):
            async with ClusterClient(mine, role="worker") as client:
                await connected(client, 2)
                calls = [asyncio.create_task(client.call("hold")) for _ in range(2)]
                await until(lambda: sum(worker.running for worker in all_of_them.values()) == 2)
                await all_of_them["w1"].cluster.update_tags({"role": "idler"})
                await until(lambda: len(client.members) == 1)
                await all_of_them["w1"].crash()
                await until(lambda: any(call.done() for call in calls))
                all_of_them["w2"].held.set()
                answers = await asyncio.gather(*calls, return_exceptions=True)
                assert {type(answer) for answer in answers} == {Unavailable, bytes}
                assert any("member w1 has failed" in str(answer) for answer in answers)

    world.run(main())


def test_calls_that_gave_up_waiting_leave_nothing_behind(world) -> None:
    async def main() -> None:
        async with workers() as (mine, _), ClusterClient(mine, role="worker") as client:

            async def futures_after_calls() -> int:
                calls = (client.call("name", timeout=0.01, wait_for_ready=True) for _ in range(50))
                answers = await asyncio.gather(*calls, return_exceptions=True)
                assert {type(answer) for answer in answers} == {DeadlineExceeded}
                del calls, answers
                gc.collect()
                return sum(isinstance(one, asyncio.Future) for one in gc.get_objects())

            before = await futures_after_calls()
            assert await futures_after_calls() < before + 25

    world.run(main())


def test_a_client_closed_while_it_opens_says_so(world) -> None:
    async def main() -> None:
        async with workers("w1") as (mine, _):
            client = ClusterClient(mine, role="worker")
            opening = [asyncio.create_task(client.open()) for _ in range(2)]
            await asyncio.sleep(0)
            await client.close()
            answers = await asyncio.gather(*opening, return_exceptions=True)
            assert [type(answer) for answer in answers] == [FailedPrecondition] * 2

    world.run(main())


def test_when_its_own_member_leaves_the_last_known_are_called(world) -> None:
    async def main() -> None:
        async with workers("w1") as (mine, _):
            async with ClusterClient(mine, role="worker") as client, ClusterClient(mine, role="nobody") as other:
                await connected(client, 1)
                waiting = asyncio.create_task(other.call("name", timeout=30, wait_for_ready=True))
                await asyncio.sleep(0)
                await mine.leave()
                assert await client.call("name") == b"w1"
                with pytest.raises(Unavailable, match="this cluster was left"):
                    await waiting

    world.run(main())
