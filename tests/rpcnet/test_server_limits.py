"""Limits of a whole server: beyond them a call or a connection is refused by the limit's name, and nothing runs."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import sim
from rpcnet import ResourceExhausted, RpcClient, RpcConfig, RpcServer, StreamError, Unavailable, service
from rpcnet.health import ServiceHealth
from rpcnet.server.connection import MAX_TURNED_AWAY
from tests.rpcnet.conftest import Pair


class Gate:
    """Handlers that wait until they are let through; counts those that have begun."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.begun = 0

    async def unary(self, payload: bytes) -> bytes:
        self.begun += 1
        await self.open.wait()
        return payload

    async def stream(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self.begun += 1
        await self.open.wait()
        async for item in items:
            yield item


def registered(gate: Gate, **options: Any) -> Callable[[RpcServer], None]:
    def register(server: RpcServer) -> None:
        server.register("unary", gate.unary, **options)
        server.register_streaming("stream", gate.stream, **options)

    return register


def test_a_call_beyond_max_handlers_is_refused_and_starts_nothing(world: Any, pair: Pair, eventually: Any) -> None:
    async def main() -> None:
        gate = Gate()
        config = RpcConfig(max_handlers=2)
        async with pair(registered(gate), config) as (server, client):
            running = [asyncio.create_task(client.call("unary", b"%d" % each)) for each in range(2)]
            await eventually(lambda: gate.begun == 2)
            with pytest.raises(ResourceExhausted, match=r"max_handlers \(2\) handlers run at this server"):
                await client.call("unary")
            with pytest.raises(StreamError.Application, match=r"max_handlers \(2\)") as refused:
                await client.call_streaming("stream", [b"x"]).receive()
            assert isinstance(refused.value, ResourceExhausted)
            assert (gate.begun, server.stats.running_handlers, server.stats.refused_calls) == (2, 2, 2)
            gate.open.set()
            assert await asyncio.gather(*running) == [b"0", b"1"]
            assert await client.call("unary", b"again") == b"again"

    world.run(main())


def test_a_full_server_still_answers_a_health_check(world: Any, pair: Pair, eventually: Any) -> None:
    async def main() -> None:
        gate = Gate()
        async with pair(registered(gate), RpcConfig(max_handlers=1)) as (_, client):
            running = asyncio.create_task(client.call("unary"))
            await eventually(lambda: gate.begun == 1)
            for _ in range(3):
                health = await client.call("rpcnet.health/check", {}, response=ServiceHealth)
                assert health.status == "SERVING"
            with pytest.raises(ResourceExhausted):
                await client.call("unary")
            gate.open.set()
            await running

    world.run(main())


def test_max_handlers_counts_the_calls_of_all_connections(world: Any, eventually: Any) -> None:
    async def main() -> None:
        gate = Gate()
        server = RpcServer("127.0.0.1:0", config=RpcConfig(max_handlers=1))
        registered(gate)(server)
        async with server, RpcClient.connect(server.address) as one, RpcClient.connect(server.address) as other:
            stream = one.call_streaming("stream", [b"x"])
            await eventually(lambda: gate.begun == 1)
            with pytest.raises(ResourceExhausted, match="max_handlers"):
                await other.call("unary")
            stream.abort()
            gate.open.set()
            await eventually(lambda: not server.stats.running_handlers)
            assert await other.call("unary", b"x") == b"x"

    world.run(main())


def test_a_connection_beyond_max_connections_is_told_why(world: Any, caplog: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        gate = Gate()
        gate.open.set()
        server = RpcServer("127.0.0.1:0", config=RpcConfig(max_connections=1))
        registered(gate)(server)
        async with server:
            first = await RpcClient.connect(server.address)
            assert await first.call("unary", b"x") == b"x"
            for _ in range(3):
                with pytest.raises(Unavailable, match=r"max_connections \(1\) are open at this server"):
                    await RpcClient.connect(server.address)
            assert (server.stats.connections, server.stats.refused_connections) == (1, 3)
            assert await first.call("unary", b"y") == b"y", "the one that was there is unharmed"
            second = RpcClient(server.address)
            began = loop.time()
            with pytest.raises(Unavailable, match="max_connections"):
                await second.call("unary", b"z")
            await first.close()
            while loop.time() < began + 10:
                try:
                    assert await second.call("unary", b"z") == b"z"
                    break
                except Unavailable:
                    await asyncio.sleep(0.01)
            else:
                raise AssertionError("a place that is free again is not taken")
            await second.close()

    with caplog.at_level(logging.WARNING, "rpcnet"):
        world.run(main())
    told = [record.getMessage() for record in caplog.records if "max_connections" in record.getMessage()]
    assert len(told) == 1, "one line in ten seconds, however many are refused"
    assert told[0].startswith("server refused a connection of 127.0.0.1:")


def test_connections_that_are_turned_away_are_bounded_too() -> None:
    """A peer that does not close when it is told costs a descriptor for a second; only so many of them do."""

    class Deaf(asyncio.Protocol):
        told = 0

        def data_received(self, data: bytes) -> None:
            Deaf.told += b"max_connections (1)" in data

        def eof_received(self) -> bool:
            return True  # stays open

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with RpcServer("127.0.0.1:0", config=RpcConfig(max_connections=1)) as server:
            client = await RpcClient.connect(server.address)
            host, _, port = server.address.rpartition(":")
            for round in (1, 2):
                deaf = []
                for _ in range(MAX_TURNED_AWAY + 20):
                    transport, _ = await loop.create_connection(Deaf, host, int(port))
                    deaf.append(transport)
                await asyncio.sleep(0.1)
                assert Deaf.told == MAX_TURNED_AWAY * round
                assert server.stats.connections == 1
                assert server.stats.refused_connections == len(deaf) * round
                for transport in deaf:
                    transport.close()
                await asyncio.sleep(2.0)  # now none of them is left
            await client.close()

    sim.run(main(), seed=1)


def test_a_stop_waits_for_connections_that_were_turned_away(world: Any, eventually: Any) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        class Deaf(asyncio.Protocol):
            def eof_received(self) -> bool:
                return True  # stays open

        server = RpcServer("127.0.0.1:0", config=RpcConfig(max_connections=1))
        async with server:
            client = await RpcClient.connect(server.address)
            host, _, port = server.address.rpartition(":")
            transport, _ = await loop.create_connection(Deaf, host, int(port))
            await eventually(lambda: server.stats.refused_connections == 1)
            assert len(server._handlers.turned_away) == 1
        assert not server._handlers.turned_away
        transport.close()
        await client.close()

    world.run(main())


def test_a_call_beyond_max_running_of_its_method_is_refused(world: Any, pair: Pair, eventually: Any) -> None:
    async def main() -> None:
        gate = Gate()

        def register(server: RpcServer) -> None:
            server.register("unary", gate.unary, max_running=1)
            server.register_streaming("stream", gate.stream, max_running=2)
            server.register("free", gate.unary)

        async with pair(register) as (server, client):
            running = [asyncio.create_task(client.call("unary", b"x"))]
            streams = [client.call_streaming("stream", [b"x"]) for _ in range(2)]
            await eventually(lambda: gate.begun == 3)
            with pytest.raises(ResourceExhausted, match=r"max_running \(1\) of 'unary' handlers run at this server"):
                await client.call("unary")
            with pytest.raises(ResourceExhausted, match=r"max_running \(2\) of 'stream'"):
                await client.call_streaming("stream", [b"x"]).receive()
            running.append(asyncio.create_task(client.call("free", b"y")))
            await eventually(lambda: gate.begun == 4)
            assert server.stats.refused_calls == 2
            streams.pop().abort()
            gate.open.set()
            assert await asyncio.gather(*running) == [b"x", b"y"]
            assert await client.call("unary", b"z") == b"z"
            async with client.call_streaming("stream", [b"again"]) as stream:
                assert await stream.receive() == b"again"
            streams.pop().abort()

    world.run(main())


def test_every_way_to_register_takes_a_limit(world: Any, pair: Pair, eventually: Any) -> None:
    async def main() -> None:
        gate = Gate()

        @service
        class Till:
            async def pay(self, amount: int) -> int:
                gate.begun += 1
                await gate.open.wait()
                return amount

            async def look(self, amount: int) -> int:
                return amount

        def register(server: RpcServer) -> None:
            async def wait(amount: int) -> int:
                gate.begun += 1
                await gate.open.wait()
                return amount

            server.register_typed("typed", wait, max_running=1)
            server.method("named", max_running=1)(wait)
            server.method(max_running=1)(wait)
            server.register_service(Till(), max_running={"pay": 1})

        async with pair(register) as (_, client):
            limited = ("typed", "named", "wait", "Till.pay")
            running = [asyncio.create_task(client.call(name, 1, response=int)) for name in limited]
            await eventually(lambda: gate.begun == len(limited))
            for name in limited:
                with pytest.raises(ResourceExhausted, match=rf"max_running \(1\) of '{name}'"):
                    await client.call(name, 1)
            assert await client.call("Till.look", 2, response=int) == 2
            gate.open.set()
            assert await asyncio.gather(*running) == [1] * len(limited)

    world.run(main())


@pytest.mark.parametrize(("wrong", "kind"), [(0, ValueError), (-1, ValueError), (True, TypeError), (1.0, TypeError)])
def test_a_limit_that_is_none_registers_nothing(wrong: Any, kind: type[Exception]) -> None:
    async def echo(payload: bytes) -> bytes:
        return payload

    @service
    class Till:
        async def pay(self, amount: int) -> int:
            return amount

    server = RpcServer("127.0.0.1:0")
    for _ in range(2):  # a second time it says the same, and not that the name is taken
        with pytest.raises(kind, match=r"max_running of 'echo' must be"):
            server.register("echo", echo, max_running=wrong)
        with pytest.raises(kind, match=r"max_running of 'Till.pay' must be"):
            server.register_service(Till(), max_running={"pay": wrong})
    with pytest.raises(ValueError, match="Till has no method 'play'; it has pay"):
        server.register_service(Till(), max_running={"play": 1})
    with pytest.raises(TypeError, match="maps names of its methods to numbers"):
        server.register_service(Till(), max_running=3)  # type: ignore[arg-type]


def test_a_restarted_server_counts_anew(world: Any, eventually: Any) -> None:
    """A handler that outlives the stop of its server takes no place of the next life."""

    async def main() -> None:
        gate = Gate()

        async def deaf(payload: bytes) -> bytes:
            gate.begun += 1
            while not gate.open.is_set():
                try:
                    await gate.open.wait()
                except asyncio.CancelledError:
                    continue
            return payload

        server = RpcServer("127.0.0.1:0", config=RpcConfig(max_handlers=1))
        server.register("deaf", deaf, max_running=1)
        await server.start()
        async with RpcClient.connect(server.address) as client:
            call = asyncio.create_task(client.call("deaf"))
            await eventually(lambda: gate.begun == 1)
            with pytest.raises(ResourceExhausted):
                await client.call("deaf")
            await server.stop(grace=0)
            await asyncio.wait([call])
            assert isinstance(call.exception(), Unavailable)
        async with server, RpcClient.connect(server.address) as client:
            assert server.stats.refused_calls == 0
            again = asyncio.create_task(client.call("deaf", b"x"))
            await eventually(lambda: gate.begun == 2)
            gate.open.set()
            assert await again == b"x"
            await eventually(lambda: not server.stats.running_handlers)
            assert await client.call("deaf", b"y") == b"y"

    world.run(main())
