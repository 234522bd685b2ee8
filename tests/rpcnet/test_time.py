"""Deadlines, idle timeouts and late timers: who is late, and who only looks so."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest

from rpcnet import DeadlineExceeded, RpcClient, RpcConfig, RpcServer, StreamError, current_call
from sim import Simulation

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


@pytest.mark.parametrize("shape", ["unary", "client_streaming", "server_streaming", "bidirectional"])
def test_the_default_timeout_ends_a_silent_call_of_any_shape(world, pair, idle, shape) -> None:
    async def silent(payload: Any) -> bytes:
        """Takes one request, or a stream of them."""
        await asyncio.Event().wait()
        return b""

    async def silent_stream(payload: Any) -> AsyncIterator[bytes]:
        yield await silent(payload)

    def methods(server: RpcServer) -> None:
        server.register("unary", silent)
        for streaming in ("client_streaming", "server_streaming", "bidirectional"):
            handler = silent if streaming == "client_streaming" else silent_stream
            server.register_streaming(streaming, handler, shape=streaming)

    async def main() -> None:
        async with pair(methods, client_config=RpcConfig(default_timeout=IDLE)) as (server, client):
            answers = {
                "unary": lambda: client.call(shape),
                "client_streaming": lambda: client.call_client_streaming(shape, [b"x"]),
                "server_streaming": lambda: client.call_server_streaming(shape).receive(),
                "bidirectional": lambda: client.call_streaming(shape, [b"x"]).receive(),
            }
            with pytest.raises(DeadlineExceeded) as caught:
                await answers[shape]()
            assert isinstance(caught.value, TimeoutError)
            assert isinstance(caught.value, StreamError.Timeout) is (shape != "unary")
            await idle(server, client)

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


async def mute(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Reads all the while and never says a word."""
    async for _ in items:
        pass
    yield b""


