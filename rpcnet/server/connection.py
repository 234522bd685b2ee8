"""The server's end of a connection: which calls it takes, and how many handlers run.

A call counts as a running handler from its OPEN until its handler has really ended. Knows no listening socket
(server/server.py), and nothing of what happens inside a call (server/call.py).

Tests: tests/rpcnet/test_server.py and tests/rpcnet/attacks/.
"""

import asyncio
import logging
import math
from typing import Final, cast

from rpcnet.config import RpcConfig
from rpcnet.connection import Connection
from rpcnet.errors import ProtocolError, Status, Unavailable
from rpcnet.flow.credit import beyond_credit
from rpcnet.flow.deadline import at
from rpcnet.flow.ration import Ration
from rpcnet.flow.state import FIRST
from rpcnet.idle import IdleClock
from rpcnet.observe import Observer
from rpcnet.server.call import ServedCall
from rpcnet.server.ending import Limits, fitting
from rpcnet.server.handlers import Handlers
from rpcnet.service import Method
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    ARGUMENTS,
    BIDIRECTIONAL,
    CANCEL,
    FLAG_ITEM,
    ITEM,
    ITEM_COST,
    OPEN,
    SHAPES,
    decode_open,
)

__all__ = ["ServerConnection"]

_log = logging.getLogger("rpcnet")

MAX_TURNED_AWAY: Final = 100
"""Connections beyond max_connections that stay open, for a second at most, so that their clients can read why they are
closed. More are cut without a word."""


