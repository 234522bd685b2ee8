"""One connection, as both ends see it: greeting, frames in, frames out, credit, ping, farewell.

The shell of wire.parser, wire.writer and flow.credit over a transport of the running loop. Knows no method and no
handler: frames of streams go to `stream_frame`, which client/ and server/ supply. Replies resolve their futures
straight in `data_received`; a deadline is a timer that asks `judge` for patience before it condemns (rule 6 of the
design).

The first frame of a loop turn is written at once, the others of that turn leave joined in one more write (`write`).
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from rpcnet.config import RpcConfig
from rpcnet.errors import ProtocolError, Status, Unavailable
from rpcnet.flow.credit import ReceiveCredit, granted
from rpcnet.flow.deadline import Patience
from rpcnet.line import Line
from rpcnet.observe import Observer
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    CREDIT,
    GOAWAY,
    HELLO,
    MAX_METHOD_BYTES,
    NAMES,
    PING,
    PONG,
    Hello,
    decode_goaway,
    decode_hello,
    decode_number,
)
from rpcnet.wire.parser import Parser

__all__ = ["ALPN", "Connection"]

ALPN = "rpcnet/1"
_log = logging.getLogger("rpcnet")

LINGER = 1.0
"""Seconds that a closed connection may take to send what it has; then it is aborted."""
MAX_UNREAD_BYTES = 1024 * 1024
"""Control frames that a peer makes us send and does not read; beyond it the connection is aborted. Items wait."""
JOIN_BYTES = 64 * 1024
"""Joined frames are written as soon as they are this many bytes: the transport's own mark for pausing us."""
PING_BYTES = 8
TURN = 0.0001
"""Frames written within so many seconds of one that was written at once count as of the same turn. asyncio does not
tell its turns apart; a callback that looked for the next would cost each call a select at both ends."""
NEVER = float("-inf")
CLOCK_STEP = 1e-6
"""Seconds: a timer may fire up to the clock's resolution early, and would else be set again for the same moment."""


