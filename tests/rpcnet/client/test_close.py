"""Closing a client: at once, or after a grace in which the calls that were made may end."""

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import pytest

import sim
from rpcnet import (
    BidirectionalStream,
    Cancelled,
    FailedPrecondition,
    RpcClient,
    RpcConfig,
    RpcServer,
    StreamError,
)


async def slow(payload: bytes) -> bytes:
    await asyncio.sleep(0.2)
    return payload


async def endless(payload: bytes) -> AsyncIterator[bytes]:
    while True:
        yield payload
        await asyncio.sleep(0.01)


async def echo(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for item in items:
        yield item


def serving(config: RpcConfig | None = None) -> RpcServer:
    server = RpcServer("127.0.0.1:0", config=config)
    server.register("slow", slow)
    server.register_streaming("endless", endless, shape="server_streaming")
    server.register_streaming("echo", echo)
    return server


def test_a_grace_lets_calls_end_and_takes_no_new_ones(world: Any) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await RpcClient.connect(server.address)
            running = asyncio.create_task(client.call("slow", b"x"))
            stream = client.call_streaming("echo")
            await stream.send(b"y")
            closing = asyncio.create_task(client.close(grace=60))
            await asyncio.sleep(0.05)
            for refused in (client.call("slow"), client.call_client_streaming("slow", []), client.open()):
                with pytest.raises(FailedPrecondition, match="is being closed"):
                    await refused
            with pytest.raises(FailedPrecondition, match="is being closed"):
                client.call_server_streaming("endless")
            assert await running == b"x"
            await stream.send(b"z")
            await stream.end()
            assert not closing.done()
            assert [item async for item in stream] == [b"y", b"z"]
            async with asyncio.timeout(30):
                await closing
            assert client.stats.connections == 0
            with pytest.raises(FailedPrecondition, match="was closed"):
                await client.call("slow")

    world.run(main())


@pytest.mark.parametrize("grace", [0.0, 0.1, -1])
def test_what_runs_after_the_grace_is_let_go(world: Any, eventually: Any, grace: float) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serving() as server:
            client = await RpcClient.connect(server.address)
            stream = client.call_server_streaming("endless", b"x")
            assert await stream.receive() == b"x"
            begun = loop.time()
            await client.close(grace)
            assert loop.time() - begun >= max(0.0, grace) - 0.001
            with pytest.raises(StreamError.Application, match="the client was closed") as ended:
                async for _ in stream:
                    pass
            assert isinstance(ended.value, Cancelled)
            await eventually(lambda: not server.stats.running_handlers)

    world.run(main())


@pytest.mark.parametrize("grace", [None, math.inf])
def test_an_endless_grace_waits_for_the_last_call(grace: float | None) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with serving() as server:
            client = await RpcClient.connect(server.address)
            stream = client.call_streaming("echo")
            await stream.send(b"x")
            closing = asyncio.create_task(client.close(grace))
            await asyncio.sleep(24 * 3600)
            assert not closing.done()
            await stream.end()
            assert [item async for item in stream] == [b"x"]
            begun = loop.time()
            await closing
            assert loop.time() - begun < 1.0

    sim.run(main(), seed=1)


def test_calls_that_wait_for_a_place_are_among_those_that_end(world: Any) -> None:
    async def main() -> None:
        async with serving(RpcConfig(max_streams=1)) as server:
            client = await RpcClient.connect(server.address)
            running = [asyncio.create_task(client.call("slow", b"%d" % number)) for number in range(3)]
            await asyncio.sleep(0.01)
            await client.close(grace=60)
            assert [task.result() for task in running] == [b"0", b"1", b"2"]

    world.run(main())


def test_a_close_without_calls_waits_for_nothing(world: Any) -> None:
    async def main() -> None:
        async with serving() as server, asyncio.timeout(30):
            client = await RpcClient.connect(server.address)
            assert await client.call("slow", b"x") == b"x"
            await client.close(grace=None)
            await client.close(grace=None)
            unconnected = RpcClient(server.address)
            await unconnected.close(grace=None)

    world.run(main())


def test_a_lost_connection_ends_the_grace(world: Any) -> None:
    async def main() -> None:
        server = serving()
        await server.start()
        client = await RpcClient.connect(server.address)
        stream = client.call_server_streaming("endless", b"x")
        assert await stream.receive() == b"x"
        closing = asyncio.create_task(client.close(grace=None))
        await asyncio.sleep(0.01)
        await server.stop(grace=0)
        async with asyncio.timeout(30):
            await closing
        stream.abort()

    world.run(main())


@pytest.mark.parametrize("turns", range(6))
def test_several_tasks_may_close_at_a_time(world: Any, turns: int) -> None:
    """The shortest grace wins, and all return when it is done."""

    async def main() -> None:
        async with serving() as server:
            client = await RpcClient.connect(server.address)
            stream = client.call_server_streaming("endless", b"x")
            assert await stream.receive() == b"x"
            closing = [asyncio.create_task(client.close(grace)) for grace in (None, 60, 0.05)]
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(30):
                await asyncio.gather(*closing)
            assert client.stats.connections == 0
            stream.abort()

    world.run(main())


def test_a_cancelled_close_lets_go_at_once(world: Any, eventually: Any) -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        async with serving() as server:
            client = await RpcClient.connect(server.address)
            stream = client.call_server_streaming("endless", b"x")
            assert await stream.receive() == b"x"
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await client.close(grace=None)
            with pytest.raises(StreamError.Application, match="the client was closed"):
                async for _ in stream:
                    pass
            await eventually(lambda: not (client.stats.connections or server.stats.connections))
            with pytest.raises(FailedPrecondition, match="was closed"):
                await client.call("slow")
            await client.close()
        assert asyncio.all_tasks() == before

    world.run(main())


def test_the_items_of_a_call_cannot_wait_for_its_end(world: Any) -> None:
    async def main() -> None:
        async with serving() as server:
            client = await RpcClient.connect(server.address)

            async def items() -> AsyncIterator[bytes]:
                yield b"x"
                await client.close(grace=None)

            with pytest.raises(RuntimeError, match="would wait for its own end"):
                async for _ in client.call_streaming("echo", items()):
                    pass
            channel: BidirectionalStream[bytes] = BidirectionalStream()
            channel.sender.close()
            assert [item async for item in client.call_streaming("echo", channel)] == []
            await client.close(grace=None)

    world.run(main())


@pytest.mark.parametrize(("grace", "kind"), [("soon", TypeError), (True, TypeError), (math.nan, ValueError)])
def test_a_grace_that_is_no_time_closes_nothing(world: Any, grace: Any, kind: type[Exception]) -> None:
    async def main() -> None:
        async with serving() as server, RpcClient.connect(server.address) as client:
            with pytest.raises(kind, match="grace must be"):
                await client.close(grace)
            assert await client.call("slow", b"x") == b"x"

    world.run(main())


def test_a_client_is_not_closed_in_another_loop() -> None:
    async def make(address: str) -> RpcClient:
        return RpcClient(address)

    with asyncio.Runner() as own, asyncio.Runner() as other:
        client = own.run(make("127.0.0.1:1"))

        async def close() -> None:
            with pytest.raises(RuntimeError, match="belongs to another event loop"):
                await client.close(grace=5)

        other.run(close())
        own.run(client.close(grace=5))


def test_a_closed_client_has_waited_for_the_items_of_its_calls(world: Any) -> None:
    """What gives them may take a while to end, and nothing of a client runs after its close."""

    async def main() -> None:
        ended = False

        async def items() -> AsyncIterator[bytes]:
            nonlocal ended
            try:
                yield b"x"
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.1)
                ended = True

        async with serving() as server:
            client = await RpcClient.connect(server.address)
            stream = client.call_streaming("echo", items())
            assert await stream.receive() == b"x"
            await client.close()
            assert ended

    world.run(main())
