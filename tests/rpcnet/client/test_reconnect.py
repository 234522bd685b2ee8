"""Connecting: late timers are no evidence, and waiting in vain leaves nothing."""

import asyncio
import time
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any, cast

import pytest

import sim
from rpcnet import DeadlineExceeded, FailedPrecondition, RpcClient, RpcConfig, RpcServer, Unavailable
from rpcnet.client.connection import ClientConnection
from rpcnet.wire.frame import Hello
from rpcnet.wire.writer import greeting
from tests.rpcnet.scripted import Scripted, hello, run


async def echo(payload: bytes) -> bytes:
    return payload


def test_a_loop_that_was_blocked_for_longer_than_connect_timeout_still_connects(world: Any) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        server.register("echo", echo)
        async with server:
            client = RpcClient(server.address, config=RpcConfig(connect_timeout=0.1))
            call = asyncio.ensure_future(client.call("echo", b"x", timeout=0.1))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            time.sleep(0.4)  # noqa: ASYNC251 - it blocks this loop: that is what is tested
            # The server shares our loop, so the call itself may be too late; that we are connected counts.
            await asyncio.wait([call])
            assert client.stats.connections == 1, call.exception()
            call.exception()
            assert await client.call("echo", b"x") == b"x"
            await client.close()

    world.run(main())


def test_a_server_that_accepts_and_says_nothing_is_given_up_after_connect_timeout(world: Any) -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        silent = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
        address = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        with pytest.raises(Unavailable, match="connect_timeout"):
            await RpcClient.connect(address, config=RpcConfig(connect_timeout=0.1))
        client = RpcClient(address)
        with pytest.raises(DeadlineExceeded, match="waited for a connection"):
            await client.call("echo", b"x", timeout=0.05)
        await client.close()
        silent.close()
        await silent.wait_closed()
        assert asyncio.all_tasks() == before

    world.run(main())