@pytest.mark.parametrize("size", [100, 60_000], ids=["small", "large"])
@pytest.mark.parametrize("reads", [True, False], ids=["that grants credit", "that reads nothing"])
def test_what_we_send_is_no_sign_of_life(world, pair, size, reads) -> None:
    """The plan's own case: a prompt every 0.8 s to a worker that is dead or dumb, an answer expected within 3 s."""
    scale = 0.05 if world.name == "sockets" else 1.0

    async def deaf(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        sent = 0

        async def prompts() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                yield bytes(size)
                sent += 1
                await asyncio.sleep(0.8 * scale)

        method = mute if reads else deaf
        async with pair(lambda server: server.register_streaming("generate", method)) as (_, client):
            begun = loop.time()
            stream = client.call_streaming_with_timeout("generate", prompts(), 3.0 * scale)
            with pytest.raises(StreamError.Timeout, match="was silent for idle_timeout"):
                async with asyncio.timeout(60):
                    await anext(stream)
            assert sent >= 2
            assert loop.time() - begun >= 3.0 * scale
            if world.name != "sockets":
                assert loop.time() - begun < 3.1 * scale

    world.run(main())


def test_each_part_of_an_item_restarts_the_reader_clock() -> None:
    """One item of 400 kB over a link of 100 kB/s takes four seconds; half a second of silence would be a timeout."""
    with Simulation(1) as simulation:
        simulation.network.default_link(latency="1ms", bandwidth="100KB/s")
        far, near = simulation.add_node("far"), simulation.add_node("near")
        config = RpcConfig(insecure=True, part_bytes=4096, stream_window_bytes=32 * 1024)
        server = RpcServer("0.0.0.0:7000", config=config)

        async def large(payload: bytes) -> AsyncIterator[bytes]:
            yield bytes(400_000)

        async def serve() -> None:
            server.register_streaming("large", large, shape="server_streaming")
            async with server:
                await server.wait_closed()

        async def main() -> None:
            await asyncio.sleep(0.1)
            begun = asyncio.get_running_loop().time()
            async with RpcClient.connect("far:7000", config=config) as client:
                items = [item async for item in client.call_server_streaming("large", idle_timeout=0.5)]
                assert [len(item) for item in items] == [400_000]
            assert asyncio.get_running_loop().time() - begun > 3.9

        far.start(serve)
        simulation.run_until_complete(near.start(main))


def test_the_answer_is_awaited_from_the_last_item_on(world, pair) -> None:
    """While the caller's own items are awaited no clock runs; the silence after the last one counts."""

    async def ends_never(items: AsyncIterator[bytes]) -> bytes:
        async for _ in items:
            pass
        await asyncio.Event().wait()
        return b""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        last = 0.0

        async def items() -> AsyncIterator[bytes]:
            nonlocal last
            for _ in range(4):
                await asyncio.sleep(2 * IDLE)
                yield b"x"
            last = loop.time()

        method = lambda server: server.register_streaming("up", ends_never, shape="client_streaming")  # noqa: E731
        async with pair(method) as (_, client):
            with pytest.raises(StreamError.Timeout):
                await client.call_client_streaming("up", items(), idle_timeout=IDLE)
            assert loop.time() - last >= IDLE - 0.001

    world.run(main())


def test_a_writer_waits_for_credit_no_longer_than_idle_timeout(world, pair) -> None:
    async def main() -> None:
        async def deaf(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

        config = RpcConfig(stream_window_bytes=4096, part_bytes=1024)
        async with pair(lambda server: server.register_streaming("deaf", deaf), config) as (_, client):
            async with client.call_streaming("deaf", idle_timeout=IDLE) as stream:
                with pytest.raises(StreamError.Timeout, match="does not read"):
                    await asyncio.gather(*(stream.send(bytes(1000)) for _ in range(10)))

    world.run(main())


def test_a_wait_for_a_place_is_named(world, pair) -> None:
    async def main() -> None:
        async with pair(register, RpcConfig(max_streams=2)) as (_, client):
            held = [client.call_streaming("never") for _ in range(2)]
            for stream in held:
                await stream.send(b"x")
                await stream.receive()
            with pytest.raises(StreamError.Timeout, match=r"one of the 2 places .* all are taken"):
                await anext(client.call_server_streaming("many", b"1", idle_timeout=IDLE))
            with pytest.raises(DeadlineExceeded, match=r"one of the 2 places .* all are taken"):
                await client.call("echo", timeout=IDLE)
            held[0].abort()
            assert await anext(client.call_server_streaming("many", b"1", idle_timeout=5)) == b"0"

    world.run(main())


def test_calls_with_unread_items_keep_their_place(world, pair, eventually) -> None:
    """What nobody reads holds credit of the connection; more such calls than it can hold are not begun."""

    async def main() -> None:
        async with pair(register, RpcConfig(max_streams=2)) as (server, client):
            ended = [client.call_server_streaming("many", b"3") for _ in range(2)]
            await eventually(lambda: server.stats.running_handlers == 0 and client.stats.open_streams == 0)
            with pytest.raises(DeadlineExceeded, match="2 of them by calls with unread items"):
                await client.call("many", timeout=IDLE)
            assert [item async for item in ended[0]] == [b"0", b"1", b"2"]
            assert [item async for item in client.call_server_streaming("many", b"1")] == [b"0"]
            assert [item async for item in ended[1]] == [b"0", b"1", b"2"]

    world.run(main())


@pytest.mark.parametrize("size", [10, 70_000, 3 << 20])
def test_every_call_ends_by_its_deadline_into_a_cut(size) -> None:
    """Whatever it waits for: an answer, credit of its own, the connection's credit, a place, a connection."""

    async def take(payload: bytes) -> bytes:
        return b"ok"

    async def gather(items: AsyncIterator[bytes]) -> bytes:
        return b"%d" % sum([len(item) async for item in items])

    with Simulation(1) as simulation:
        simulation.network.default_link(latency="1ms")
        far, near = simulation.add_node("far"), simulation.add_node("near")
        config = RpcConfig(insecure=True, max_streams=20, ping_interval=60)
        server = RpcServer("0.0.0.0:7000", config=config)
        server.register("take", take)
        server.register_streaming("gather", gather, shape="client_streaming")

        async def serve() -> None:
            async with server:
                await server.wait_closed()

        async def main() -> None:
            await asyncio.sleep(0.1)
            loop = asyncio.get_running_loop()
            async with RpcClient.connect("far:7000", config=config) as client:
                simulation.network.partition(["far"], ["near"])
                begun = loop.time()

                async def one(number: int) -> float:
                    if number % 2:
                        calling = client.call("take", bytes(size), timeout=0.5)
                    else:
                        calling = client.call_client_streaming("gather", [bytes(size)] * 3, timeout=0.5)
                    with pytest.raises(DeadlineExceeded):
                        await calling
                    return loop.time() - begun

                took = await asyncio.gather(*(one(number) for number in range(60)))
                assert max(took) < 0.51
                assert min(took) >= 0.5

        far.start(serve)
        simulation.run_until_complete(near.start(main))


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


@pytest.mark.own_sockets  # in memory no time passes while data flows
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
