"""Connecting again: pauses with full jitter, calls that wait for a connection or do not, names that move."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from random import Random
from typing import Any, get_overloads

import pytest

import sim
from rpcnet import (
    DeadlineExceeded,
    FailedPrecondition,
    RpcClient,
    RpcConfig,
    RpcServer,
    StreamError,
    Unavailable,
    service,
)
from rpcnet.testing import MemoryTransport

ONE_REQUEST = ("unary", "with_metadata", "service")
SHAPES = (*ONE_REQUEST, "server_streaming", "client_streaming", "bidirectional", "with_timeout")


@service
class Echo:
    async def unary(self, payload: bytes) -> bytes:
        return payload


async def unary(payload: bytes) -> bytes:
    return payload


async def server_streaming(payload: bytes) -> AsyncIterator[bytes]:
    yield payload


async def client_streaming(items: AsyncIterator[bytes]) -> bytes:
    return b"".join([item async for item in items])


async def bidirectional(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for item in items:
        yield item


def serving(address: str = "127.0.0.1:0", config: RpcConfig | None = None) -> RpcServer:
    server = RpcServer(address, config=config)
    server.register("unary", unary)
    server.register_service(Echo())
    server.register_streaming("server_streaming", server_streaming, shape="server_streaming")
    server.register_streaming("client_streaming", client_streaming, shape="client_streaming")
    server.register_streaming("bidirectional", bidirectional)
    return server


async def result(client: RpcClient, shape: str, **options: Any) -> bytes:
    """One call in each shape that gives back what it was sent."""
    if shape == "unary":
        return await client.call("unary", b"x", **options)
    if shape == "client_streaming":
        return await client.call_client_streaming("client_streaming", [b"x"], **options)
    if shape == "server_streaming":
        return b"".join([item async for item in client.call_server_streaming(shape, b"x", **options)])
    if shape == "bidirectional":
        return b"".join([item async for item in client.call_streaming(shape, [b"x"], **options)])
    if shape == "with_metadata":
        return (await client.call_with_metadata("unary", b"x", **options)).value
    if shape == "service":
        return await client.service(Echo, **options).unary(b"x")
    timeout = options.pop("timeout")
    stream = client.call_streaming_with_timeout("bidirectional", [b"x"], timeout, **options)
    return b"".join([item async for item in stream])


class Attempts:
    """A transport that cannot be opened until `server` is there; notes when it was asked for."""

    def __init__(self) -> None:
        self.server: RpcServer | None = None
        self.at: list[float] = []

    async def __call__(self, protocol: Callable[[], Any]) -> None:
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0)
        if self.server is None:
            raise ConnectionRefusedError(111, "refused")
        near, far = MemoryTransport(protocol()), MemoryTransport(self.server.accept())
        near.meet(far)
        far.meet(near)

    def pauses(self) -> list[float]:
        return [later - sooner for sooner, later in zip(self.at, self.at[1:], strict=False)]


def client_of(attempts: Attempts, seed: int = 1, **config: Any) -> RpcClient:
    return RpcClient("unix:attempts", config=RpcConfig(**config), random=Random(seed), open_transport=attempts)


def in_simulation(main: Coroutine[Any, Any, None]) -> None:
    sim.run(main, seed=1)


def test_pauses_are_drawn_evenly_below_a_bound_that_doubles() -> None:
    """Full jitter: from 0 to the bound. With less, clients that lost one server come back to it together."""

    async def main() -> None:
        shares: list[list[float]] = [[] for _ in range(12)]
        for seed in range(200):
            attempts = Attempts()
            client = client_of(attempts, seed, reconnect_backoff=0.1, max_reconnect_backoff=5.0)
            with pytest.raises(DeadlineExceeded):
                await client.call("unary", timeout=50, wait_for_ready=True)
            for number, pause in enumerate(attempts.pauses()[:12]):
                shares[number].append(pause / min(5.0, 0.1 * 2**number))
            await client.close()
        for drawn in shares:
            assert len(drawn) == 200
            assert max(drawn) <= 1.001
            assert min(drawn) < 0.05
            assert max(drawn) > 0.95
            assert 0.4 < sum(drawn) / len(drawn) < 0.6

    in_simulation(main())


def test_pauses_come_from_the_random_that_is_given() -> None:
    async def main() -> None:
        seen = []
        for seed in (1, 1, 2):
            attempts = Attempts()
            client = client_of(attempts, seed)
            with pytest.raises(DeadlineExceeded):
                await client.call("unary", timeout=20, wait_for_ready=True)
            seen.append([round(pause, 6) for pause in attempts.pauses()])
            await client.close()
        assert seen[0] == seen[1] != seen[2]

    in_simulation(main())


def test_a_good_connection_makes_the_pauses_short_again() -> None:
    async def main() -> None:
        attempts = Attempts()
        client = client_of(attempts, reconnect_backoff=0.1, max_reconnect_backoff=1000.0)
        for _ in range(2):
            before = len(attempts.at)
            with pytest.raises(DeadlineExceeded):
                await client.call("unary", timeout=100, wait_for_ready=True)
            first = attempts.pauses()[before]
            assert first <= 0.1, "the first pause after a good connection"
            assert max(attempts.pauses()[before:]) > 1.0
            attempts.server = server = serving()
            server.begin()
            assert await client.call("unary", b"x", timeout=2000, wait_for_ready=True) == b"x"
            await asyncio.sleep(1.0)
            attempts.server = None
            await server.stop()
            attempts.at.clear()
            before = 0
        await client.close()

    in_simulation(main())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_call_fails_at_once_in_the_pause_after_an_attempt(shape: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        attempts = Attempts()
        client = client_of(attempts, reconnect_backoff=100.0, max_reconnect_backoff=100.0)
        with pytest.raises(Unavailable, match="nobody listens there"):
            await result(client, shape, timeout=60)
        assert len(attempts.at) == 1
        began = loop.time()
        with pytest.raises(Unavailable, match=r"nobody listens there.*; the next attempt is .* s away") as failed:
            await result(client, shape, timeout=60)
        assert loop.time() == began
        assert len(attempts.at) == 1
        assert isinstance(failed.value, StreamError.Transport) == (shape not in ONE_REQUEST)
        await client.close()

    in_simulation(main())


def test_the_first_call_after_the_pause_makes_an_attempt() -> None:
    async def main() -> None:
        attempts = Attempts()
        client = client_of(attempts, reconnect_backoff=1.0)
        with pytest.raises(Unavailable):
            await client.call("unary", timeout=60)
        attempts.server = server = serving()
        server.begin()
        await asyncio.sleep(1.0)
        assert await client.call("unary", b"x", timeout=60) == b"x"
        assert len(attempts.at) == 2
        await client.close()
        await server.stop()

    in_simulation(main())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_call_that_waits_for_ready_outlives_attempts_in_vain(world: Any, shape: str) -> None:
    async def main() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        client = RpcClient(address, config=RpcConfig(reconnect_backoff=0.01, max_reconnect_backoff=0.05))
        with pytest.raises(Unavailable):
            await result(client, shape, timeout=60)
        waiting = asyncio.create_task(result(client, shape, timeout=60, wait_for_ready=True))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        async with serving(address):
            assert await waiting == b"x"
            assert await result(client, shape, timeout=60, wait_for_ready=True) == b"x"
        await client.close()

    world.run(main())


@pytest.mark.parametrize("shape", SHAPES)
def test_a_call_that_waits_for_ready_ends_with_its_timeout(shape: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        attempts = Attempts()
        client = client_of(attempts)
        began = loop.time()
        with pytest.raises(TimeoutError, match=r"waited for a connection to unix:attempts \(.*nobody listens there"):
            # The last of them has an idle timeout alone; it is awaited from its first item on.
            await result(client, shape, timeout=7.0, wait_for_ready=True)
        assert loop.time() - began == pytest.approx(7.0, abs=0.01)
        await client.close()

    in_simulation(main())


def test_closing_the_client_ends_calls_that_wait_for_ready(world: Any) -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        client = RpcClient("127.0.0.1:1")
        waiting = [asyncio.create_task(result(client, shape, timeout=60, wait_for_ready=True)) for shape in SHAPES]
        await asyncio.sleep(0.2)
        await client.close()
        done, _ = await asyncio.wait(waiting, timeout=5)
        assert len(done) == len(SHAPES)
        assert all("the client was closed" in str(task.exception()) for task in done)
        with pytest.raises(FailedPrecondition):
            await client.call("unary", wait_for_ready=True)
        assert asyncio.all_tasks() == before

    world.run(main())


def test_a_call_behind_interceptors_waits_for_ready_too(world: Any) -> None:
    async def through(call: Any, proceed: Any) -> Any:
        return await proceed()

    async def main() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        client = RpcClient(address, config=RpcConfig(max_reconnect_backoff=0.05), interceptors=[through])
        with pytest.raises(Unavailable):
            await client.call("unary")
        waiting = [asyncio.create_task(result(client, shape, timeout=60, wait_for_ready=True)) for shape in SHAPES]
        await asyncio.sleep(0.2)
        async with serving(address):
            assert await asyncio.gather(*waiting) == [b"x"] * len(SHAPES)
        await client.close()

    world.run(main())


# Names.

INSECURE = RpcConfig(insecure=True, connect_timeout=5.0)


def serve_at(name: str) -> Callable[[], Coroutine[Any, Any, None]]:
    async def serve() -> None:
        server = RpcServer("0.0.0.0:7000", config=INSECURE)

        async def who(payload: bytes) -> bytes:
            return name.encode()

        server.register("who", who)
        async with server:
            await server.wait_closed()

    return serve


def looks_up(name: str, targets: list[str]) -> None:
    """Have `name` resolve to the addresses of these nodes, as they are when it is asked for."""
    loop: Any = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def getaddrinfo(host: Any, port: Any, **options: Any) -> Any:
        if host != name:
            return await real(host, port, **options)
        return [info for target in targets for info in await real(target, port, **options)]

    loop.getaddrinfo = getaddrinfo


def test_a_name_is_looked_up_again_for_each_connection() -> None:
    """A service moves to another machine, and its name with it: clients follow when their connection is lost."""
    with sim.Simulation(seed=1) as simulation:
        old, new = simulation.add_node("old"), simulation.add_node("new")
        old.start(serve_at("old"))
        new.start(serve_at("new"))

        async def call() -> None:
            targets = ["old"]
            looks_up("service", targets)
            async with RpcClient.connect("service:7000", config=INSECURE) as client:
                assert await client.call("who") == b"old"
                targets[:] = ["new"]
                assert await client.call("who") == b"old", "a connection that is good stays"
                old.kill()
                await asyncio.sleep(0.1)  # the reset is on its way
                assert await client.call("who", timeout=10.0, wait_for_ready=True) == b"new"

        simulation.run_until_complete(simulation.add_node("client").start(call, delay=1.0))


@pytest.mark.parametrize("first", ["silent", "refusing"])
def test_all_addresses_of_a_name_are_tried(first: str) -> None:
    """One that is silent holds up nobody: the next is tried a quarter of a second later."""
    with sim.Simulation(seed=1) as simulation:
        simulation.add_node("refusing")
        silent = simulation.add_node("silent")
        simulation.add_node("good").start(serve_at("good"))

        async def call() -> float:
            loop = asyncio.get_running_loop()
            looks_up("service", [first, "good"])
            began = loop.time()
            async with RpcClient.connect("service:7000", config=INSECURE) as client:
                took = loop.time() - began
                assert await client.call("who") == b"good"
            return took

        silent.crash()
        took = simulation.run_until_complete(simulation.add_node("client").start(call, delay=1.0))
    assert took < 1.0


def test_the_error_names_all_addresses_that_were_tried() -> None:
    with sim.Simulation(seed=1) as simulation:
        simulation.add_node("one")
        simulation.add_node("two")

        async def call() -> str:
            looks_up("service", ["one", "two"])
            with pytest.raises(Unavailable) as failed:
                await RpcClient.connect("service:7000", config=INSECURE)
            return str(failed.value)

        text = simulation.run_until_complete(simulation.add_node("client").start(call, delay=1.0))
    assert "connection refused, nobody listens there (tried " in text
    assert text.count(":7000") == 3


def test_the_call_with_a_timeout_is_typed_as_the_one_without() -> None:
    """One overload without a response, one whose items are of the type that is given."""
    both = [get_overloads(call) for call in (RpcClient.call_streaming, RpcClient.call_streaming_with_timeout)]
    plain, timed = ([each.__annotations__ for each in overloads] for overloads in both)
    assert len(plain) == len(timed) == 2
    for one, other in zip(plain, timed, strict=True):
        assert one["return"] == other["return"]
        assert one["response"] == other["response"]
        assert one["wait_for_ready"] == other["wait_for_ready"]
