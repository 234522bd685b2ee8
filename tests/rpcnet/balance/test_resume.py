"""What a hook that resumes a stream may do wrong, and what the stream's reader is told then."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

from rpcnet import StreamTransportError
from rpcnet.balance import ClusterClient, Progress
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
