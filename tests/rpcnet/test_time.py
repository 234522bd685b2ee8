"""Deadlines, idle timeouts and late timers: who is late, and who only looks so."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import cast

import pytest

from rpcnet import DeadlineExceeded, RpcClient, RpcConfig, RpcServer, StreamError, current_call

IDLE = 0.1


async def never(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for item in items:
        yield item
    await asyncio.Event().wait()


async def many(payload: bytes) -> AsyncIterator[bytes]:
    for number in range(int(payload)):
        yield b"%d" % number


async def echo(payload: bytes) -> bytes:
    return payload


def register(server: RpcServer) -> None:
    server.register_streaming("never", never)
    server.register_streaming("many", many, shape="server_streaming")


def test_a_slow_consumer_is_not_a_timeout(world, pair) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            seen = []
            async for item in client.call_server_streaming("many", b"4", idle_timeout=IDLE):
                await asyncio.sleep(3 * IDLE if world.name == "sockets" else 10 * IDLE)
                seen.append(item)
            assert seen == [b"0", b"1", b"2", b"3"]

    world.run(main())


def test_an_error_ends_the_stream_whatever_arrives_afterwards(world, pair) -> None:
    async def main() -> None:
        async def slow(payload: bytes) -> AsyncIterator[bytes]:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0.01)
                yield b"late"

        async with pair(lambda server: server.register_streaming("slow", slow, shape="server_streaming")) as (
            _,
            client,
        ):
            stream = client.call_server_streaming("slow", idle_timeout=IDLE)
            with pytest.raises(StreamError.Timeout) as caught:
                await stream.receive()
            assert isinstance(caught.value, TimeoutError)
            await asyncio.sleep(0.1)
            assert [item async for item in stream] == []
            with pytest.raises(StopAsyncIteration):
                await stream.receive()

    world.run(main())


def test_the_idle_timeout_is_the_default_timeout_of_the_config_and_none_is_no_limit(world, pair) -> None:
    async def main() -> None:
        async with pair(register, client_config=RpcConfig().with_default_timeout(IDLE)) as (_, client):
            with pytest.raises(StreamError.Timeout):
                await anext(client.call_streaming("never", []))
            stream = client.call_streaming("never", [], idle_timeout=None)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3 * IDLE):
                    await anext(stream)

    world.run(main())


def test_an_upload_that_moves_is_not_late(world, pair) -> None:
    async def slow_reader(items: AsyncIterator[bytes]) -> bytes:
        count = 0
        async for _ in items:
            count += 1
            await asyncio.sleep(IDLE / 4)
        return b"%d" % count

    async def main() -> None:
        config = RpcConfig(stream_window_bytes=4096, default_timeout=IDLE * 4)
        method = lambda server: server.register_streaming("read", slow_reader, shape="client_streaming")  # noqa: E731
        async with pair(method, config) as (_, client):
            # 60 items take longer than the timeout, whether the writer waits for credit …
            assert await client.call_client_streaming("read", [bytes(300)] * 60) == b"60"

            async def slow_writer() -> AsyncIterator[bytes]:
                for _ in range(20):
                    await asyncio.sleep(IDLE / 2)
                    yield b"x"

            # … or is slow itself while the reader of the answer waits.
            assert await client.call_client_streaming("read", slow_writer()) == b"20"

    world.run(main())


def test_an_upload_that_stands_still_is_a_timeout(world, pair) -> None:
    async def deaf(items: AsyncIterator[bytes]) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def main() -> None:
        method = lambda server: server.register_streaming("deaf", deaf, shape="client_streaming")  # noqa: E731
        async with pair(method) as (_, client):
            with pytest.raises(StreamError.Timeout):
                await client.call_client_streaming("deaf", [bytes(100_000)] * 20, idle_timeout=IDLE)

    world.run(main())


def test_the_deadline_is_the_deadline_whatever_moves(world, pair) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            stream = client.call_streaming("never", timeout=2 * IDLE, idle_timeout=IDLE)

            async def move() -> None:
                while True:
                    await stream.send(b"x")
                    await stream.receive()
                    await asyncio.sleep(IDLE / 5)

            with pytest.raises(StreamError.Application) as caught:
                await move()
            assert caught.value.code.name == "DEADLINE_EXCEEDED"

    world.run(main())


def test_a_deadline_travels_and_is_inherited_by_the_calls_of_the_handler(world, pair) -> None:
    async def main() -> list[float | None]:
        seen: list[float | None] = []

        async def inner(payload: bytes) -> bytes:
            seen.append(current_call().time_left())
            return b""

        async with pair(lambda server: server.register("inner", inner)) as (_, back):

            async def outer(payload: bytes) -> bytes:
                await back.call("inner")
                await back.call("inner", timeout=0.5)
                await back.call("inner", timeout=500)
                with current_call().detached():
                    assert current_call().method == "outer"
                    await back.call("inner")
                return b""

            async with pair(lambda server: server.register("outer", outer)) as (_, client):
                await client.call("outer", timeout=50)
                await client.call("outer", timeout=None)
        return seen

    inherited, own, longer, detached, *unlimited = world.run(main())
    assert 45 < inherited <= 50
    assert 0.3 < own <= 0.5
    assert 45 < longer <= 50
    assert detached is None
    assert unlimited[0] is None
    assert unlimited[3] is None


def test_a_handler_ends_at_its_deadline_and_its_own_calls_with_it(world, pair, idle) -> None:
    async def main() -> None:
        ended: list[str] = []

        async def inner(payload: bytes) -> bytes:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("inner")
            return b""

        async with pair(lambda server: server.register("inner", inner)) as (far, back):

            async def outer(payload: bytes) -> bytes:
                try:
                    return await back.call("inner")
                finally:
                    ended.append("outer")

            async with pair(lambda server: server.register("outer", outer)) as (near, client):
                with pytest.raises(DeadlineExceeded) as caught:
                    await client.call("outer", timeout=IDLE)
                assert isinstance(caught.value, TimeoutError)
                await idle(near, client)
                await idle(far, back)
                assert sorted(ended) == ["inner", "outer"]

    world.run(main())


ROOMY = RpcConfig(stream_window_bytes=16 << 20, max_streams=10, max_message_bytes=8 << 20)


def blocks_the_loop(server: RpcServer) -> None:
    """Answers, and then the whole process stalls: the answer is in the socket, and more than one read of it."""

    async def answer(payload: bytes) -> bytes:
        asyncio.get_running_loop().call_soon(time.sleep, 0.4)
        return bytes(int(payload))

    async def answers(payload: bytes) -> AsyncIterator[bytes]:
        for _ in range(3):
            yield await answer(payload)

    server.register("answer", answer)
    server.register_streaming("answers", answers, shape="server_streaming")


@pytest.mark.parametrize("size", [b"10", b"60000"])
def test_a_late_timer_is_not_evidence(world, pair, size) -> None:
    async def main() -> None:
        async with pair(blocks_the_loop, ROOMY) as (_, client):
            assert len(await client.call("answer", size, timeout=0.2)) == int(size)
            stream = client.call_server_streaming("answers", size, idle_timeout=0.2)
            assert [len(item) async for item in stream] == [int(size)] * 3

    world.run(main())


def test_a_flood_does_not_postpone_a_verdict_for_ever(world, pair) -> None:
    async def flood(payload: bytes) -> AsyncIterator[bytes]:
        while True:
            yield bytes(60_000)
            await asyncio.sleep(0)

    async def silent(payload: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    def methods(server: RpcServer) -> None:
        server.register("silent", silent)
        server.register_streaming("flood", flood, shape="server_streaming")

    async def main() -> None:
        config = replace(RpcConfig(), late_timer_grace=0.2)
        async with pair(methods, config) as (_, client):

            async def drink() -> None:
                async for _ in client.call_server_streaming("flood"):
                    pass

            drinker = asyncio.create_task(drink())
            with pytest.raises(DeadlineExceeded):
                async with asyncio.timeout(20):
                    await client.call("silent", timeout=0.1)
            drinker.cancel()
            with pytest.raises(asyncio.CancelledError):
                await drinker

    world.run(main())


@pytest.mark.parametrize("timeout", [0, -1, 0.0, -1e9])
def test_a_timeout_of_zero_or_less_is_over(world, pair, timeout) -> None:
    async def main() -> None:
        async with pair(register) as (server, client):
            with pytest.raises(DeadlineExceeded):
                await client.call("echo", timeout=timeout)
            with pytest.raises(DeadlineExceeded):
                await anext(client.call_streaming("never", timeout=timeout))
            with pytest.raises(StreamError.Timeout):
                await anext(client.call_streaming("never", idle_timeout=timeout))
            assert server.stats.running_handlers <= 1

    world.run(main())


def test_an_infinite_timeout_is_no_limit_and_nan_is_refused(world, pair) -> None:
    async def main() -> None:
        def methods(server: RpcServer) -> None:
            register(server)
            server.register("echo", echo)

        async with pair(methods, client_config=RpcConfig(default_timeout=math.inf)) as (_, client):
            assert await client.call("echo", b"x", timeout=math.inf) == b"x"
            assert await client.call("echo", b"x") == b"x"
            stream = client.call_server_streaming("many", b"2", idle_timeout=math.inf, timeout=math.inf)
            assert [item async for item in stream] == [b"0", b"1"]
            with pytest.raises(ValueError, match="timeout must be a number of seconds"):
                await client.call("echo", timeout=math.nan)
            with pytest.raises(ValueError, match="idle_timeout must be a number of seconds"):
                client.call_streaming("never", idle_timeout=math.nan)
            with pytest.raises(TypeError, match="timeout must be a number of seconds"):
                await client.call("echo", timeout="3 s")

    world.run(main())


def test_an_idle_connection_is_kept_honest_by_pings(world, pair) -> None:
    async def main() -> None:
        quick = RpcConfig(ping_interval=0.1, ping_timeout=0.1)
        async with pair(register, quick) as (_, client):
            connection = client._dialer.connection
            await asyncio.sleep(1.0)
            assert client._dialer.connection is connection
            assert connection is not None
            assert connection.is_usable
            assert [item async for item in client.call_server_streaming("many", b"1")] == [b"0"]

    world.run(main())


class Mute(asyncio.Protocol):
    """Greets as a server does, and then never says a word."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        from rpcnet.wire import writer
        from rpcnet.wire.frame import Hello

        transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it
        transport.write(
            writer.greeting(
                Hello(
                    max_message_bytes=1 << 20,
                    max_frame_bytes=1 << 17,
                    max_metadata_bytes=1000,
                    max_streams=10,
                    stream_window_bytes=1 << 16,
                    connection_window_bytes=1 << 20,
                )
            )
        )


def test_a_silent_cut_is_found_by_the_keepalive(world, eventually) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(Mute, "127.0.0.1", 0)
        address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        config = RpcConfig(ping_interval=0.1, ping_timeout=0.1)
        async with RpcClient.connect(address, config=config) as client:
            stream = client.call_server_streaming("x")
            with pytest.raises(StreamError.Transport, match="no sign of life"):
                await stream.receive()
            await eventually(lambda: client.stats.connections == 0)
        listener.close()
        await listener.wait_closed()

    world.run(main())
