"""What only two machines can show: the other one dies, falls silent, or goes on while this one is blocked."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest

from rpcnet import DeadlineExceeded, RpcClient, RpcConfig, RpcServer, StreamError, Unavailable
from sim import Node, Simulation

LARGE = 1_500_000
ROOMY = RpcConfig(
    insecure=True, stream_window_bytes=16 << 20, connection_window_bytes=32 << 20, max_message_bytes=8 << 20
)


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
        async with RpcClient.connect("far:7000", config=RpcConfig(insecure=True, connect_timeout=0.5)) as client:
            for _ in range(100):
                try:
                    assert await client.call("echo", b"x", timeout=0.2) == b"x"
                except (Unavailable, DeadlineExceeded):
                    failed += 1
                await asyncio.sleep(0.1)
            assert await client.call("echo", b"y", timeout=5) == b"y"
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