class ServerConnection(Connection):
    """A connection that a server accepted."""

    side = "server"

    __slots__ = ("_all", "_idle", "_last_served", "_resets", "_warned", "calls", "handlers", "last", "watched")

    def __init__(
        self,
        config: RpcConfig,
        observer: Observer | None,
        handlers: Handlers,
        connections: "dict[ServerConnection, None]",
    ) -> None:
        super().__init__(config, observer)
        self.handlers = handlers
        self._all = connections
        self.calls: dict[int, ServedCall] = {}
        self.last = 0
        self._warned = False
        self._last_served: int | None = None
        """What our GOAWAY said; None before it."""
        self.watched = False
        """Whether it matters that its last call has ended."""
        self._idle: IdleClock | None = None
        self._resets = Ration(config.max_resets, config.resets_per_second, self.loop.time())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.handlers.draining:
            # Accepted by the listener in the turn in which it was closed.
            self.closed = True
            cast("asyncio.Transport", transport).abort()
            return
        if len(self._all) >= self.config.max_connections:
            self._turn_away(transport)
            return
        self._all[self] = None
        super().connection_made(transport)

    def _turn_away(self, transport: asyncio.BaseTransport) -> None:
        """One connection too many: tell its client why, and close it."""
        limit = f"max_connections ({self.config.max_connections})"
        handlers = self.handlers
        if len(handlers.turned_away) < MAX_TURNED_AWAY:
            handlers.turned_away[self] = None
            super().connection_made(transport)
            text = f"{limit} are open at this server; connect again later, or to another server"
            self.say_goaway(Status.RESOURCE_EXHAUSTED, text)
            self.part(text)
        else:
            self.closed = True
            cast("asyncio.Transport", transport).abort()
        handlers.refusals.connection(limit, self.peer, self.loop.time())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._all.pop(self, None)
        self.handlers.turned_away.pop(self, None)

    def read_untold(self) -> int:
        return sum(call.read_untold for call in self.calls.values())

    def calls_at_once(self) -> int:
        return self.config.max_streams

    def last_stream(self) -> int:
        return self.last if self._last_served is None else self._last_served

    def opened(self) -> None:
        seconds = self.config.max_idle_seconds
        if seconds is not None and not self.closed and seconds < math.inf:
            self._idle = IdleClock(seconds, self.judge, self._close_idle)
            self.watched = True

    def _close_idle(self) -> bool:
        """No calls for max_idle_seconds: close in order, so that a call that is on its way is made again."""
        if self.calls:
            return False
        if not self.closed:
            self.say_goaway(Status.OK, f"no calls for max_idle_seconds ({self.config.max_idle_seconds:g} s)")
            self._close_if_done()
        return True

    def gone(self, error: Unavailable) -> None:
        if self._idle is not None:
            self._idle.stop()
            self._idle = None
        for call in list(self.calls.values()):
            call.cancel(Status.CANCELLED)

    def say_goaway(self, status: int, text: str) -> None:
        """Take no more calls on this connection."""
        if self._last_served is None:
            self._last_served = self.last
            self.watched = True
            self.write(writer.goaway(self.last, status, text))

    def went_away(self, last: int, status: int, text: str) -> None:
        """A client's GOAWAY: it opens no more calls. With a status it is over, and its calls with it."""
        if status:
            self.close(f"the client closed it: {text}")

    def stream_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        call = self.calls.get(stream)
        if call is not None:
            call.frame(kind, flags, payload)
            if kind == CANCEL and not self._resets.take(self.loop.time()):
                self._ration_resets()
        elif kind == OPEN:
            self._open(flags, stream, payload)
        elif stream > self.last:
            raise ProtocolError(f"a frame came for stream {stream}, which was not opened")
        elif kind == ITEM:
            # Sent before the caller saw our END: legal, goes nowhere, and its credit is returned.
            cost = len(payload) + ITEM_COST
            self.receive_credit.charge(cost)
            self.release(cost)

    def _ration_resets(self) -> None:
        if self._last_served is None:
            limit = self.config.max_resets
            _log.warning("server connection %s: no new calls: more than max_resets (%d) cancelled", self.peer, limit)
            self.say_goaway(Status.RESOURCE_EXHAUSTED, f"more than max_resets ({limit}) calls were cancelled")
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._last_served is not None and not self.calls and not self.handlers.draining:
            self.part("its calls are done after GOAWAY")

    def _open(self, flags: int, stream: int, payload: bytes) -> None:
        if stream <= self.last:
            raise ProtocolError(f"OPEN of stream {stream} after stream {self.last}; numbers only grow")
        state = FIRST.get(flags)
        if state is None:
            raise ProtocolError(f"OPEN with flags {flags}")
        self.last = stream
        shape, name, metadata, micros, body = decode_open(payload, self.config.max_metadata_bytes)
        if flags & FLAG_ITEM:
            cost = len(body) + ITEM_COST
            self.receive_credit.charge(cost)
            window = self.config.stream_window_bytes
            if cost > window:
                raise beyond_credit(cost, window, window)
        elif body:
            raise ProtocolError(f"OPEN has {len(body)} bytes for a message, but flag ITEM is not set")
        if self._last_served is not None:
            # Sent before the caller saw our GOAWAY, which is the answer.
            if flags & FLAG_ITEM:
                self.release(len(body) + ITEM_COST)
            return
        has_arguments = shape > BIDIRECTIONAL
        if has_arguments:
            shape -= ARGUMENTS
        method = self.handlers.methods.get(name) or self.handlers.builtins(name)
        refusal = self._refusal(method, name, shape, has_arguments)
        if refusal is not None or method is None:
            if flags & FLAG_ITEM:
                self.release(len(body) + ITEM_COST)
            status, text = refusal or (Status.UNIMPLEMENTED, "")
            assert self.peer_hello is not None
            limits = Limits(self.peer_hello.max_frame_bytes, self.peer_hello.max_metadata_bytes)
            self.write(writer.end(stream, fitting(status, text, b"", {}, limits)))
            return
        now = self.loop.time()
        deadline = at(micros, now) if micros else None
        call = ServedCall(self, self.handlers, method, shape, metadata, deadline, state)
        call.attach(self, stream)
        if has_arguments:
            call.awaits_arguments = True
        self.calls[stream] = call
        handlers = self.handlers
        handlers.calls[call] = None
        if handlers.limits:
            handlers.begun(name)
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

    def _refusal(self, method: Method | None, name: str, shape: int, has_arguments: bool) -> tuple[int, str] | None:
        if method is None:
            return Status.UNIMPLEMENTED, f"no method {name!r} is registered"
        if method.shape != shape:
            return Status.UNIMPLEMENTED, f"method {name!r} is {SHAPES[method.shape]}, it was called as {SHAPES[shape]}"
        if has_arguments and method.decode is None:
            return Status.UNIMPLEMENTED, f"method {name!r} takes bytes; it takes no arguments beside its stream"
        limit = self.config.max_streams
        if len(self.calls) >= limit:
            if not self._warned:
                self._warned = True  # once: a client that keeps to HELLO never comes here
                _log.warning("server connection %s: calls are refused: max_streams (%d) handlers run", self.peer, limit)
            return (
                Status.RESOURCE_EXHAUSTED,
                f"max_streams ({limit}) handlers run on this connection; open another or wait",
            )
        handlers = self.handlers
        if len(handlers.calls) >= handlers.max_handlers or handlers.limits:
            full = handlers.full(name)
            if full is not None:
                handlers.refusals.call(full, self.peer, self.loop.time())
                return (
                    Status.RESOURCE_EXHAUSTED,
                    f"{full} handlers run at this server; call again later, or another server",
                )
        return None

    def forget(self, number: int) -> None:
        call, handlers = self.calls.pop(number), self.handlers
        if handlers.limits:
            handlers.ended(call.method)
        handlers.done(call)
        if self.watched and not self.calls:
            self._close_if_done()
            if self._idle is not None:
                self._idle.restart()
