"""Twins: a program written once, run over real sockets and in the simulator; what it logs must be equal.

Linux is the judge: what it does is what is right. A log has a list of events for each actor, as the two ends of a
connection may take turns in any order; what one of them sees is the same each time. All run in debug mode as well.
"""

import asyncio
import functools
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from typing import Any

import trustme

import sim

BOUND = 20.0
A_MOMENT = 0.005
"""Long enough for what is under way over loopback."""

Program = Callable[["Log"], Awaitable[None]]


class Log:
    """What happened, by actor. Exceptions are written as their class and errno."""

    def __init__(self) -> None:
        self.events: dict[str, list[Any]] = {}

    def __call__(self, who: str, *what: Any) -> None:
        self.events.setdefault(who, []).append(tuple(_plain(each) for each in what))

    async def attempt(self, who: str, what: str, awaitable: Awaitable[Any]) -> Any:
        """Log how it ends; returns its value or None."""
        try:
            result = await awaitable
        except (Exception, asyncio.CancelledError) as error:
            self(who, what, error)
            return None
        self(who, what, "ok")
        return result

    def call(self, who: str, what: str, function: Callable[..., Any], *args: Any) -> Any:
        try:
            result = function(*args)
        except Exception as error:
            self(who, what, error)
            return None
        self(who, what, "ok")
        return result


def _plain(value: Any) -> Any:
    if isinstance(value, BaseException):
        number = getattr(value, "errno", None) if isinstance(value, OSError) else None
        return (type(value).__name__, number)
    return value


def twin(program: Program) -> Callable[[], None]:
    """Make a test of a program: both logs are equal, and hold something."""

    @functools.wraps(program)
    def test() -> None:
        for debug in (False, True):
            logs = []
            for run in (asyncio.run, sim.run):
                log = Log()
                run(_bounded(program, log), debug=debug)
                logs.append(log.events)
            assert logs[0], "the program logs nothing"
            _compare(*logs)

    del test.__wrapped__  # type: ignore[attr-defined]  # else pytest takes `log` for a fixture
    return test


def _compare(real: dict[str, Any], simulated: dict[str, Any]) -> None:
    differences = [
        f"{who}:\n  real      {real.get(who)}\n  simulated {simulated.get(who)}"
        for who in real | simulated
        if real.get(who) != simulated.get(who)
    ]
    assert not differences, "\n".join(differences)


async def _bounded(program: Program, log: Log) -> None:
    async with asyncio.timeout(BOUND):
        await program(log)


async def moment() -> None:
    await asyncio.sleep(A_MOMENT)


class Peer(asyncio.Protocol):
    """Logs what a transport tells it; bytes are counted, as chunks differ from run to run."""

    def __init__(self, log: Log, name: str, keep_open: bool = False) -> None:
        self.log = functools.partial(log, name)
        self.name = name
        self.keep_open = keep_open
        self.data = bytearray()
        self.transport: Any = None
        self.made = asyncio.Event()
        self.ended = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.log("made")
        self.made.set()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.log("eof after", len(self.data))
        self.ended.set()
        return self.keep_open

    def connection_lost(self, error: Exception | None) -> None:
        self.log("lost after", len(self.data), error)
        self.lost.set()

    def pause_writing(self) -> None:
        self.log("pause")

    def resume_writing(self) -> None:
        self.log("resume")

    async def received(self, count: int) -> None:
        while len(self.data) < count:  # noqa: ASYNC110 - the protocols under test need no events
            await asyncio.sleep(0.0005)


class Pair:
    """A client and a server that are connected: `async with Pair(log) as (client, server)`."""

    def __init__(self, log: Log, *, keep_open: bool = False, **tls: Any) -> None:
        self.log, self.keep_open = log, keep_open
        self.server: asyncio.Server | None = None
        self.tls = tls

    async def __aenter__(self) -> tuple[Any, Any]:
        loop = asyncio.get_running_loop()
        accepted: asyncio.Future[Peer] = loop.create_future()

        def accept() -> Peer:
            peer = Peer(self.log, "server", self.keep_open)
            accepted.set_result(peer)
            return peer

        self.server = await loop.create_server(accept, "127.0.0.1", 0, ssl=self.tls.get("server"))
        port = self.server.sockets[0].getsockname()[1]
        options = {"ssl": self.tls["client"], "server_hostname": "localhost"} if self.tls else {}
        _, client = await loop.create_connection(
            lambda: Peer(self.log, "client", self.keep_open), "127.0.0.1", port, **options
        )
        self.ends = client, await accepted
        await self.ends[1].made.wait()
        return self.ends

    async def __aexit__(self, *_: object) -> None:
        assert self.server is not None
        self.server.close()
        for end in self.ends:
            if not end.lost.is_set():
                end.transport.abort()
        for end in self.ends:
            await end.lost.wait()
        await moment()


@functools.cache
def certificates() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's context for "localhost"."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def unix_path() -> str:
    """A path for a socket, of a directory of its own; in the simulation no file is made there."""
    return os.path.join(tempfile.mkdtemp(prefix="twin-"), "socket")
