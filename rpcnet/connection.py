"""One connection, as both ends see it: greeting, frames in, frames out, credit, ping, farewell.

The shell of wire.parser, wire.writer and flow.credit over a transport of the running loop. Knows no method and no
handler: frames of streams go to `stream_frame`, which client/ and server/ supply. Replies resolve their futures
straight in `buffer_updated`; a deadline is a timer that asks `judge` for patience before it condemns (rule 6 of the
design).

The first frame of a loop turn is written at once, the others of that turn leave joined in one more write; answers
to several frames of one read leave joined, those to many in two halves (docs/decisions/011).

Tests: tests/rpcnet/attacks/, test_protocol_page.py, test_flow_control.py, test_time.py and test_server.py.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import cast

from rpcnet.address import peer_text
from rpcnet.config import RpcConfig
from rpcnet.errors import ProtocolError, Status, Unavailable
from rpcnet.flow.credit import granted, of_connection
from rpcnet.flow.deadline import Patience
from rpcnet.handshake import agreement_fault, early_end
from rpcnet.line import Line
from rpcnet.observe import Observer
from rpcnet.peer import Peer
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    CREDIT,
    GOAWAY,
    HELLO,
    MAX_METHOD_BYTES,
    MAX_TEXT_BYTES,
    NAMES,
    PING,
    PONG,
    TOKEN_BYTES,
    Hello,
    check_token,
    decode_goaway,
    decode_hello,
    decode_number,
    shared,
)
from rpcnet.wire.parser import Parser

__all__ = ["Connection"]

_log = logging.getLogger("rpcnet")

LINGER = 1.0
"""Seconds that a closed connection may take to send what it has; then it is aborted."""
MAX_UNREAD_BYTES = 1024 * 1024
"""Control frames that a peer makes us send and does not read; beyond it the connection is aborted. Items wait, and
frames that carry what a user gives with a call are counted apart (`most_unread_of_calls`)."""
JOIN_BYTES = 64 * 1024
"""Joined frames are written as soon as they are this many bytes: the transport's own mark for pausing us."""
TURN = 0.0001
"""Frames written within so many seconds of one that was written at once count as of the same turn. asyncio does not
tell its turns apart; a callback that looked for the next would cost each call a select at both ends."""
ONE_WRITE = 8
"""Answers to up to so many frames of one read leave in one write; to more of them in two, so that the peer has work
while we do the other half. For fewer another write would cost both ends more than the peer gains."""
READ_BYTES = 256 * 1024
"""What asyncio itself reads at a time."""
MIN_RATE = 1024
"""Bytes a second, on average since its first byte, at which a frame must come that takes longer than the handshake
time. A peer that drips holds a buffer and a place of ours for next to nothing."""
LOOK_AGAIN = 1.0
"""Seconds between two looks at a frame that comes slowly, but fast enough."""
AFTER_HELLO = frozenset({CREDIT, PING, PONG, GOAWAY})
"""What may come on stream 0 once the peer has greeted."""
NEVER = float("-inf")
CLOCK_STEP = 1e-6
"""Seconds: a timer may fire up to the clock's resolution early, and would else be set again for the same moment."""


def most_unread_of_calls(calls: int, config: RpcConfig) -> int:
    """Bytes of OPEN, METADATA and END that so many calls may have waiting: all that the limits allow them, once each.

    A peer that reads is never cut off: it opens no call before it has read the end of another one.
    """
    return calls * (3 * config.max_metadata_bytes + MAX_METHOD_BYTES + MAX_TEXT_BYTES + 128)


class _Reading(threading.local):
    """Where all connections of a thread read into, one after the other: nobody keeps any of it after its read."""

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(READ_BYTES))


_reading = _Reading()


