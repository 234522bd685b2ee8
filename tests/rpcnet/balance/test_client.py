"""A client of a cluster: which members its calls reach, as they come, fail, leave and return."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from random import Random

import pytest

from rpcnet import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    InvalidTag,
    NotFound,
    StreamTransportError,
    Unavailable,
    service,
)
from rpcnet.balance import ClusterClient, ConsistentHash, LeastOutstanding, PowerOfTwoChoices, Progress, RoundRobin
from tests.rpcnet.balance.members import connected, reached, started, until, workers


@service
class Calculator:
    async def add(self, a: int, b: int = 0) -> int:
        return a + b


@pytest.mark.parametrize("policy", [RoundRobin, LeastOutstanding, lambda: PowerOfTwoChoices(Random(1))])
def test_calls_are_shared_among_the_live_members_with_the_tags(world, policy) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack, workers("w1", "w2", "w3") as (mine, _):
            await started(stack, "idler", mine, role="idler")
            async with ClusterClient(mine, role="worker", policy=policy()) as client:
                await connected(client, 3)
                names = await reached(lambda: client.call("name"), 30)
                assert set(names) == {"w1", "w2", "w3"}
                assert max(names.values()) <= 20
                assert [member.name for member in client.members] == ["w1", "w2", "w3"]

    world.run(main())


def test_the_first_call_connects_and_waits_for_nobody_else(world) -> None:
    async def main() -> None:
        async with workers("w1") as (mine, _), ClusterClient(mine, role="worker") as client:
            assert await client.call("name", timeout=5) == b"w1"

    world.run(main())


def test_without_members_a_call_is_unavailable_or_waits_for_one(world) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack, workers() as (mine, _):
            async with ClusterClient(mine, role="worker") as client:
                with pytest.raises(Unavailable, match="no members with role=worker"):
                    await client.call("name")
                waiting = asyncio.create_task(client.call("name", wait_for_ready=True, timeout=30))
                await asyncio.sleep(0.1)
                await started(stack, "w1", mine)
                assert await waiting == b"w1"

    world.run(main())


def test_a_tag_that_no_member_can_carry_is_refused(world) -> None:
    async def main() -> None:
        async with workers() as (mine, _):
            for options in {"shard": 3}, {"where": {"role": None}}:
                with pytest.raises(InvalidTag, match="must be text"):
                    ClusterClient(mine, **options)

    world.run(main())


def test_a_failed_member_ends_its_calls_and_gets_no_more(world) -> None:
    async def main() -> None:
        async with workers("w1", "w2") as (mine, all_of_them):
            async with ClusterClient(mine, role="worker") as client:
                await connected(client, 2)
                held = [asyncio.create_task(client.call("hold", timeout=60)) for _ in range(2)]
                await until(lambda: all(worker.running == 1 for worker in all_of_them.values()))
                await all_of_them["w1"].crash()
                with pytest.raises(Unavailable, match="member w1 has failed"):
                    await held[0]
                assert set(await reached(lambda: client.call("name"), 10)) == {"w2"}
                all_of_them["w2"].held.set()
                assert await held[1] == b"w2"

    world.run(main())


def test_a_suspect_gets_no_calls_while_others_are_alive(world) -> None:
    async def main() -> None:
        async with workers("w1", "w2") as (mine, all_of_them):
            async with ClusterClient(mine, role="worker") as client:
                await connected(client, 2)
                await all_of_them["w1"].crash()
                await until(lambda: [str(one.status) for one in client.members] == ["suspect", "alive"])
                assert set(await reached(lambda: client.call("name"), 10)) == {"w2"}
                await all_of_them["w2"].crash()
                await until(lambda: [str(one.status) for one in client.members] != ["suspect", "alive"])
                try:
                    assert await client.call("name"), "suspects are better than nobody"
                except Unavailable:
                    assert not client.members, "the last verdict fell first"

    world.run(main())


def test_a_leaver_gets_no_more_calls_and_may_end_those_it_has(world) -> None:
    async def main() -> None:
        async with workers("w1", "w2") as (mine, all_of_them):
            async with ClusterClient(mine, role="worker") as client:
                await connected(client, 2)
                held = [asyncio.create_task(client.call("hold", timeout=60)) for _ in range(2)]
                await until(lambda: all(worker.running == 1 for worker in all_of_them.values()))
                await all_of_them["w1"].cluster.leave()
                await until(lambda: len(client.members) == 1)
                assert set(await reached(lambda: client.call("name"), 10)) == {"w2"}
                assert all_of_them["w1"].running == 1
                for worker in all_of_them.values():
                    worker.held.set()
                assert [await one for one in held] == [b"w1", b"w2"]
                await until(lambda: client.stats.connections == 1)

    world.run(main())


def test_a_member_that_loses_the_tags_gets_no_more_calls(world) -> None:
    async def main() -> None:
        async with workers("w1", "w2") as (mine, all_of_them):
            async with ClusterClient(mine, role="worker") as client:
                await connected(client, 2)
                await all_of_them["w1"].cluster.update_tags({"role": "idler"})
                await until(lambda: len(client.members) == 1)
                assert set(await reached(lambda: client.call("name"), 10)) == {"w2"}
                await all_of_them["w1"].cluster.update_tags({"role": "worker"})
                await connected(client, 2)
                assert set(await reached(lambda: client.call("name"), 10)) == {"w1", "w2"}

    world.run(main())


def test_keys_stay_at_their_member_as_long_as_it_is_up(world) -> None:
    async def main() -> None:
        async with workers("w1", "w2", "w3") as (mine, all_of_them):
            async with ClusterClient(mine, role="worker", policy=ConsistentHash("user")) as client:
                before = {}
                for user in map(str, range(12)):
                    names = {await client.call("name", metadata={"user": user}) for _ in range(3)}
                    assert len(names) == 1
                    before[user] = names.pop()
                await all_of_them["w2"].cluster.leave()
                await until(lambda: len(client.members) == 2)
                for user, name in before.items():
                    now = await client.call("name", metadata={"user": user})
                    assert (now == name) == (name != b"w2")
                with pytest.raises(InvalidArgument, match="no metadata 'user'"):
                    await client.call("name")

    world.run(main())


def test_counts_return_to_zero_on_every_path(world) -> None:
    async def main() -> None:
        async with workers("w1", "w2") as (mine, all_of_them):
            async with ClusterClient(mine, role="worker", policy=LeastOutstanding()) as client:
                await connected(client, 2)
                await client.call("name")
                with pytest.raises(NotFound):
                    await client.call("fail")
                held = asyncio.create_task(client.call("hold"))
                await until(lambda: sum(worker.running for worker in all_of_them.values()) == 1)
                held.cancel()
                async for _ in client.call_server_streaming("count", b"0"):
                    break
                async with client.call_streaming("echo") as stream:
                    await stream.send(b"x")
                    await stream.receive()
                del stream
                outstanding = [one.outstanding for one in client._endpoints._live.values()]
                await until(lambda: client.stats.running_handlers == 0)
                assert sum(outstanding) <= 3
                assert [one.outstanding for one in client._endpoints._live.values()] == [0, 0]

    world.run(main())


def test_a_stream_goes_on_elsewhere_from_where_it_was(world) -> None:
    async def main() -> None:
        async with workers("w1", "w2") as (mine, all_of_them):
            async with ClusterClient(mine, role="worker") as client:
                await connected(client, 2)
                lost: list[Progress[bytes]] = []

                def resume(progress: Progress[bytes]) -> bytes:
                    lost.append(progress)
                    return b"%d" % progress.received

                stream = client.call_server_streaming("count", b"0", resume=resume)
                seen: list[bytes] = []
                async for item in stream:
                    seen.append(item)
                    if len(seen) == 5:
                        await all_of_them["w1"].crash()
                        await all_of_them["w1"].server.stop(0)
                assert [int(item.split()[1]) for item in seen] == list(range(20))
                assert {item.split()[0] for item in seen} == {b"w1", b"w2"}
                assert stream.resumed == len(lost) == 1
                assert (lost[0].received, lost[0].last) == (len([one for one in seen if one[:2] == b"w1"]), b"w1 4")
                assert isinstance(lost[0].error, StreamTransportError)

    world.run(main())


def test_a_stream_with_items_goes_on_with_others(world) -> None:
    async def main() -> None:
        async with workers("w1", "w2") as (mine, all_of_them):
            async with ClusterClient(mine, role="worker") as client:
                await connected(client, 2)

                async def numbers(begin: int) -> AsyncIterator[bytes]:
                    for number in range(begin, 10):
                        yield b" %d" % number
                        await asyncio.sleep(0.1)

                seen: list[bytes] = []
                async with client.call_streaming(
                    "echo", numbers(0), resume=lambda progress: numbers(progress.received)
                ) as stream:
                    async for item in stream:
                        seen.append(item)
                        if len(seen) == 4:
                            await all_of_them["w1"].server.stop(0)
                assert [int(item.split()[1]) for item in seen] == list(range(10))
                with pytest.raises(TypeError, match="give its items"):
                    client.call_streaming("echo", resume=lambda progress: [])  # type: ignore[call-overload]

    world.run(main())


def test_a_restarted_member_is_called_at_its_new_address(world) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack, workers("w1") as (mine, all_of_them):
            async with ClusterClient(mine, role="worker") as client:
                assert await client.call("name", timeout=5) == b"w1"
                before = client.members[0]
                await all_of_them["w1"].crash()
                await all_of_them["w1"].server.stop(0)
                await started(stack, "w1", mine)
                await until(lambda: bool(client.members) and client.members[0].run != before.run)
                assert await client.call("name", timeout=30, wait_for_ready=True) == b"w1"

    world.run(main())


def test_a_client_is_opened_before_it_calls_and_closed_after(world) -> None:
    async def main() -> None:
        async with workers("w1") as (mine, _):
            client = ClusterClient(mine, role="worker")
            with pytest.raises(FailedPrecondition, match="was not opened"):
                await client.call("name")
            async with client:
                assert await client.call("name") == b"w1"
            with pytest.raises(FailedPrecondition, match="was closed"):
                await client.call("name")
            with pytest.raises(TypeError, match="has no one address"):
                ClusterClient.connect("127.0.0.1:1")

    world.run(main())


def test_a_typed_proxy_and_metadata_work_as_with_one_server(world) -> None:
    async def main() -> None:
        async with workers("w1") as (mine, all_of_them):
            all_of_them["w1"].server.register_service(Calculator())
            async with ClusterClient(mine, where={"role": "worker"}) as client:
                assert client.address == "members with role=worker"
                assert await client.service(Calculator).add(1, b=2) == 3
                reply = await client.call_with_metadata("name")
                assert reply.value == b"w1"

    world.run(main())


def test_a_service_that_moves_is_called_at_its_new_address(world) -> None:
    async def main() -> None:
        async with AsyncExitStack() as stack, workers("w1") as (mine, found):
            spare = await started(stack, "spare", mine, role="spare")
            async with ClusterClient(mine, role="worker") as client:
                held = asyncio.create_task(client.call("hold", timeout=30))
                await until(lambda: found["w1"].running == 1)
                await found["w1"].cluster.update_services({"rpc": spare.server.address})
                await until(lambda: [one.services["rpc"] for one in client.members] == [spare.server.address])
                assert await client.call("name", timeout=30) == b"spare"
                found["w1"].held.set()
                assert await held == b"w1", "what runs at the old address ends in peace"
                await found["w1"].cluster.update_services({"rpc": None})
                await until(lambda: client.members == [])

    world.run(main())


def test_a_dropped_client_warns_once_whatever_its_members(world) -> None:
    async def main() -> None:
        async with workers("w1", "w2", "w3") as (mine, found):
            client = await ClusterClient(mine, role="worker").open()
            await connected(client, 3)
            with pytest.warns(ResourceWarning) as warned:
                del client
            assert [str(one.message).partition(";")[0] for one in warned] == [
                "unclosed ClusterClient of members with role=worker"
            ]
            await until(lambda: not any(worker.server.stats.connections for worker in found.values()))

    world.run(main())


def test_a_deadline_says_when_there_was_nobody(world) -> None:
    async def main() -> None:
        async with workers() as (mine, _), ClusterClient(mine, role="worker") as client:
            with pytest.raises(DeadlineExceeded, match="waited for members with role=worker, of which there are none"):
                await client.call("name", wait_for_ready=True, timeout=0.05)

    world.run(main())
