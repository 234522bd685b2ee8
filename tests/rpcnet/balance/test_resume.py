"""What a hook that resumes a stream may do wrong, and what the stream's reader is told then."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from rpcnet import BidirectionalStream, StreamError, StreamTransportError
from rpcnet.balance import ClusterClient, Progress
from rpcnet.client.bidirectional import ItemSender
from tests.rpcnet.balance.members import connected, until, workers


def raises(error: Callable[[], BaseException]) -> Any:
    def resume(progress: Progress[bytes]) -> Any:
        raise error()

    return resume


def reads_a_lost_stream(world: Any, resume: Any, items: list[bytes] | None = None) -> BaseException | None:
    """What a stream ends with whose member stops after its first item; it must be over then, and hold nothing."""

    async def main() -> BaseException | None:
        async with workers("w1", "w2") as (mine, all_of_them), ClusterClient(mine, role="worker") as client:
            await connected(client, 2)
            if items is None:
                stream: Any = client.call_server_streaming("count", b"0", resume=resume, idle_timeout=20)
            else:
                stream = client.call_streaming("echo", items, resume=resume, idle_timeout=20)
            first = await stream.receive()
            await all_of_them[first[:2].decode()].server.stop(0)
            error: BaseException | None = None
            try:
                [item async for item in stream]
            except BaseException as caught:
                error = caught
            with pytest.raises(StopAsyncIteration):
                await stream.receive()
            await until(lambda: client.stats.running_handlers == 0)
            return error

    return world.run(main())


@pytest.mark.parametrize(
    ("error", "kind"),
    [(ValueError, ValueError), (StopAsyncIteration, RuntimeError), (StopIteration, RuntimeError)],
)
def test_what_the_hook_raises_ends_the_stream_visibly(world, error, kind) -> None:
    assert type(reads_a_lost_stream(world, raises(error))) is kind


def test_a_hook_that_gives_no_items_is_a_type_error(world) -> None:
    many = [b"x"] * 100_000
    error = reads_a_lost_stream(world, lambda progress: None, many)
    assert isinstance(error, TypeError)
    assert "no items" in str(error)


def test_a_stream_that_its_hook_aborted_is_not_resumed(world) -> None:
    async def main() -> None:
        async with workers("w1", "w2") as (mine, all_of_them), ClusterClient(mine, role="worker") as client:
            await connected(client, 2)

            def resume(progress: Progress[bytes]) -> bytes:
                stream.abort()
                return b"0"

            stream = client.call_server_streaming("count", b"0", resume=resume, idle_timeout=20)
            first = await stream.receive()
            await all_of_them[first[:2].decode()].server.stop(0)
            with pytest.raises(StreamTransportError):
                [item async for item in stream]
            assert stream.resumed == 0

    world.run(main())


def test_three_streams_that_bring_nothing_are_enough(world) -> None:
    async def main() -> None:
        asked: list[int] = []

        def resume(progress: Progress[bytes]) -> bytes:
            asked.append(progress.received)
            return b"0"

        async with workers("w1") as (mine, all_of_them), ClusterClient(mine, role="worker") as client:
            await connected(client, 1)
            await all_of_them["w1"].server.stop(0)
            await until(lambda: client.stats.connections == 0)
            with pytest.raises(StreamTransportError):
                await client.call_server_streaming("count", b"0", resume=resume).receive()
            assert asked == [0, 0]

    world.run(main())


def test_options_that_cannot_be_are_refused_at_once(world) -> None:
    async def main() -> None:
        async with workers() as (mine, _), ClusterClient(mine, role="worker") as client:
            with pytest.raises(ValueError, match="timeout"):
                client.call_server_streaming("count", b"0", resume=raises(ValueError), timeout=math.nan)
            with pytest.raises(TypeError, match="resume"):
                client.call_server_streaming("count", b"0", resume=5)  # type: ignore[call-overload]
            await asyncio.sleep(0)

    world.run(main())


class Favourite:
    """A policy that takes the first by name, whoever that is."""

    sticky = False

    def pick(self, candidates: Any, call: Any) -> Any:
        return candidates[0]


def test_it_returns_to_a_silent_member_only_where_all_were(world) -> None:
    async def silent(payload: bytes) -> AsyncIterator[bytes]:
        yield payload
        await asyncio.Event().wait()

    async def main() -> None:
        async with workers("w1", "w2", "w3") as (mine, all_of_them):
            for worker in all_of_them.values():
                worker.server.register_streaming("silent", silent, shape="server_streaming")
            async with ClusterClient(mine, role="worker", policy=Favourite()) as client:
                await connected(client, 3)
                lost: list[str] = []

                def resume(progress: Progress[bytes]) -> bytes:
                    assert isinstance(progress.error, StreamError.Timeout)
                    lost.append(progress.member)
                    return b"x"

                stream = client.call_server_streaming("silent", b"x", resume=resume, idle_timeout=0.2)
                for _ in range(6):
                    await stream.receive()
                assert lost == ["w1", "w2", "w3", "w1", "w2"]
                assert stream.member == "w1"
                assert (await client.call("name")) == b"w1", "it holds for this stream alone"
                stream.abort()

    world.run(main())


def test_a_bidirectional_stream_that_nobody_else_holds_lives_as_its_call(world) -> None:
    async def feed(sender: ItemSender[bytes], number: int) -> None:
        await sender.send(b" %d" % number)
        await asyncio.sleep(0.2)
        await sender.send(b" %d" % (number + 1))

    async def main() -> None:
        async with (
            workers("w1", "w2") as (mine, all_of_them),
            ClusterClient(mine, role="worker") as client,
            asyncio.TaskGroup() as feeders,
        ):

            def items(number: int) -> BidirectionalStream[bytes]:
                made = BidirectionalStream[bytes]()
                feeders.create_task(feed(made.sender, number))
                return made

            await connected(client, 2)
            stream = client.call_streaming_with_timeout("echo", items(0), 20, resume=lambda lost: items(lost.received))
            seen = [await stream.receive() for _ in range(2)]
            await all_of_them[stream.member].server.stop(0)
            seen += [await stream.receive() for _ in range(2)]
            assert [item.split()[1] for item in seen] == [b"0", b"1", b"2", b"3"]
            assert stream.resumed == 1
            stream.abort()

    world.run(main())


def test_a_stream_that_reached_nobody_names_no_member(world) -> None:
    async def main() -> None:
        named: list[str] = []

        def resume(progress: Progress[bytes]) -> bytes:
            named.append(progress.member)
            return b"0"

        async with workers() as (mine, _), ClusterClient(mine, role="worker") as client:
            with pytest.raises(StreamTransportError):
                await client.call_server_streaming("count", b"0", resume=resume).receive()
            assert named == ["", ""]

    world.run(main())
