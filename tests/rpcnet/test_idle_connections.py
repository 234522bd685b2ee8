"""A connection without calls is closed in order, by either end, and nobody notices but by the counts."""

import asyncio
import math
from typing import Any

import pytest

import sim
from rpcnet import RpcClient, RpcConfig, RpcServer, observe
from tests.rpcnet.test_server import Tape

IDLE = RpcConfig(max_idle_seconds=0.2)


async def echo(payload: bytes) -> bytes:
    return payload


async def slow(payload: bytes) -> bytes:
    await asyncio.sleep(0.5)
    return payload


def serving(config: RpcConfig | None = None) -> RpcServer:
    server = RpcServer("127.0.0.1:0", config=config)
    server.register("echo", echo)
    server.register("slow", slow)
    return server


@pytest.mark.parametrize("end", ["server", "client"])
def test_an_idle_connection_is_closed_and_made_again(world: Any, eventually: Any, end: str) -> None:
    async def main() -> None:
        tape = Tape()
        remove = observe.install(tape)
        server = serving(IDLE if end == "server" else None)
        async with server, RpcClient.connect(server.address, config=IDLE if end == "client" else None) as client:
            for count in (1, 2, 3):
                assert await client.call("echo", b"x") == b"x"
                assert server.stats.connections == client.stats.connections == 1
                await eventually(lambda: not server.stats.connections and not client.stats.connections)
                reasons = [each["reason"] for each in tape.of("connection_closed") if each["side"] == end]
                assert len(reasons) == count
        remove()
        assert len(tape.of("connection_opened")) == 6

    world.run(main())


@pytest.mark.parametrize("end", ["server", "client"])
def test_a_connection_with_a_running_call_is_not_idle(world: Any, eventually: Any, end: str) -> None:
    async def main() -> None:
        server = serving(IDLE if end == "server" else None)
        async with server, RpcClient.connect(server.address, config=IDLE if end == "client" else None) as client:
            assert await client.call("slow", b"x") == b"x"
            assert client.stats.connections == 1
            await eventually(lambda: not server.stats.connections)

    world.run(main())


@pytest.mark.parametrize("config", [RpcConfig(), RpcConfig(max_idle_seconds=math.inf)])
def test_no_connection_is_idle_by_default(config: RpcConfig) -> None:
    async def main() -> None:
        server = serving(config)
        async with server, RpcClient.connect(server.address, config=config) as client:
            await asyncio.sleep(24 * 3600)
            assert server.stats.connections == client.stats.connections == 1
            assert await client.call("echo", b"x") == b"x"

    sim.run(main(), seed=1)


def test_a_call_that_crosses_the_farewell_is_made_again() -> None:
    """Calls at every moment around the server's GOAWAY: all are answered, each by one handler."""

    simulation = sim.Simulation(seed=3)
    ran: list[bytes] = []

    async def serve() -> None:
        async def note(payload: bytes) -> bytes:
            ran.append(payload)
            return payload

        server = RpcServer("0.0.0.0:7000", config=RpcConfig(insecure=True, max_idle_seconds=1.0))
        server.register("note", note)
        async with server:
            await server.wait_closed()

    async def call() -> int:
        connections = set()
        async with RpcClient.connect("server:7000", config=RpcConfig(insecure=True)) as client:
            for number in range(200):
                payload = b"%d" % number
                assert await client.call("note", payload) == payload
                connections.add(client._dialer.connection)
                await asyncio.sleep(0.99 + number * 0.0001)
        return len(connections)

    with simulation:
        simulation.add_node("server").start(serve)
        made = simulation.run_until_complete(simulation.add_node("client").start(call, delay=1.0))
    assert ran == [b"%d" % number for number in range(200)]
    assert 50 < made < 150, "some calls came before the farewell, some after it"