def test_cancelling_a_call_that_waits_for_the_connection_leaves_the_attempt_to_the_others(world: Any) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        server.register("echo", echo)
        async with server:
            client = RpcClient(server.address)
            first, second = (asyncio.ensure_future(client.call("echo", b"x", timeout=5.0)) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            assert await second == b"x"
            assert first.cancelled()
            await client.close()

    world.run(main())


def test_a_server_that_greets_and_hangs_up_is_tried_at_growing_intervals(world: Any) -> None:
    class Rude(asyncio.Protocol):
        made = 0

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it
            Rude.made += 1
            window = 64 * 1024
            transport.write(
                greeting(
                    Hello(
                        connection="",
                        max_message_bytes=window,
                        max_frame_bytes=2 * window,
                        max_metadata_bytes=window,
                        max_streams=1,
                        stream_window_bytes=window,
                        connection_window_bytes=window,
                    )
                )
            )
            transport.close()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        rude = await loop.create_server(Rude, "127.0.0.1", 0)
        client = RpcClient(f"127.0.0.1:{rude.sockets[0].getsockname()[1]}", random=Random(1))
        end = loop.time() + 1.0
        while loop.time() < end:
            with pytest.raises(Unavailable):
                await client.call("echo", b"x")
            await asyncio.sleep(0.01)
        # Up to 50 ms, 100 ms, 200 ms, …: with this random 5 attempts; without a pause there would be 100.
        assert 2 <= Rude.made <= 20
        await client.close()
        rude.close()
        await rude.wait_closed()

    world.run(main())


def test_pauses_between_attempts_double_up_to_their_limit() -> None:
    class LongestPause(Random):
        def uniform(self, a: float, b: float) -> float:
            assert a == 0.0
            return b

    async def main() -> None:
        loop = asyncio.get_running_loop()
        attempts: list[float] = []

        async def refuse(_: Any) -> None:
            attempts.append(loop.time())
            raise ConnectionRefusedError

        config = RpcConfig(reconnect_backoff=0.25, max_reconnect_backoff=3.0)
        client = RpcClient("unix:nowhere", config=config, random=LongestPause(), open_transport=refuse)
        waiting = asyncio.create_task(client.call("echo", timeout=None, wait_for_ready=True))
        await asyncio.sleep(200)
        waiting.cancel()
        pauses = [later - earlier for earlier, later in pairwise(attempts[:50])]
        assert pauses == pytest.approx([0.25, 0.5, 1.0, 2.0] + [3.0] * 45)
        await client.close()

    sim.run(main(), seed=1)


@pytest.mark.parametrize("stage", ["no connection", "no HELLO"])
def test_an_attempt_ends_at_connect_timeout_and_no_later(stage: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def open_transport(protocol: Callable[[], asyncio.BaseProtocol]) -> None:
            if stage == "no connection":
                await asyncio.Event().wait()
            Scripted(protocol())

        client = RpcClient("unix:x", config=RpcConfig(connect_timeout=0.5), open_transport=open_transport)
        began = loop.time()
        with pytest.raises(Unavailable, match=rf"{stage} within connect_timeout \(0.5 s\)"):
            await client.open()
        assert loop.time() - began == pytest.approx(0.5)
        await client.close()

    sim.run(main(), seed=1)


def test_a_closed_client_opens_no_connection(world: Any) -> None:
    async def main() -> None:
        async with RpcServer("127.0.0.1:0") as server:
            client = await RpcClient.connect(server.address)
            await client.close()
            with pytest.raises(FailedPrecondition, match="was closed"):
                await client.open()
            assert client.stats.connections == 0

    world.run(main())


@pytest.mark.parametrize("how", ["call", "connect"])
def test_a_connection_that_is_cancelled_in_any_turn_is_closed(world: Any, eventually: Any, how: str) -> None:
    """Also in the turn in which the server's HELLO came, which belongs to nobody then."""

    async def connect(address: str) -> None:
        async with RpcClient.connect(address) as client:
            await client.call("echo", b"x")

    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        server.register("echo", echo)
        async with server:
            for turns in range(20):
                client = RpcClient(server.address)
                task = asyncio.ensure_future(connect(server.address) if how == "connect" else client.call("echo"))
                for _ in range(turns):
                    await asyncio.sleep(0)
                if how == "connect":
                    task.cancel()
                await client.close()
                await asyncio.wait([task])
                if not task.cancelled():
                    task.exception()
                await eventually(lambda: not server.stats.connections)

    world.run(main())


@pytest.mark.parametrize("turns", range(6))
def test_a_second_close_ends_what_the_first_left(world: Any, turns: int) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        server.register("echo", echo)
        async with server:
            client = await RpcClient.connect(server.address)
            first, second = asyncio.ensure_future(client.close()), asyncio.ensure_future(client.close())
            for _ in range(turns):
                await asyncio.sleep(0)
            first.cancel()
            await second
            assert client.stats.connections == 0
            await asyncio.wait([first])
            await client.close()

    world.run(main())


def test_reason_of_a_wait_is_not_that_of_an_older_connection() -> None:
    """A connection that has lived for a while was not closed at once."""

    async def serve() -> None:
        server = RpcServer("0.0.0.0:7000", config=RpcConfig(insecure=True))
        server.register("echo", echo)
        async with server:
            await server.wait_closed()

    with sim.Simulation(seed=1) as simulation:
        machine = simulation.add_node("server")
        machine.start(serve)

        async def call() -> str:
            config = RpcConfig(insecure=True, ping_interval=2.0, ping_timeout=1.0)
            async with RpcClient.connect("server:7000", config=config) as client:
                assert await client.call("echo", b"x") == b"x"
                machine.crash()
                await asyncio.sleep(10)
                with pytest.raises(DeadlineExceeded, match="waited for a connection") as info:
                    await client.call("echo", b"x", timeout=1.0)
                return str(info.value)

        text = simulation.run_until_complete(simulation.add_node("client").start(call, delay=1.0))
    assert "at once" not in text


def test_the_address_that_connected_is_used_not_the_last_tried() -> None:
    """Of two addresses of a name the handshake of the second was not over when the first one was there."""

    async def main() -> None:
        async def join(protocol: Callable[[], ClientConnection]) -> None:
            Scripted(protocol()).say(greeting(hello()))
            protocol()

        client = RpcClient("unix:scripted", open_transport=join)
        await client.open()
        assert client.stats.connections == 1
        await client.close()

    run(main())
