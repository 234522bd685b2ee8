"""The server's TLS handshake: what comes in one piece with its end is not lost, and who goes then leaves nothing."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable

import pytest

from rpcnet import RpcConfig, RpcServer
from rpcnet.client.connection import ClientConnection
from rpcnet.tls import client_context, server_context
from rpcnet.wire import writer
from rpcnet.wire.frame import GOAWAY, HELLO, PING, PONG
from rpcnet.wire.parser import Parser
from tests.rpcnet.certificates import Certificates


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


class InMemory:
    """A client's TLS, whose bytes the test sends when it likes."""

    def __init__(self, context: ssl.SSLContext, server: RpcServer) -> None:
        self._server = server
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    async def connect(self) -> None:
        """Connect and shake hands, up to the last bytes, which are not sent yet."""
        host, port = self._server.address.split(":")
        self._reader, self.writer = await asyncio.open_connection(host, int(port))
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.flush()
                self._incoming.write(await self._reader.read(65536))
            else:
                return

    def write(self, data: bytes) -> None:
        self._tls.write(data)

    async def flush(self) -> None:
        self.writer.write(self._outgoing.read())
        await self.writer.drain()

    async def kinds(self, count: int) -> list[int]:
        """The types of so many frames."""
        parser, found = Parser(2**20), []
        while len(found) < count:
            try:
                data = self._tls.read(65536)
            except ssl.SSLWantReadError:
                self._incoming.write(await self._reader.read(65536))
            else:
                found += [kind for kind, _, _, _ in parser.receive(data)]
        return found


def greeting() -> bytes:
    return writer.greeting(ClientConnection(RpcConfig(), None, "by hand", {})._hello())


def test_what_comes_with_the_end_of_the_handshake_is_heard(world, certificates) -> None:
    async def main() -> None:
        async with RpcServer("127.0.0.1:0", tls=server_context(*certificates.server)) as server:
            client = InMemory(client_context(certificates.ca), server)
            await client.connect()
            client.write(greeting() + writer.ping(PING, b"12345678"))
            client.write(writer.ping(PING, b"87654321"))
            await client.flush()
            assert await client.kinds(3) == [HELLO, PONG, PONG]
            assert server.stats.connections == 1
            client.writer.close()

    world.run(main())


@pytest.mark.parametrize("how", ["reset", "closed"])
def test_a_client_that_goes_with_the_end_of_the_handshake_leaves_nothing(
    world, certificates, eventually: Callable[..., Awaitable[None]], how: str
) -> None:
    async def main() -> None:
        before = asyncio.all_tasks()
        async with RpcServer("127.0.0.1:0", tls=server_context(*certificates.server)) as server:
            for _ in range(10):
                client = InMemory(client_context(certificates.ca), server)
                await client.connect()
                client.write(greeting())
                await client.flush()
                if how == "reset":
                    client.writer.transport.abort()
                else:
                    client.writer.close()
            await eventually(lambda: asyncio.all_tasks() == before)
            await eventually(lambda: not server.stats.connections)

    world.run(main())


def test_a_connection_that_passes_while_the_server_stops_is_closed(world, certificates) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0", tls=server_context(*certificates.server))
        await server.start()
        client = InMemory(client_context(certificates.ca), server)
        await client.connect()
        client.write(greeting())
        await client.flush()
        assert GOAWAY not in await client.kinds(1)
        await server.stop()
        assert server.stats.connections == 0
        client.writer.close()

    world.run(main())


def test_more_handshakes_than_connections_are_cut_off(world, certificates, caplog, eventually) -> None:
    """A peer that connects and says nothing costs a task and a descriptor for handshake_timeout."""

    async def main() -> None:
        config = RpcConfig(max_connections=2)
        async with RpcServer("127.0.0.1:0", tls=server_context(*certificates.server), config=config) as server:
            host, port = server.address.split(":")
            silent = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
            await eventually(lambda: len(server._doors.tasks) == 2)
            for _ in range(3):
                reader, writer = await asyncio.open_connection(host, int(port))
                async with asyncio.timeout(5):
                    with contextlib.suppress(ConnectionError):
                        assert await reader.read() == b""
                writer.close()
            assert server.stats.refused_connections == 3
            assert len(server._doors.tasks) == 2
            for _, writer in silent:
                writer.close()
            await eventually(lambda: not server._doors.tasks)
            client = InMemory(client_context(certificates.ca), server)
            await client.connect()
            client.write(greeting())
            await client.flush()
            assert await client.kinds(1) == [HELLO]
            client.writer.close()

    with caplog.at_level(logging.WARNING, "rpcnet"):
        world.run(main())
    told = [record.getMessage() for record in caplog.records if "max_connections" in record.getMessage()]
    assert len(told) == 1
    assert told[0].endswith("max_connections (2), as so many TLS handshakes are under way")
