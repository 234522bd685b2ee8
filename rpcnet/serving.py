"""The server's end of a connection: which calls it takes, and how many handlers run.

A call counts as a running handler from its OPEN until its handler has really ended. Knows no listening socket
(server.py), and nothing of what happens inside a call (handler.py).
"""

import asyncio
from collections.abc import Callable
from random import Random

from rpcnet.calls.deadline import at
from rpcnet.calls.state import FIRST
from rpcnet.config import RpcConfig
from rpcnet.connection import Connection
from rpcnet.errors import ProtocolError, Status, Unavailable
from rpcnet.handler import Method, ServedCall
from rpcnet.observe import Observer
from rpcnet.wire import writer
from rpcnet.wire.frame import FLAG_ITEM, ITEM, ITEM_COST, OPEN, SHAPES, Ending, decode_open

__all__ = ["Handlers", "ServerConnection"]


class Handlers:
    """What all connections of a server share: its methods, and how many handlers run."""

    __slots__ = ("connections", "draining", "expose_errors", "idle", "methods", "random", "running", "wall_clock")

    def __init__(self, config: RpcConfig, random: Random, wall_clock: Callable[[], float] | None) -> None:
        self.methods: dict[str, Method] = {}
        self.connections: dict[ServerConnection, None] = {}
        self.running = 0
        self.draining = False
        self.idle: asyncio.Future[None] | None = None
        """Resolved when no handler runs, where somebody waits for it."""
        self.expose_errors = config.expose_errors
        self.random = random
        self.wall_clock = wall_clock

    def done(self) -> None:
        self.running -= 1
        if not self.running and self.idle is not None and not self.idle.done():
            self.idle.set_result(None)


class ServerConnection(Connection):
    """A connection that a server accepted."""

    side = "server"

    __slots__ = ("calls", "handlers", "last")

    def __init__(self, config: RpcConfig, observer: Observer | None, handlers: Handlers) -> None:
        super().__init__(config, observer)
        self.handlers = handlers
        self.calls: dict[int, ServedCall] = {}
        self.last = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.handlers.connections[self] = None
        super().connection_made(transport)

    def gone(self, error: Unavailable) -> None:
        self.handlers.connections.pop(self, None)
        for call in list(self.calls.values()):
            call.cancel(Status.CANCELLED)

    def stream_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        call = self.calls.get(stream)
        if call is not None:
            call.frame(kind, flags, payload)
        elif kind == OPEN:
            self._open(flags, stream, payload)
        elif stream > self.last:
            raise ProtocolError(f"a frame came for stream {stream}, which was not opened")
        elif kind == ITEM:
            # Sent before the caller saw our END: legal, goes nowhere, and its credit is returned.
            cost = len(payload) + ITEM_COST
            self.receive_credit.charge(cost)
            self.release(cost)

    def _open(self, flags: int, stream: int, payload: bytes) -> None:
        if stream <= self.last:
            raise ProtocolError(f"OPEN of stream {stream} after stream {self.last}; numbers only grow")
        state = FIRST.get(flags)
        if state is None:
            raise ProtocolError(f"OPEN with flags {flags}")
        self.last = stream
        shape, name, metadata, micros, body = decode_open(payload, self.config.max_metadata_bytes)
        if flags & FLAG_ITEM:
            self.receive_credit.charge(len(body) + ITEM_COST)
        method = self.handlers.methods.get(name)
        refusal = self._refusal(method, name, shape)
        if refusal is not None or method is None:
            if flags & FLAG_ITEM:
                self.release(len(body) + ITEM_COST)
            status, text = refusal or (Status.UNIMPLEMENTED, "")
            self.write(writer.end(stream, Ending(status, text)))
            return
        now = self.loop.time()
        call = ServedCall(self, method, shape, metadata, at(micros, now), state)
        call.attach(self, stream)
        self.calls[stream] = call
        self.handlers.running += 1
        if self.observer is not None:
            self.observer.record(
                "handler_started",
                connection=self.name,
                stream=stream,
                method=name,
                shape=SHAPES[shape],
                peer=self.peer,
            )
        call.opened(now, flags, body)

    def _refusal(self, method: Method | None, name: str, shape: int) -> tuple[int, str] | None:
        if self.handlers.draining:
            return Status.UNAVAILABLE, "the server is going away"
        if method is None:
            return Status.UNIMPLEMENTED, f"no method {name!r} is registered"
        if method.shape != shape:
            return Status.UNIMPLEMENTED, f"method {name!r} is {SHAPES[method.shape]}, it was called as {SHAPES[shape]}"
        if len(self.calls) >= self.config.max_streams:
            return (
                Status.RESOURCE_EXHAUSTED,
                f"max_streams ({self.config.max_streams}) handlers run on this connection; open another or wait",
            )
        return None

    def forget(self, call: "ServedCall") -> None:
        del self.calls[call.number]
        self.handlers.done()
