"""Bounded everywhere: a slow reader stops its writer, and nobody else."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim
from rpcnet import NotFound, ResourceExhausted, RpcClient, RpcConfig, RpcServer, StreamError, current_call
from rpcnet.wire.frame import ITEM_COST

MIB = 1024 * 1024
OFFERED = 1024
"""Items of 1 MiB: a gibibyte."""


class Flood:
    """Offers and takes a gibibyte, and counts what was let through."""

    def __init__(self) -> None:
        self.offered = 0
        self.deaf = asyncio.Event()

    def register(self, server: RpcServer) -> None:
        server.register_streaming("flood", self.flood, shape="server_streaming")
        server.register_streaming("hear", self.hear, shape="client_streaming")
        server.register("echo", self.echo)

    async def flood(self, payload: bytes) -> AsyncIterator[bytes]:
        for _ in range(OFFERED):
            yield bytes(MIB)
            self.offered += 1

    async def hear(self, items: AsyncIterator[bytes]) -> bytes:
        await self.deaf.wait()
        count = 0
        async for _ in items:
            count += 1
            if count == 3:
                break
        return b"%d" % count

    async def echo(self, payload: bytes) -> bytes:
        return payload


def test_a_slow_reader_stops_its_writer_and_nobody_else(world, pair) -> None:
    async def main() -> None:
        flood = Flood()
        config = RpcConfig()
        async with pair(flood.register, config) as (server, client):
            async with client.call_server_streaming("flood") as stream:
                first = await stream.receive()
                assert len(first) == MIB
                for number in range(50):
                    assert await client.call("echo", b"%d" % number, timeout=5) == b"%d" % number
                # The window, the message that is being put together, and what one part overshoots.
                room = config.stream_window_bytes + MIB + 4 * config.part_bytes
                assert flood.offered <= 3
                assert client.stats.queued_bytes <= room
                assert server.stats.queued_bytes <= room
                assert len(await stream.receive()) == MIB
            await asyncio.sleep(0)

    world.run(main())


def test_a_handler_that_does_not_read_stops_its_caller(world, pair) -> None:
    async def main() -> None:
        flood = Flood()
        sent = 0

        async def items() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(OFFERED * 1000):
                yield bytes(1000)
                sent += 1

        config = RpcConfig(stream_window_bytes=64 * 1024)
        async with pair(flood.register, config) as (server, client):
            upload = asyncio.create_task(client.call_client_streaming("hear", items()))
            await asyncio.sleep(0.1)
            assert sent <= 64
            assert server.stats.queued_bytes <= config.stream_window_bytes
            assert client.stats.queued_bytes <= config.stream_window_bytes
            assert await client.call("echo", b"x", timeout=5) == b"x"
            flood.deaf.set()
            # The answer comes although the items never end; the rest of them is let go.
            assert await upload == b"3"

    world.run(main())


def test_a_hundred_unread_streams_cost_nobody_else(world, pair) -> None:
    """Each holds its own window and no more: other calls of the connection take as long as they took."""

    async def endless(payload: bytes) -> AsyncIterator[bytes]:
        while True:
            yield bytes(60_000)

    async def main() -> None:
        def methods(server: RpcServer) -> None:
            server.register_streaming("endless", endless, shape="server_streaming")
            server.register("echo", Flood().echo)

        loop = asyncio.get_running_loop()
        async with pair(methods, RpcConfig(max_streams=101)) as (_, client):

            async def take() -> float:
                begun = loop.time()
                for size in (1, 1000, 100_000):
                    assert await client.call("echo", bytes(size), timeout=30) == bytes(size)
                return loop.time() - begun

            alone = max([await take() for _ in range(3)])
            streams = [client.call_server_streaming("endless") for _ in range(100)]
            await asyncio.sleep(60 if world.name != "sockets" else 1)
            assert client.stats.queued_bytes <= 100 * RpcConfig().stream_window_bytes
            if world.name == "sockets":
                await take()
            else:
                assert max([await take() for _ in range(3)]) <= alone * 1.5 + 0.001
            for stream in streams:
                stream.abort()

    world.run(main())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 600), max_size=3), st.lists(st.integers(0, 600), max_size=4), st.integers(500, 4000))
def test_a_large_message_passes_beside_unread_streams(calls: list[int], items: list[int], size: int) -> None:
    """Whatever was read of calls, and of its own stream, and not told yet: the rest of the window is enough."""

    async def deaf(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def count(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for item in items:
            yield b"%d" % len(item)

    async def main() -> None:
        server = RpcServer("127.0.0.1:0", config=RpcConfig(stream_window_bytes=1024, max_streams=3))
        server.register("echo", Flood().echo)
        server.register_streaming("deaf", deaf, shape="bidirectional")
        server.register_streaming("count", count, shape="bidirectional")
        async with server, await RpcClient.connect(server.address) as client:
            for length in calls:
                await client.call("echo", bytes(length), timeout=5)
            unread = [client.call_streaming("deaf") for _ in range(2)]
            for stream in unread:
                await stream.send(bytes(512 - ITEM_COST))
                await stream.send(bytes(512 - ITEM_COST))
            async with client.call_streaming("count") as stream:
                for length in (*items, size):
                    await asyncio.wait_for(stream.send(bytes(length)), 5)
                    assert await asyncio.wait_for(stream.receive(), 5) == b"%d" % length

    sim.run(main(), seed=1)


def test_many_small_items_fill_the_window_as_well(world, pair) -> None:
    async def empty(payload: bytes) -> AsyncIterator[bytes]:
        while True:
            yield b""

    async def main() -> None:
        config = RpcConfig(stream_window_bytes=64 * 100)
        async with pair(lambda s: s.register_streaming("empty", empty, shape="server_streaming"), config) as (
            _,
            client,
        ):
            async with client.call_server_streaming("empty") as stream:
                await asyncio.sleep(0.05)
                assert client.stats.queued_bytes <= 6400
                for _ in range(1000):
                    assert await stream.receive() == b""

    world.run(main())


def test_streams_share_the_connection_in_turns(world, pair) -> None:
    """Ten writers and little credit: all get on, none of them starves."""

    async def main() -> None:
        flood = Flood()
        config = RpcConfig(max_streams=10, stream_window_bytes=6400, part_bytes=4096)
        async with pair(flood.register, config) as (_, client):

            async def read() -> None:
                async with client.call_server_streaming("flood") as stream:
                    assert len(await stream.receive()) == MIB

            async with asyncio.timeout(30):
                await asyncio.gather(*(read() for _ in range(10)))

    world.run(main())


def test_a_message_above_the_limit_is_refused_where_it_is_sent(world, pair) -> None:
    async def main() -> None:
        flood = Flood()
        async with pair(flood.register, RpcConfig(max_message_bytes=1000)) as (_, client):
            with pytest.raises(ResourceExhausted, match=r"max_message_bytes \(1000\)"):
                await client.call("echo", bytes(100_000))
            with pytest.raises(StreamError, match="max_message_bytes"):
                await anext(client.call_server_streaming("flood"))

    world.run(main())


@pytest.mark.parametrize("size", [5000, 500_000])
def test_a_message_above_the_limit_of_its_receiver_ends_that_call_alone(world, pair, size) -> None:
    async def main() -> None:
        flood = Flood()
        small = RpcConfig(max_message_bytes=1000)
        async with pair(flood.register, RpcConfig(), client_config=small) as (_, client):
            connection = client._dialer.connection
            assert connection is not None
            with pytest.raises(ResourceExhausted, match="max_message_bytes"):
                await client.call("echo", bytes(size))
            assert await client.call("echo", b"fits") == b"fits"
            assert client._dialer.connection is connection

    world.run(main())


def test_calls_beyond_max_streams_wait_for_a_place(world, pair) -> None:
    async def main() -> None:
        running = most = 0

        async def slow(payload: bytes) -> bytes:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1
            return payload

        async with pair(lambda server: server.register("slow", slow), RpcConfig(max_streams=3)) as (_, client):
            answers = await asyncio.gather(*(client.call("slow", b"%d" % number) for number in range(20)))
            assert answers == [b"%d" % number for number in range(20)]
            assert most == 3
            waiting = [asyncio.create_task(client.call("slow", b"x")) for _ in range(10)]
            await asyncio.sleep(0)
            for task in waiting[::2]:
                task.cancel()
            done = await asyncio.gather(*waiting, return_exceptions=True)
            assert done[1::2] == [b"x"] * 5

    world.run(main())


def test_two_senders_of_one_stream_do_not_mix_their_messages(world, pair) -> None:
    async def main() -> None:
        async def chat(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            async for item in items:
                yield b"%d" % len(set(item))

        config = RpcConfig(stream_window_bytes=4096, part_bytes=1024)
        async with pair(lambda server: server.register_streaming("chat", chat), config) as (_, client):
            async with client.call_streaming("chat") as stream:
                await asyncio.gather(*(stream.send(bytes([letter]) * 20_000) for letter in range(10)))
                await stream.end()
                assert [answer async for answer in stream] == [b"1"] * 10

    world.run(main())


@pytest.mark.parametrize("way", ["leave", "abort", "drop"])
def test_items_of_a_stream_that_has_ended_and_that_nobody_reads_give_their_credit_back(
    world: Any, pair: Any, idle: Any, eventually: Any, way: str
) -> None:
    async def burst(_: bytes) -> AsyncIterator[bytes]:
        for _ in range(8):
            yield bytes(8 * 1024)

    def methods(server: RpcServer) -> None:
        server.register_streaming("burst", burst, shape="server_streaming")

    async def main() -> None:
        # Without it the window would be used up by the third stream, and the connection stand still.
        async with pair(methods, RpcConfig(max_streams=3, stream_window_bytes=80 * 1024)) as (server, client):
            for _ in range(10):
                stream = client.call_server_streaming("burst", idle_timeout=5.0)
                await stream.receive()
                await eventually(lambda: not server.stats.running_handlers and not client.stats.open_streams)
                if way == "leave":
                    async with stream:
                        pass
                elif way == "abort":
                    stream.abort()
                del stream
                await idle(server, client)

    world.run(main())


@pytest.mark.parametrize("part", ["metadata", "details", "first metadata", "trailers"])
def test_calls_with_large_facts_do_not_cut_the_connection(world, pair, part) -> None:
    """All places at once, each with 30 kB of metadata or the like: none of it goes by credit, all of it is legal."""
    large = "x" * 30_000

    async def answer(payload: bytes) -> bytes:
        await asyncio.sleep(0.1)
        call = current_call()
        if payload == b"details":
            raise NotFound("x", details=large.encode())
        if payload == b"first metadata":
            call.send_metadata({"k": large})
        if payload == b"trailers":
            call.trailers["k"] = large
        return b""

    async def main() -> None:
        metadata = {"k": large} if part == "metadata" else None
        async with pair(lambda server: server.register("answer", answer)) as (_, client):
            calls = (client.call("answer", part.encode(), metadata=metadata) for _ in range(100))
            ends = await asyncio.gather(*calls, return_exceptions=True)
        wanted = NotFound if part == "details" else bytes
        assert [end for end in ends if not isinstance(end, wanted)] == []

    world.run(main())
