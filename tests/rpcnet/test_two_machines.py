"""What only two machines can show: the other one dies, falls silent, or goes on while this one is blocked."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest

from rpcnet import DeadlineExceeded, RpcClient, RpcConfig, RpcServer, StreamError, Unavailable
from sim import Node, Simulation

LARGE = 1_500_000
ROOMY = RpcConfig(insecure=True, stream_window_bytes=16 << 20, max_streams=10, max_message_bytes=8 << 20)


async def answer(payload: bytes) -> bytes:
    return bytes(LARGE)


async def answers(payload: bytes) -> AsyncIterator[bytes]:
    for _ in range(3):
        yield bytes(LARGE)


def large_answers(server: RpcServer) -> None:
    server.register("answer", answer)
    server.register_streaming("answers", answers, shape="server_streaming")


async def ask_and_block(address: str, block: Callable[[float], None]) -> None:
    """Ask for more than one read of an answer, and be busy until long after the deadline."""
    async with RpcClient.connect(address, config=ROOMY) as client:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            loop.call_later(0.05, block, 0.6)
            call = asyncio.create_task(client.call("answer", timeout=0.3))
            assert len(await call) == LARGE
            stream = client.call_server_streaming("answers", idle_timeout=0.3)
            loop.call_later(0.0, block, 0.6)
            assert [len(item) async for item in stream] == [LARGE] * 3


def test_an_answer_of_several_reads_that_waits_in_the_socket_is_not_late_over_sockets() -> None:
    addresses: list[str] = []
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        server = RpcServer("127.0.0.1:0", config=ROOMY)
        large_answers(server)
        async with server:
            addresses.append(server.address)
            ready.set()
            await asyncio.to_thread(over.wait, 30)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        asyncio.run(ask_and_block(addresses[0], time.sleep))
    finally:
        over.set()
        thread.join(20)


class Machines:
    """A server and a client, each on its own simulated machine."""

    def __init__(self, register: Callable[[RpcServer], None], config: RpcConfig) -> None:
        self.simulation = Simulation(3)
        self.simulation.network.default_link(latency=0.001)
        self.far = self.simulation.add_node("far")
        self.near = self.simulation.add_node("near")
        self.server = RpcServer("0.0.0.0:7000", config=config)
        register(self.server)
        self.far.start(self._serve)

    async def _serve(self) -> None:
        async with self.server:
            await self.server.wait_closed()

    @property
    def address(self) -> str:
        return "far:7000"


def test_an_answer_of_several_reads_that_waits_in_the_socket_is_not_late_in_the_simulator() -> None:
    machines = Machines(large_answers, ROOMY)
    near: Node = machines.near

    def block(seconds: float) -> None:
        near.block(seconds)

    async def main() -> None:
        await asyncio.sleep(0.1)
        await ask_and_block(machines.address, block)

    with machines.simulation as simulation:
        simulation.run_until_complete(near.start(main))


class Noted:
    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.cancelled_at: list[float] = []

    async def count(self, payload: bytes) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.05)
        except asyncio.CancelledError:
            self.cancelled_at.append(loop.time())
            raise

    def register(self, server: RpcServer) -> None:
        server.register_streaming("count", self.count, shape="server_streaming")


@pytest.mark.parametrize(("end", "bound"), [("kill", 0.1), ("stop", 0.1), ("crash", 45.0)])
def test_a_caller_that_dies_has_its_handlers_cancelled(end: str, bound: float) -> None:
    """A killed process is heard of at once; a machine that loses power when the keepalive has found it."""
    noted = Noted()
    machines = Machines(noted.register, RpcConfig(insecure=True))

    async def read() -> None:
        async with RpcClient.connect(machines.address, config=RpcConfig(insecure=True)) as client:
            async for _ in client.call_server_streaming("count"):
                pass

    with machines.simulation as simulation:
        machines.near.start(read, delay=0.1)
        simulation.run(until=2.0)
        assert machines.server.stats.running_handlers == 1
        getattr(machines.near, end)()
        simulation.run(until=2.0 + bound)
        assert len(noted.cancelled_at) == 1
        assert machines.server.stats.running_handlers == 0
        assert machines.server.stats.queued_bytes == 0
        assert machines.server.stats.connections == 0


def test_a_server_that_dies_ends_its_streams_with_a_transport_error() -> None:
    noted = Noted()
    machines = Machines(noted.register, RpcConfig(insecure=True))

    async def read() -> str:
        async with RpcClient.connect(machines.address, config=RpcConfig(insecure=True)) as client:
            with pytest.raises(StreamError.Transport) as caught:
                async for _ in client.call_server_streaming("count"):
                    pass
            assert isinstance(caught.value, ConnectionError)
            return caught.value.cause.code.name

    with machines.simulation as simulation:
        task = machines.near.start(read, delay=0.1)
        simulation.run(until=1.0)
        machines.far.kill()
        assert simulation.run_until_complete(task) == "UNAVAILABLE"


def test_a_client_connects_again_after_its_server_was_restarted() -> None:
    async def echo(payload: bytes) -> bytes:
        return payload

    simulation = Simulation(3)
    far, near = simulation.add_node("far"), simulation.add_node("near")

    async def serve() -> None:
        server = RpcServer("0.0.0.0:7000", config=RpcConfig(insecure=True))
        server.register("echo", echo)
        async with server:
            await server.wait_closed()

    async def call() -> int:
        failed = 0
        config = RpcConfig(insecure=True, connect_timeout=0.5, max_reconnect_backoff=0.5)
        async with RpcClient.connect("far:7000", config=config) as client:
            for _ in range(100):
                try:
                    assert await client.call("echo", b"x", timeout=0.2) == b"x"
                except (Unavailable, DeadlineExceeded):
                    failed += 1
                await asyncio.sleep(0.1)
            assert await client.call("echo", b"y", timeout=5, wait_for_ready=True) == b"y"
        return failed

    with simulation:
        far.start(serve)
        task = near.start(call, delay=0.1)
        simulation.run(until=2.0)
        far.kill()
        simulation.run(until=5.0)
        far.restart()
        failed = simulation.run_until_complete(task)
        assert 0 < failed < 60


def test_calls_that_cross_a_goaway_are_made_again_and_what_runs_goes_on() -> None:
    """A server that stops, and its successor at the same address: no unary call is lost, and none is made twice."""
    config = RpcConfig(insecure=True)
    seen: list[bytes] = []

    async def note(payload: bytes) -> bytes:
        seen.append(payload)
        return payload

    async def count(payload: bytes) -> AsyncIterator[bytes]:
        for number in range(100):
            yield b"%d" % number
            await asyncio.sleep(0.01)

    async def serve() -> None:
        for _ in range(2):
            server = RpcServer("0.0.0.0:7000", config=config)
            server.register("note", note)
            server.register_streaming("count", count, shape="server_streaming")
            await server.start()
            await asyncio.sleep(0.5)
            await server.stop(grace=2.0)

    async def call() -> int:
        async with RpcClient.connect("far:7000", config=config) as client:
            stream = client.call_server_streaming("count")

            async def read() -> int:
                return len([item async for item in stream])

            reading = asyncio.create_task(read())
            calls = []
            for number in range(1000):
                calls.append(asyncio.create_task(client.call("note", b"%d" % number, timeout=5)))
                await asyncio.sleep(0.0007)
            answers = await asyncio.gather(*calls, return_exceptions=True)
            taken = [answer for answer in answers if isinstance(answer, bytes)]
            lost = [answer for answer in answers if not isinstance(answer, bytes)]
            # While the old one drains nobody listens; whoever calls then is told, and was not served.
            assert all(isinstance(error, Unavailable) for error in lost)
            assert sorted(taken) == sorted(seen)
            assert len(taken) > 300
            return await reading

    simulation = Simulation(5)
    simulation.network.default_link(latency=0.003)
    far, near = simulation.add_node("far"), simulation.add_node("near")
    with simulation:
        far.start(serve)
        assert simulation.run_until_complete(near.start(call, delay=0.1)) == 100


def test_resets_are_rationed_and_a_cancelled_handler_counts_until_it_has_ended() -> None:
    config = RpcConfig(insecure=True, max_resets=50, resets_per_second=10.0, max_streams=20)
    running = most = 0

    async def slow_to_end(payload: bytes) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.02)
            running -= 1
        return b""

    async def echo(payload: bytes) -> bytes:
        return payload

    def register(server: RpcServer) -> None:
        server.register("slow", slow_to_end)
        server.register("echo", echo)

    machines = Machines(register, config)

    async def attack() -> int:
        async with RpcClient.connect(machines.address, config=config) as client:
            first = client.stats.connections
            for _ in range(40):
                tasks = [asyncio.create_task(client.call("slow")) for _ in range(30)]
                await asyncio.sleep(0.005)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
            assert await client.call("echo", b"still served", timeout=5) == b"still served"
            return first

    with machines.simulation as simulation:
        assert simulation.run_until_complete(machines.near.start(attack, delay=0.1)) == 1
        assert most <= 40  # the places of one connection, and those of the one before it
        simulation.run(until=simulation.now + 1)
        assert machines.server.stats.running_handlers == 0
