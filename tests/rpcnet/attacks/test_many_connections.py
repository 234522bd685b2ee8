"""Connections that do nothing but be there, in numbers: five thousand, and more than there are descriptors."""

import asyncio
import contextlib
import logging
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from rpcnet import RpcClient, Unavailable
from tests.rpcnet.attacks.raw import GREETING, Target, call, eventually, frame

SPARE = 500
"""Descriptors for all else."""


@contextlib.contextmanager
def soft_limit(descriptors: int) -> Iterator[None]:
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


class Idle(asyncio.Protocol):
    """Greets, and then does nothing."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(GREETING)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        pass


async def open_idle(target: Target, count: int) -> list[asyncio.BaseTransport]:
    host, _, port = target.server.address.rpartition(":")
    loop = asyncio.get_running_loop()
    transports: list[asyncio.BaseTransport] = []
    while len(transports) < count:
        made = await asyncio.gather(
            *(loop.create_connection(Idle, host, int(port)) for _ in range(min(50, count - len(transports))))
        )
        transports += [transport for transport, _ in made]
    return transports


@pytest.mark.parametrize("count", [500, pytest.param(5_000, marks=pytest.mark.slow)])
def test_idle_connections_are_held_and_let_go(count: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = len(os.listdir("/proc/self/fd")) + 2 * count + SPARE
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"both ends of {count} connections take {needed} descriptors; the hard limit is {hard}")

    async def main() -> None:
        async with Target.open() as target:
            transports = await open_idle(target, count)
            await eventually(lambda: target.server.stats.connections == count + 1)
            assert await target.client.call("echo", b"beside them", timeout=30) == b"beside them"
            raw = await target.attacker(GREETING + call(1))
            await raw.read_until(3, 1)
            assert target.server.stats.queued_bytes < 1000
            for transport in transports:
                transport.abort()  # type: ignore[attr-defined]
            await asyncio.sleep(0)

    with soft_limit(needed):
        asyncio.run(main())


def test_a_server_without_descriptors_goes_on_when_it_has_some(caplog: pytest.LogCaptureFixture) -> None:
    """asyncio stops accepting for a second then; whoever is connected is served meanwhile."""

    async def main() -> None:
        async with Target.open() as target:
            host, _, port = target.server.address.rpartition(":")
            crowd = []
            for _ in range(30):
                crowd.append(socket.create_connection((host, int(port))))
                crowd[-1].sendall(GREETING)
            used = len(os.listdir("/proc/self/fd"))
            with soft_limit(used + 5):
                await eventually(lambda: bool(caplog.records))
                assert 1 <= target.server.stats.connections < 1 + len(crowd)
                with pytest.raises(Unavailable, match=r"(?i)too many open files"):
                    await RpcClient.connect(target.server.address)
                assert await target.client.call("echo", b"meanwhile", timeout=30) == b"meanwhile"
                for peer in crowd:
                    peer.close()
                async with asyncio.timeout(30):
                    async with RpcClient.connect(target.server.address) as late:
                        assert await late.call("echo", b"afterwards") == b"afterwards"

    with caplog.at_level(logging.ERROR, "asyncio"):
        asyncio.run(main())
    assert "accept() out of system resource" in caplog.records[0].getMessage()


def test_connections_that_come_and_go_leave_nothing(world) -> None:
    """Half of them go without a word, in the middle of what they say."""

    async def main() -> None:
        async with Target.open() as target:
            for number in range(200):
                raw = await target.attacker((GREETING + call(1, "forever") + frame(77, bytes(20)))[: number * 2])
                if number % 2:
                    raw.writing.close()
                else:
                    await raw.close()
            await eventually(lambda: target.server.stats.connections == 1)

    world.run(main())
