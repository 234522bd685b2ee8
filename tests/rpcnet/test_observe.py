"""What an observer is told of a call, and that one that raises harms nobody."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

import sim
from rpcnet import NotFound, RpcClient, RpcConfig, RpcServer, observe
from tests.rpcnet.conftest import Pair
from tests.rpcnet.test_server import Tape


async def double(payload: bytes) -> bytes:
    return payload * 2


async def missing(payload: bytes) -> bytes:
    raise NotFound("no such thing")


async def beside(items: AsyncIterator[str], text: str) -> int:
    await asyncio.sleep(1)
    return len(text)


async def doubles(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for item in items:
        yield item * 2


def register(server: RpcServer) -> None:
    server.register("double", double)
    server.register("missing", missing)
    server.register_streaming("doubles", doubles)


def amounts(tape: Tape, name: str) -> list[tuple[object, object, object]]:
    return [(each["method"], each["sent_bytes"], each["received_bytes"]) for each in tape.of(name)]


def test_the_end_of_a_call_says_how_many_bytes_it_had(world: Any, pair: Pair) -> None:
    async def main() -> None:
        tape = Tape()
        remove = observe.install(tape)
        async with pair(register) as (_, client):
            assert await client.call("double", b"x" * 10) == b"x" * 20
            assert len(await client.call("double", b"x" * 200_000)) == 400_000  # in parts
            with pytest.raises(NotFound):
                await client.call("missing", b"x" * 5)
            got = [item async for item in client.call_streaming("doubles", [b"a" * 7, b"", b"b" * 300_000])]
            assert len(got) == 3
        remove()
        expected = [("double", 10, 20), ("double", 200_000, 400_000), ("missing", 5, 0), ("doubles", 300_007, 600_014)]
        assert amounts(tape, "call_ended") == expected
        assert amounts(tape, "handler_ended") == [(name, back, there) for name, there, back in expected]

    world.run(main())


def test_queue_time_is_that_before_the_wire_and_before_the_handler() -> None:
    async def main() -> None:
        tape = Tape()
        remove = observe.install(tape)

        async def slow(payload: bytes) -> bytes:
            await asyncio.sleep(2.0)
            return payload

        server = RpcServer("127.0.0.1:0", config=RpcConfig(max_streams=1))
        server.register("slow", slow)
        async with server, RpcClient.connect(server.address) as client:
            await asyncio.gather(*(client.call("slow") for _ in range(3)))
        remove()
        queued = [each["queue_seconds"] for each in tape.of("call_ended")]
        assert queued == pytest.approx([0.0, 2.0, 4.0], abs=0.1)
        assert [each["seconds"] for each in tape.of("call_ended")] == pytest.approx([2.0] * 3, abs=0.1)
        assert [each["queue_seconds"] for each in tape.of("handler_ended")] == pytest.approx([0.0] * 3, abs=0.1)

    sim.run(main(), seed=1)


@pytest.mark.parametrize("what", ["request", "arguments"])
def test_a_handler_waits_for_the_rest_of_its_request(what: str) -> None:
    """Over a slow link: the time from OPEN until all of it has come is queue time of the handler."""
    tape = Tape()
    simulation = sim.Simulation(seed=1)

    async def serve() -> None:
        observe.install(tape)
        server = RpcServer("0.0.0.0:7000", config=RpcConfig(insecure=True))
        server.register("double", double)
        server.register_typed("beside", beside)
        async with server:
            await server.wait_closed()

    async def call() -> None:
        config = RpcConfig(insecure=True)
        async with RpcClient.connect("server:7000", config=config) as client:
            if what == "request":
                await client.call("double", b"x" * 1_000_000)
            else:
                await client.call_client_streaming("beside", [], arguments={"text": "x" * 1_000_000})

    with simulation:
        simulation.add_node("server").start(serve)
        simulation.run_until_complete(simulation.add_node("client").start(call, delay=1.0))
    (ended,) = tape.of("handler_ended")
    assert 0 < ended["queue_seconds"] < ended["seconds"]  # type: ignore[operator]


class Raising:
    def __init__(self) -> None:
        self.told: list[str] = []

    def record(self, event: str, /, **fields: object) -> None:
        self.told.append(event)
        raise ValueError("the disk is full")


def test_an_observer_that_raises_harms_no_call(world: Any, pair: Pair, caplog: Any) -> None:
    async def main() -> None:
        observer = Raising()
        remove = observe.install(observer)
        async with pair(register) as (_, client):
            assert await client.call("double", b"x") == b"xx"
            with pytest.raises(NotFound):
                await client.call("missing")
            assert [item async for item in client.call_streaming("doubles", [b"a", b"b"])] == [b"aa", b"bb"]
        remove()
        assert observer.told.count("call_ended") == observer.told.count("handler_ended") == 3

    with caplog.at_level(logging.ERROR, "rpcnet"):
        world.run(main())
    (line,) = [record for record in caplog.records if record.name == "rpcnet"]
    assert line.getMessage().startswith("observer 'Raising' raised when it was told of 'connection_opened'")
    assert line.exc_info[0] is ValueError


def test_an_observer_is_taken_away_by_whoever_installed_it(world: Any) -> None:
    async def main() -> None:
        first, second = Tape(), Tape()
        remove_first = observe.install(first)
        remove_second = observe.install(second)
        remove_first()
        current = observe.current()
        assert current is not None
        current.record("something", number=1)
        remove_second()
        assert observe.current() is None
        assert (first.events, second.events) == ([], [("something", {"number": 1})])

    world.run(main())


def test_an_observer_that_is_told_of_its_own_log_line_is_told_once(caplog: Any) -> None:
    """As the trace of a run, in which log lines are events."""

    async def main() -> None:
        observer = Raising()
        remove = observe.install(observer)
        current = observe.current()
        assert current is not None

        class ToObserver(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                current.record("log")

        handler = ToObserver()
        logging.getLogger("rpcnet").addHandler(handler)
        try:
            current.record("something")
        finally:
            logging.getLogger("rpcnet").removeHandler(handler)
        remove()
        assert observer.told == ["something", "log"]

    sim.run(main(), seed=1)