class Connection(asyncio.BufferedProtocol):
    """What client and server connections share."""

    side = ""

    __slots__ = (
        "_close_reason",
        "_cut_at",
        "_cut_frames",
        "_cut_timer",
        "_flushing",
        "_gather",
        "_greeted",
        "_is_lost",
        "_keepalive",
        "_linger",
        "_lost",
        "_out",
        "_out_bytes",
        "_paused",
        "_pinged",
        "_pong",
        "_read_into",
        "_told_end",
        "_unread",
        "_unread_of_calls",
        "_wrote_at",
        "closed",
        "config",
        "credit",
        "heard_at",
        "loop",
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
        self._greeted: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] | None = None
        self._is_lost = False
        self.closed = False
        self.reads = 0
        self.heard_at = self.loop.time()
        self.credit = 0
        self.receive_credit = of_connection(config.connection_window, config.stream_window_bytes, self.loop.time)
        # Of what the peer takes; set when it has greeted.
        self.room: int
        """Bytes of the largest message that goes to this peer in one frame."""
        self.part_room: int
        """Bytes of the largest part of a message."""
        self.worthwhile: int
        """Bytes of a part that a sender waits for; it must never need more than half of a window (flow/credit.py)."""
        self.writers = Line()
        self._read_into = _reading.buffer
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._flushing = False
        self._gather = 0
        """How many frames are to leave joined first in this turn."""
        self._wrote_at = NEVER
        self._paused = False
        self._unread = 0
        self._unread_of_calls = 0
        self._pong: bytes | None = None
        self._pinged: int | None = None
        """What `reads` was when a ping was sent."""
        self._close_reason = ""
        self._keepalive: asyncio.TimerHandle | None = None
        self._cut_frames = 0
        """The count of the parser's `cut_frames` that has been seen."""
        self._cut_at: float
        """When the first byte of the incomplete frame came; set with the timer that looks at it."""
        self._cut_timer: asyncio.TimerHandle | None = None
        """Looks at the incomplete frame. It is set while there is one, and serves many."""
        self._told_end = False
        self._linger: asyncio.TimerHandle | None = None

    @property
    def lost(self) -> asyncio.Future[None]:
        """Resolved once the transport is gone. Made for who asks: most connections are never waited for."""
        if self._lost is None:
            self._lost = self.loop.create_future()
            if self._is_lost:
                self._lost.set_result(None)
        return self._lost

    async def greeting(self) -> None:
        """Wait for the peer's HELLO. Unavailable where the connection ends before it."""
        if self.peer_hello is not None:
            return
        if self._told_end:
            raise self._over()
        if self._greeted is None:
            self._greeted = self.loop.create_future()
        await asyncio.shield(self._greeted)

    # Supplied by the two sides.

    def stream_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """A frame of a stream has come."""
        raise AssertionError("supplied by the two ends")

    def forget(self, number: int) -> None:
        """A call of this connection is over at both ends: its place is free."""
        raise AssertionError("supplied by the two ends")

    def calls_at_once(self) -> int:
        """How many calls may be open at a time."""
        raise AssertionError("supplied by the two ends")

    def read_untold(self) -> int:
        """Bytes that were read and that the calls keep to themselves until they tell their peers (flow/credit.py)."""
        raise AssertionError("supplied by the two ends")

    def all_read(self) -> None:
        """A call that was over with unread items has none any more."""

    def opened(self) -> None:
        """The peer's HELLO was good."""

    def last_stream(self) -> int:
        """The last stream that this end took: what a GOAWAY says."""
        return 0

    def gone(self, error: Unavailable) -> None:
        """The connection is over: end every call. The transport may still be open, to send a farewell."""

    def went_away(self, last: int, status: int, text: str) -> None:
        """The peer sent GOAWAY."""

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self.transport = stream = cast("asyncio.Transport", transport)
        self.peer = peer_text(transport.get_extra_info("peername"))
        stream.write(writer.greeting(self._hello()))
        fault = agreement_fault(transport.get_extra_info("ssl_object"))
        if fault is not None:
            self._condemn(ProtocolError(fault))
            return
        self._keepalive = self.loop.call_later(self.config.handshake_timeout, self._greeting_due)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._read_into

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(self._read_into[:nbytes])

    def data_received(self, data: bytes | memoryview) -> None:
        """Bytes have come. Of a memoryview nothing is kept."""
        if self.closed:
            return  # only the peer's end of the connection is awaited
        self.reads += 1
        self.heard_at = self.loop.time()
        self._wrote_at = NEVER  # what was read begins a turn
        parser = self.parser
        try:
            frames = parser.receive(data)
            gathers = False
            self._gather = 0
            if (count := len(frames)) > 1:
                self._gather = count if count <= ONE_WRITE else count // 2
                if not self._flushing:
                    self._flushing = gathers = True
            for kind, flags, stream, payload in frames:
                if self.closed:
                    return
                if stream and self.peer_hello is not None:
                    self.stream_frame(kind, flags, stream, payload)
                else:
                    self._connection_frame(kind, flags, stream, payload)
            if gathers:
                self.loop.call_soon(self._flush)  # behind those whom these frames woke: it ends their turn, too
            if parser.error is not None:
                raise parser.error
            if parser.cut_frames != self._cut_frames:
                self._frame_begun()
        except ProtocolError as error:
            self._condemn(error)

    def eof_received(self) -> None:
        if not self._close_reason:
            early = self.peer_hello is None and not self.reads
            self._close_reason = self._early_end(None) if early else "the peer closed it"

    def _early_end(self, error: Exception | None) -> str:
        has_tls = self.transport is not None and self.transport.get_extra_info("ssl_object") is not None
        return early_end(error, self.side, has_tls)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._unread = self._unread_of_calls = 0
        if self._pong is not None:
            token, self._pong = self._pong, None
            self.write(writer.ping(PONG, token))
        self.writers.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        for timer in (self._keepalive, self._cut_timer, self._linger):
            if timer is not None:
                timer.cancel()
        self._out.clear()
        if exc is not None and not self._close_reason and self.peer_hello is None and not self.reads:
            self._close_reason = self._early_end(exc)
        self._end_calls(self._close_reason or (str(exc) if exc is not None else "it was closed") or type(exc).__name__)
        self._is_lost = True
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(None)

    def _end_calls(self, reason: str) -> None:
        """Nothing more comes or goes: tell all who wait, once."""
        if self._told_end:
            return
        self._told_end = True
        self._close_reason = reason
        error = self._over()
        if self._greeted is not None and not self._greeted.done():
            self._greeted.set_exception(error)
            self._greeted.exception()  # whoever waits sees it; nobody waiting is no mistake
        self.gone(error)
        if self.peer_hello is not None and self.observer is not None:
            self.observer.record(
                "connection_closed", connection=self.name, peer=self.peer, side=self.side, reason=reason
            )

    def _over(self) -> Unavailable:
        return Unavailable(f"connection to {self.peer or 'the peer'} is over: {self._close_reason}")

    # Writing.

    def write(self, frame: bytes, *, of_call: bool = False) -> None:
        """Send one frame: the first of a turn at once, the others of that turn joined.

        Where several frames were read together, as many leave joined (`ONE_WRITE`).

        `of_call`: it carries what a user gives with a call and no credit pays for: metadata, details or trailers.
        """
        if self.closed or (self._paused and not self._may_wait(len(frame), of_call)):
            return
        if not self._flushing:
            now = self.loop.time()
            if not self._gather and now - self._wrote_at > TURN:
                self._wrote_at = now
                assert self.transport is not None
                self.transport.write(frame)
                return
            self._flushing = True
            self.loop.call_soon(self._flush)
        self._out.append(frame)
        self._out_bytes += len(frame)
        if self._out_bytes >= JOIN_BYTES or len(self._out) == self._gather:
            self._gather = 0
            self._put_joined()

    def _may_wait(self, size: int, of_call: bool) -> bool:
        """Whether so much more may wait for a peer that does not read now; else the connection is aborted."""
        if of_call:
            self._unread_of_calls += size
            waiting, most = self._unread_of_calls, most_unread_of_calls(self.calls_at_once(), self.config)
        else:
            self._unread += size
            waiting, most = self._unread, MAX_UNREAD_BYTES
        if waiting > most:
            self.abort(f"the peer does not read what it asks for ({most} bytes are waiting)")
        return waiting <= most

    def _flush(self) -> None:
        self._flushing = False
        self._gather = 0
        if self._out and not self.closed:
            self._wrote_at = self.loop.time()
            self._put_joined()

    def _put_joined(self) -> None:
        assert self.transport is not None
        data = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        if not self.transport.is_closing():  # it was lost in this turn, and asyncio would log every further write
            self.transport.write(data)

    def peer_facts(self) -> Peer:
        certificate = None if self.transport is None else self.transport.get_extra_info("peercert")
        return Peer(self.peer, certificate or None)

    @property
    def queued_bytes(self) -> int:
        """Bytes in memory on behalf of this connection, in both directions."""
        if self._told_end:
            return 0
        waiting = self.transport.get_write_buffer_size() if self.transport is not None and not self.closed else 0
        return self._out_bytes + waiting + self.receive_credit.held - self.read_untold()

    def may_write(self, cost: int) -> bool:
        """Whether an item of this cost may be written now, before anybody who waits."""
        return cost <= self.credit and not self._paused and not self.writers

    @property
    def is_paused(self) -> bool:
        """Whether the transport's buffer is full: the peer, or the way to it, takes no bytes."""
        return self._paused

    def can_take(self, cost: int) -> bool:
        """Whether an item of this cost may be written now by the first in the line of writers."""
        return cost <= self.credit and not self._paused

    # Credit of the whole connection.

    def release(self, cost: int) -> None:
        """Bytes of some stream were read or thrown away."""
        amount = self.receive_credit.release(cost)
        if amount:
            self.write(writer.credit(0, amount))

    def credit_due(self, cost: int) -> bytes:
        """As `release`, but the CREDIT, if there is one to be told, is for who calls to write."""
        amount = self.receive_credit.release(cost)
        return writer.credit(0, amount) if amount else b""

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

    def _connection_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if self.peer_hello is None:
            if kind != HELLO or stream:
                raise ProtocolError(f"peer sent {NAMES[kind]} before HELLO")
        elif kind not in AFTER_HELLO:
            raise ProtocolError(f"{NAMES[kind]} is not allowed on the connection itself")
        if flags:
            raise ProtocolError(f"{NAMES[kind]} with flags {flags} is not allowed")
        if kind == CREDIT:
            self.credit = granted(self.credit, decode_number(payload))
            self.writers.wake()
        elif kind == HELLO:
            self._greet(decode_hello(payload))
        elif kind == GOAWAY:
            self.went_away(*decode_goaway(payload))
        else:
            check_token(kind, payload)
            if kind == PONG:
                return  # a sign of life, like all that comes
            if self._paused:
                self._pong = payload  # one is remembered, whatever comes: a flood of pings fills no buffer
            else:
                self.write(writer.ping(PONG, payload))

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
        self.peer_hello = shared(hello)
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
        if self._greeted is not None and not self._greeted.done():
            self._greeted.set_result(None)
        self.opened()

    # Signs of life.

    def _greeting_due(self) -> None:
        self.judge(self._greeting_missed)

    def _greeting_missed(self) -> None:
        if self.peer_hello is None:
            seconds = self.config.handshake_timeout
            self._condemn(ProtocolError(f"no complete HELLO within handshake_timeout ({seconds:g} s)"))

    def _arm_keepalive(self) -> None:
        """Ask again when the peer has been silent for a ping interval."""
        config = self.config
        silent = config.ping_interval
        if self._pinged is not None:
            silent += config.ping_timeout
        self._keepalive = self.loop.call_at(self.heard_at + silent, self._keepalive_due)

    def _keepalive_due(self) -> None:
        if not self.closed:
            self.judge(self._keepalive_judged)

    def _keepalive_judged(self) -> None:
        if self.closed:
            return
        config = self.config
        silent = self.loop.time() - self.heard_at + CLOCK_STEP
        if self._pinged is not None and self._pinged != self.reads:
            self._pinged = None  # something has come since
        if silent < config.ping_interval:
            pass
        elif self._pinged is None:
            self._pinged = self.reads
            self.write(writer.ping(PING, self.reads.to_bytes(TOKEN_BYTES, "big")))
        elif silent >= config.ping_interval + config.ping_timeout:
            self.abort(f"no sign of life for {silent:.3g} s (ping_interval + ping_timeout)")
            return
        self._arm_keepalive()

    # Frames that come slowly.

    def _frame_begun(self) -> None:
        """A read ended within a frame that it began."""
        self._cut_frames = self.parser.cut_frames
        self._cut_at = self.heard_at
        if self._cut_timer is None:
            self._cut_timer = self.loop.call_later(self.config.handshake_timeout, self._cut_due)

    def _cut_due(self) -> None:
        """Look at the incomplete frame; one timer serves many, so it is often another one than when it was set."""
        due = self._cut_at + self.config.handshake_timeout
        if self.closed or not self.parser.pending_bytes:
            self._cut_timer = None  # the next incomplete frame sets it again
        elif self.loop.time() + CLOCK_STEP < due:
            self._cut_timer = self.loop.call_at(due, self._cut_due)
        else:
            self.judge(self._cut_judged)

    def _cut_judged(self) -> None:
        """A frame that has taken so long already may go on at `MIN_RATE` or faster, and not after a long silence."""
        seconds = self.config.handshake_timeout
        now = self.loop.time() + CLOCK_STEP
        came = self.parser.pending_bytes
        if self.closed or not came or now < self._cut_at + seconds:
            self._cut_due()
        elif now >= self.heard_at + seconds:
            silent = now - self.heard_at
            self._condemn(ProtocolError(f"half a frame and then {silent:.3g} s of silence (handshake_timeout)"))
        elif came < (now - self._cut_at) * MIN_RATE:
            took = now - self._cut_at
            self._condemn(
                ProtocolError(
                    f"{came} bytes of a frame in {took:.3g} s: a frame that takes longer than handshake_timeout"
                    f" ({seconds:g} s) must come at {MIN_RATE} bytes a second or faster"
                )
            )
        else:
            self._cut_timer = self.loop.call_later(min(seconds, LOOK_AGAIN), self._cut_due)

    # Ending.

    def _condemn(self, error: ProtocolError) -> None:
        """The peer broke a rule: tell it, log it, close this connection and no other."""
        if self.closed:
            return
        _log.warning("%s connection %s: closed: %s", self.side, self.peer or "(unknown peer)", error)
        self.write(writer.goaway(self.last_stream(), Status.INTERNAL, str(error)))
        self._close_reason = str(error)  # also where the peer had said that it goes away
        self.part(str(error))

    def close(self, reason: str) -> None:
        """Send what is waiting, then close; whatever the peer does it is over after `LINGER` seconds."""
        if self._stop_writing(reason):
            assert self.transport is not None
            self.transport.close()

    def part(self, reason: str) -> None:
        """Close so that the peer can read what was written last.

        The kernel answers unread input with a reset when a socket is closed, and a reset throws away at the peer what
        it has not read yet. So the calls end at once, but what still comes is read and dropped until the peer closes
        too, for `LINGER` seconds at most. TLS has no half-close: there the peer closes when it has read GOAWAY.
        """
        if self._stop_writing(reason):
            assert self.transport is not None
            if self.transport.can_write_eof():
                try:
                    self.transport.write_eof()
                except OSError:
                    self.transport.abort()  # the peer has reset it, which the transport has yet to read
            self._end_calls(self._close_reason)

    def _stop_writing(self, reason: str) -> bool:
        if self.closed or self.transport is None:
            return False
        self._close_reason = self._close_reason or reason
        if self._out:
            self._put_joined()
        self.closed = True
        self._linger = self.loop.call_later(LINGER, self.transport.abort)
        return True

    def abort(self, reason: str) -> None:
        """Close at once, throwing away what is waiting."""
        if self.closed or self.transport is None:
            return
        _log.warning("%s connection %s: aborted: %s", self.side, self.peer or "(unknown peer)", reason)
        self._close_reason = self._close_reason or reason
        self.closed = True
        self.transport.abort()
