"""An attacker: a peer that writes the wire by hand, against a server with a bystander.

`Target` is the server that is attacked. While it is, a bystander calls it over a connection of its own all the time;
at the end no call of the bystander may have failed, and nothing of the attacker may be left at the server.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import pytest
from msgspec.structs import asdict, replace

from rpcnet import RpcClient, RpcConfig, RpcServer
from rpcnet.wire import writer
from rpcnet.wire.frame import FLAG_END, FLAG_ITEM, GOAWAY, HEADER, SHAPES, Frame, Hello, decode_goaway
from rpcnet.wire.parser import Parser

__all__ = [
    "CONFIG",
    "GREETING",
    "HELLO",
    "Raw",
    "Target",
    "asdict",
    "call",
    "eventually",
    "frame",
    "replace",
    "warnings_of",
]

HELLO = Hello(
    max_message_bytes=1 << 20,
    max_frame_bytes=1 << 17,
    max_metadata_bytes=1000,
    max_streams=10,
    stream_window_bytes=1 << 16,
    connection_window_bytes=1 << 20,
    connection="hostile",
)
GREETING = writer.greeting(HELLO)
CONFIG = RpcConfig(handshake_timeout=0.3, connection_window_bytes=1 << 17, stream_window_bytes=1 << 14, max_streams=5)
PATIENCE = 30.0
"""Seconds after which a test gives up; nothing that works comes near them."""
PAUSE = 0.005
METHODS = {"echo": 0, "forever": 0, "hear": 1, "count": 2, "chat": 3}
"""What a target serves, and the shapes."""


def frame(kind: int, payload: bytes = b"", stream: int = 0, flags: int = 0) -> bytes:
    return HEADER.pack(len(payload), kind, flags, stream) + payload


def call(number: int, method: str = "echo", flags: int = FLAG_ITEM | FLAG_END, body: bytes = b"x") -> bytes:
    """The OPEN of a call."""
    return writer.open_call(number, flags, METHODS.get(method, 0), method.encode(), b"", 0, body)


async def echo(payload: bytes) -> bytes:
    return payload


async def forever(payload: bytes) -> bytes:
    await asyncio.Event().wait()
    return payload


async def hear(items: AsyncIterator[bytes]) -> bytes:
    await asyncio.Event().wait()
    return b""


async def count(payload: bytes) -> AsyncIterator[bytes]:
    """Items of a kilobyte without end."""
    while True:
        yield bytes(1000)


async def chat(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for item in items:
        yield item


async def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        assert loop.time() < end, f"did not come true within {seconds} s"
        await asyncio.sleep(0.001)


def warnings_of(caplog: pytest.LogCaptureFixture, text: str = "") -> list[str]:
    """What rpcnet has warned of."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "rpcnet" and record.levelno >= logging.WARNING and text in record.getMessage()
    ]


class Raw:
    """One connection of an attacker."""

    def __init__(self, reader: asyncio.StreamReader, writing: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writing = writing
        self.parser = Parser(1 << 24)
        self.frames: list[Frame] = []
        self.was_reset = False

    @classmethod
    async def connect(cls, address: str, opening: bytes = GREETING, **options: Any) -> Self:
        host, _, port = address.rpartition(":")
        raw = cls(*await asyncio.open_connection(host, int(port), **options))
        raw.send(opening)
        return raw

    def send(self, data: bytes) -> None:
        self.writing.write(data)

    async def drain(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self.writing.drain()

    async def read_some(self) -> bool:
        """Read what comes next into `frames`; False at the end."""
        try:
            data = await self.reader.read(1 << 16)
        except ConnectionError:
            self.was_reset = True
            return False
        self.frames += self.parser.receive(data)
        return bool(data)

    async def read_to_the_end(self) -> list[Frame]:
        """Every frame until the server hangs up."""
        async with asyncio.timeout(PATIENCE):
            while await self.read_some():
                pass
        return self.frames

    async def read_until(self, kind: int, stream: int = 0) -> Frame:
        """Read until a frame of this kind has come for this stream."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for found in self.frames:
                    if (found[0], found[2]) == (kind, stream):
                        return found
                assert await self.read_some(), f"the connection ended before frame {kind} of stream {stream}"

    async def farewell(self) -> tuple[int, int, str]:
        """The GOAWAY with which the server hangs up."""
        frames = await self.read_to_the_end()
        assert not self.was_reset
        assert frames and frames[-1][0] == GOAWAY, frames[-3:]
        return decode_goaway(frames[-1][3])

    async def close(self) -> None:
        self.writing.transport.abort()
        with contextlib.suppress(ConnectionError):
            await self.writing.wait_closed()


class Target:
    """The server, the bystander's client, and what must be true of both."""

    def __init__(self, server: RpcServer, client: RpcClient) -> None:
        self.server = server
        self.client = client
        self.most_queued = 0
        self._raws: list[Raw] = []
        self._answered = 0
        self._task: asyncio.Task[None] | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        config: RpcConfig = CONFIG,
        tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
        pause: float = PAUSE,
    ) -> AsyncIterator["Target"]:
        """`tls` are the contexts of the server and of the bystander, who calls every `pause` seconds."""
        before = asyncio.all_tasks()
        server = RpcServer("127.0.0.1:0", config=config, tls=tls[0] if tls else None)
        server.register("echo", echo)
        server.register("forever", forever)
        for handler in (hear, count, chat):
            server.register_streaming(handler.__name__, handler, shape=SHAPES[METHODS[handler.__name__]])
        async with server:
            async with RpcClient.connect(server.address, tls=tls[1] if tls else None) as client:
                target = cls(server, client)
                target._task = asyncio.create_task(target._stand_by(pause))
                try:
                    yield target
                finally:
                    for raw in target._raws:
                        await raw.close()
                await target._unharmed()
        left = asyncio.all_tasks() - before
        assert not left, f"tasks are left: {left}"

    async def _stand_by(self, pause: float) -> None:
        """Call without end; a call that fails ends the test."""
        while True:
            assert await self.client.call("echo", b"%d" % self._answered, timeout=PATIENCE) == b"%d" % self._answered
            self._answered += 1
            self.most_queued = max(self.most_queued, self.server.stats.queued_bytes)
            await asyncio.sleep(pause)

    async def _unharmed(self) -> None:
        assert self._task is not None
        answered = self._answered
        await eventually(lambda: self._answered > answered + 3 or self._task is None or self._task.done())
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()
        await eventually(lambda: self.server.stats.connections == 1)
        stats = self.server.stats
        assert (stats.running_handlers, stats.open_streams, stats.queued_bytes) == (0, 0, 0)

    async def attacker(self, opening: bytes = GREETING, **options: Any) -> Raw:
        """One more connection; it is cut when the test is over."""
        raw = await Raw.connect(self.server.address, opening, **options)
        self._raws.append(raw)
        return raw