class Connection(asyncio.Protocol):
    """What client and server connections share."""

    side = ""

    __slots__ = (
        "_close_reason",
        "_flushing",
        "_keepalive",
        "_linger",
        "_out",
        "_out_bytes",
        "_paused",
        "_pinged",
        "_pong",
        "_unread",
        "_wrote_at",
        "closed",
        "config",
        "credit",
        "greeted",
        "heard_at",
        "loop",
        "lost",
        "name",
        "observer",
        "parser",
        "part_room",
        "peer",
        "peer_hello",
        "reads",
        "receive_credit",
        "room",
        "transport",
        "worthwhile",
        "writers",
    )

    def __init__(self, config: RpcConfig, observer: Observer | None) -> None:
        self.config = config
        self.observer = observer
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.parser = Parser(config.part_bytes + config.max_metadata_bytes + MAX_METHOD_BYTES + 64)
        self.peer = ""
        self.name = ""
        self.peer_hello: Hello | None = None
        self.greeted: asyncio.Future[None] = self.loop.create_future()
        self.lost: asyncio.Future[None] = self.loop.create_future()
        self.closed = False
        self.reads = 0
        self.heard_at = self.loop.time()
        self.credit = 0
        self.receive_credit = ReceiveCredit(config.connection_window, config.stream_window_bytes // 2)
        self.room = 0
        """Bytes of the largest message that goes to this peer in one frame."""
        self.part_room = 0
        """Bytes of the largest part of a message."""
        self.worthwhile = 0
        """Bytes of a part that a sender waits for; it must never need more than half of a window (flow/credit.py)."""
        self.writers = Line()
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._flushing = False
        self._wrote_at = NEVER
        self._paused = False
        self._unread = 0
        self._pong: bytes | None = None
        self._pinged: int | None = None
        """What `reads` was when a ping was sent."""
        self._close_reason = ""
        self._keepalive: asyncio.TimerHandle | None = None
        self._linger: asyncio.TimerHandle | None = None

    # Supplied by the two sides.

    def stream_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """A frame of a stream has come."""
        raise AssertionError("supplied by the two ends")

    def forget(self, number: int) -> None:
        """A call of this connection is over at both ends: its place is free."""
        raise AssertionError("supplied by the two ends")

    def all_read(self) -> None:
        """A call that was over with unread items has none any more."""

    def opened(self) -> None:
        """The peer's HELLO was good."""

    def gone(self, error: Unavailable) -> None:
        """The connection is over: end every call."""

    def went_away(self, last: int, status: int, text: str) -> None:
        """The peer sent GOAWAY."""

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self.transport = stream = cast("asyncio.Transport", transport)
        self.peer = _text(transport.get_extra_info("peername"))
        ssl_object = transport.get_extra_info("ssl_object")
        if ssl_object is not None and ssl_object.version() != "TLSv1.3":
            self._condemn(ProtocolError(f"{ssl_object.version()} was agreed on; rpcnet takes TLSv1.3"))
            return
        stream.write(writer.greeting(self._hello()))
        self._keepalive = self.loop.call_later(self.config.handshake_timeout, self._greeting_due)

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        self.heard_at = self.loop.time()
        self._wrote_at = NEVER  # what was read begins a turn
        parser = self.parser
        try:
            for kind, flags, stream, payload in parser.receive(data):
                if self.closed:
                    return
                if stream and self.peer_hello is not None:
                    self.stream_frame(kind, flags, stream, payload)
                else:
                    self._connection_frame(kind, stream, payload)
            if parser.error is not None:
                raise parser.error
        except ProtocolError as error:
            self._condemn(error)

    def eof_received(self) -> None:
        self._close_reason = self._close_reason or "the peer closed it"

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._unread = 0
        if self._pong is not None:
            token, self._pong = self._pong, None
            self.write(writer.ping(PONG, token))
        self.writers.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        for timer in (self._keepalive, self._linger):
            if timer is not None:
                timer.cancel()
        self._out.clear()
        self._out_bytes = 0
        reason = self._close_reason or (str(exc) if exc is not None else "it was closed") or type(exc).__name__
        error = Unavailable(f"connection to {self.peer or 'the peer'} is over: {reason}")
        if not self.greeted.done():
            self.greeted.set_exception(error)
            self.greeted.exception()  # whoever waits sees it; nobody waiting is no mistake
        self.gone(error)
        if self.peer_hello is not None and self.observer is not None:
            self.observer.record(
                "connection_closed", connection=self.name, peer=self.peer, side=self.side, reason=reason
            )
        if not self.lost.done():
            self.lost.set_result(None)

    # Writing.

    def write(self, frame: bytes) -> None:
        """Send one frame: the first of a turn at once, the others of that turn joined."""
        if self.closed:
            return
        if self._paused:
            self._unread += len(frame)
            if self._unread > MAX_UNREAD_BYTES:
                self.abort(f"the peer does not read what it asks for ({MAX_UNREAD_BYTES} bytes are waiting)")
                return
        if not self._flushing:
            now = self.loop.time()
            if now - self._wrote_at > TURN:
                self._wrote_at = now
                assert self.transport is not None
                self.transport.write(frame)
                return
            self._flushing = True
            self.loop.call_soon(self._flush)
        self._out.append(frame)
        self._out_bytes += len(frame)
        if self._out_bytes >= JOIN_BYTES:
            self._put_joined()

    def _flush(self) -> None:
        self._flushing = False
        if self._out and not self.closed:
            self._wrote_at = self.loop.time()
            self._put_joined()

    def _put_joined(self) -> None:
        assert self.transport is not None
        data = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        self.transport.write(data)

    @property
    def queued_bytes(self) -> int:
        """Bytes in memory on behalf of this connection, in both directions."""
        waiting = self.transport.get_write_buffer_size() if self.transport is not None and not self.closed else 0
        return self._out_bytes + waiting + self.receive_credit.held

    def may_write(self, cost: int) -> bool:
        """Whether an item of this cost may be written now, before anybody who waits."""
        return cost <= self.credit and not self._paused and not self.writers

    def can_take(self, cost: int) -> bool:
        """Whether an item of this cost may be written now by the first in the line of writers."""
        return cost <= self.credit and not self._paused

    # Credit of the whole connection.

    def release(self, cost: int) -> None:
        """Bytes of some stream were read or thrown away."""
        amount = self.receive_credit.release(cost, self.loop.time)
        if amount:
            self.write(writer.credit(0, amount))

    # Judging timers.

    def judge(self, verdict: Callable[[], None]) -> None:
        """A timer has fired: call `verdict` once what has already arrived has been read."""
        now = self.loop.time()
        self.loop.call_soon(self._judge, Patience(self.reads, now, self.config.late_timer_grace), verdict)

    def _judge(self, patience: Patience, verdict: Callable[[], None]) -> None:
        if self.closed or patience.is_over(self.reads, self.loop.time()):
            verdict()
        else:
            self.loop.call_soon(self._judge, patience, verdict)

    # Frames of the connection itself.

    def _connection_frame(self, kind: int, stream: int, payload: bytes) -> None:
        if self.peer_hello is None:
            if kind != HELLO or stream:
                raise ProtocolError(f"peer sent {NAMES[kind]} before HELLO")
            self._greet(decode_hello(payload))
        elif kind == CREDIT:
            self.credit = granted(self.credit, decode_number(payload))
            self.writers.wake()
        elif kind == PING:
            if len(payload) != PING_BYTES:
                raise ProtocolError(f"PING has {len(payload)} bytes of payload instead of {PING_BYTES}")
            if self._paused:
                self._pong = payload  # one is remembered, whatever comes: a flood of pings fills no buffer
            else:
                self.write(writer.ping(PONG, payload))
        elif kind == GOAWAY:
            self.went_away(*decode_goaway(payload))
        elif kind != PONG:
            raise ProtocolError(f"{NAMES[kind]} is not allowed on the connection itself")

    def _hello(self) -> Hello:
        config = self.config
        return Hello(
            connection=self.name,
            max_message_bytes=config.max_message_bytes,
            max_frame_bytes=self.parser.max_frame_bytes,
            max_metadata_bytes=config.max_metadata_bytes,
            max_streams=config.max_streams,
            stream_window_bytes=config.stream_window_bytes,
            connection_window_bytes=config.connection_window,
        )

    def _greet(self, hello: Hello) -> None:
        self.peer_hello = hello
        self.credit = hello.connection_window_bytes
        self.part_room = min(self.config.part_bytes, hello.max_frame_bytes)
        self.room = min(self.part_room, hello.max_message_bytes)
        self.worthwhile = min(self.part_room, hello.stream_window_bytes // 4, hello.connection_window_bytes // 4)
        self.name = self.name or hello.connection
        if self._keepalive is not None:
            self._keepalive.cancel()
        self._arm_keepalive()
        if self.observer is not None:
            self.observer.record("connection_opened", connection=self.name, peer=self.peer, side=self.side)
        if not self.greeted.done():
            self.greeted.set_result(None)
        self.opened()

    # Signs of life.

    def _greeting_due(self) -> None:
        self.judge(self._greeting_missed)

    def _greeting_missed(self) -> None:
        if self.peer_hello is None:
            seconds = self.config.handshake_timeout
            self._condemn(ProtocolError(f"no complete HELLO within handshake_timeout ({seconds:g} s)"))

    def _arm_keepalive(self) -> None:
        """Ask again when the peer has been silent for a ping interval; half a frame is waited for less."""
        config = self.config
        silent = config.ping_interval
        if self._pinged is not None:
            silent += config.ping_timeout
        elif self.parser.pending_bytes or config.handshake_timeout < silent:
            silent = min(silent, config.handshake_timeout)
            if self.loop.time() + CLOCK_STEP >= self.heard_at + silent:
                silent = config.ping_interval
        self._keepalive = self.loop.call_at(self.heard_at + silent, self._keepalive_due)

    def _keepalive_due(self) -> None:
        if not self.closed:
            self.judge(self._keepalive_judged)

    def _keepalive_judged(self) -> None:
        if self.closed:
            return
        config = self.config
        silent = self.loop.time() - self.heard_at + CLOCK_STEP
        if self.parser.pending_bytes and silent >= config.handshake_timeout:
            self._condemn(ProtocolError(f"half a frame and then {silent:.3g} s of silence (handshake_timeout)"))
            return
        if self._pinged is not None and self._pinged != self.reads:
            self._pinged = None  # something has come since
        if silent < config.ping_interval:
            pass
        elif self._pinged is None:
            self._pinged = self.reads
            self.write(writer.ping(PING, self.reads.to_bytes(PING_BYTES, "big")))
        elif silent >= config.ping_interval + config.ping_timeout:
            self.abort(f"no sign of life for {silent:.3g} s (ping_interval + ping_timeout)")
            return
        self._arm_keepalive()

    # Ending.

    def _condemn(self, error: ProtocolError) -> None:
        """The peer broke a rule: tell it, log it, close this connection and no other."""
        if self.closed:
            return
        _log.warning("%s connection %s: closed: %s", self.side, self.peer or "(unknown peer)", error)
        self.write(writer.goaway(0, Status.INTERNAL, str(error)))
        self.close(str(error))

    def close(self, reason: str) -> None:
        """Send what is waiting, then close; whatever the peer does it is over after `LINGER` seconds."""
        if self.closed or self.transport is None:
            return
        self._close_reason = self._close_reason or reason
        if self._out:
            self._put_joined()
        self.closed = True
        self.transport.close()
        self._linger = self.loop.call_later(LINGER, self.transport.abort)

    def abort(self, reason: str) -> None:
        """Close at once, throwing away what is waiting."""
        if self.closed or self.transport is None:
            return
        _log.warning("%s connection %s: aborted: %s", self.side, self.peer or "(unknown peer)", reason)
        self._close_reason = self._close_reason or reason
        self.closed = True
        self.transport.abort()


def _text(address: Any) -> str:
    """A peer's address as text."""
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = address[0], address[1]
        return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    return f"unix:{address}" if isinstance(address, str) and address else "unix:"
