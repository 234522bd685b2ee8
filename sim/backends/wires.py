"""What a program on a shaped loop writes to: a transport above, a protocol below, a delay in between.

One class each for streams and datagrams. Order, half-close, end and back-pressure are those of the real transport; only
the time at which something leaves, and whether it does, are the shaper's.

Tests: tests/sim/backends/test_shaper.py.
"""

import asyncio
import errno
import os
import socket
import struct
from collections import deque
from functools import partial
from typing import Any, Literal

from sim.backends.shaper import LEAST_DELAY, Shaper
from sim.network.tcp.defaults import SEGMENT_BYTES, SEND_BUFFER_BYTES

__all__ = ["DatagramWire", "StreamWire"]

_END: Literal["end"] = "end"
_CLOSE: Literal["close"] = "close"
_ABORT: Literal["abort"] = "abort"


class StreamWire(asyncio.Transport, asyncio.Protocol):
    """A TCP connection: a transport to the program above it, a protocol to the real transport below."""

    _start_tls_compatible = True
    """What `loop.start_tls` asks of a transport, in 3.11 to 3.13."""

    def __init__(self, shaper: Shaper, protocol: asyncio.BaseProtocol) -> None:
        super().__init__()
        self._shaper = shaper
        self._loop = shaper.loop
        self._protocol = protocol
        self._peer: str | None = None
        self._below: asyncio.Transport
        self._outgoing: deque[tuple[float, bytes | Literal["end", "close", "abort"]]] = deque()
        self._held = 0
        self._timer: asyncio.TimerHandle | None = None
        self._reset_timer: asyncio.TimerHandle | None = None
        self._stuffed = False
        self._closing = False
        self._told = False
        self._orphaned = False
        self._wants_reading = True
        self._writing_paused = False
        self._high, self._low = 65536, 16384
        self._ended = False
        self._end_held = False
        self._loss: tuple[Exception | None] | None = None
        self._unread = 0
        """Bytes that have arrived and are read late."""

    # -- the protocol's side: what the real transport says -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._below = transport
        name = transport.get_extra_info("peername")
        self._peer = name[0] if isinstance(name, tuple) else None
        self._shaper.wires.add(self)
        self._orphaned = self._shaper.is_silent(self._peer)
        self._protocol.connection_made(self)

    def data_received(self, data: bytes) -> None:
        late = self._shaper.late
        if late.idle:
            self._read(data)
            return
        self._unread += len(data)
        self._set_reading()
        late.take(partial(self._read_late, data))

    def _read_late(self, data: bytes) -> None:
        self._unread -= len(data)
        self._set_reading()
        self._read(data)

    def _read(self, data: bytes) -> None:
        if self._closing:
            return
        if isinstance(self._protocol, asyncio.BufferedProtocol):
            # What asyncio itself does for a BufferedProtocol behind a pipe (same name in 3.11 to 3.13).
            asyncio.protocols._feed_data_to_buffered_proto(self._protocol, data)  # type: ignore[attr-defined]
        else:
            assert isinstance(self._protocol, asyncio.Protocol)
            self._protocol.data_received(data)

    def eof_received(self) -> bool:
        self._shaper.late.take(self._read_end)
        return True

    def _read_end(self) -> None:
        if self._orphaned or self._shaper.stopped_into(self._peer):
            self._end_held = True  # What arrived before counts; the news that it was all does not get through.
        elif not self._closing:
            assert isinstance(self._protocol, asyncio.Protocol | asyncio.BufferedProtocol)
            if not self._protocol.eof_received():
                self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._shaper.late.take(partial(self._lost, exc))

    def _lost(self, exc: Exception | None) -> None:
        self._loss = (exc,)
        if self._orphaned or (not self._closing and self._shaper.stopped_into(self._peer)):
            return
        self._finish()

    def pause_writing(self) -> None:
        self._stuffed = True

    def resume_writing(self) -> None:
        self._stuffed = False
        self._pump()

    # -- what the shaper says ----------------------------------------------------------------------------------------

    def way_changed(self) -> None:
        if self._shaper.is_silent(self._peer):
            self._orphaned = True
        if self._orphaned:
            if self._closing:
                self._drop()
            else:
                self._knock()
            return
        if not self._shaper.stopped_into(self._peer):
            if self._loss is not None:
                self._finish()
                return
            if self._end_held:
                self._end_held = False
                self._read_end()
        self._pump()

    def _knock(self) -> None:
        """Bytes for a host that lost power: unanswered while it is down, RST once it is back without the connection."""
        if not self._outgoing or self._reset_timer is not None or self._is_cut():
            return
        way = self._shaper.out(self._peer)
        self._reset_timer = self._loop.call_later(2 * way.delay() if way else 0.0, self._reset)

    def break_off(self) -> None:
        """Reset it from outside: the peer gets an RST, both programs find it reset."""
        if self._peer == self._shaper.host or self._loss is not None:
            return
        if not self._below.is_closing() and (sock := self._below.get_extra_info("socket")) is not None:
            # Closed with nothing lingering, the kernel sends RST (socket(7)).
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._reset()

    def _reset(self) -> None:
        self._loss = (ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)),)
        self._finish()

    def _drop(self) -> None:
        """Forget the connection: nobody is at the other end, and the program above has let go."""
        self._outgoing.clear()
        self._held = 0
        self._tell(None)
        self._finish()

    def _finish(self) -> None:
        """The connection is over."""
        for timer in (self._timer, self._reset_timer):
            if timer is not None:
                timer.cancel()
        self._outgoing.clear()
        self._held = 0
        self._shaper.wires.discard(self)
        self._closing = True
        self._below.abort()
        self._tell(self._loss[0] if self._loss else None)

    def _tell(self, exc: Exception | None) -> None:
        if not self._told:
            self._told = True
            self._loop.call_soon(self._protocol.connection_lost, exc)

    def _set_reading(self) -> None:
        if self._below.is_closing():
            return
        wanted = self.is_reading() and self._unread < SEND_BUFFER_BYTES
        if wanted and not self._below.is_reading():
            self._below.resume_reading()
        elif not wanted and self._below.is_reading():
            self._below.pause_reading()

    @property
    def lingers(self) -> bool:
        """The program above has closed it, and what it wrote has not left yet."""
        return self._closing and self._loss is None and not self._orphaned

    # -- sending -----------------------------------------------------------------------------------------------------

    def _queue(self, data: bytes | Literal["end", "close", "abort"]) -> None:
        size = len(data) if isinstance(data, bytes) else 0
        way, now = self._shaper.out(self._peer), self._loop.time()
        due = now + (way.stream(size, now) if way else 0.0)
        if self._outgoing:
            due = max(due, self._outgoing[-1][0])
        elif due - now < LEAST_DELAY and not self._stuffed and not self._orphaned and not self._is_cut():
            self._pass(data)
            return
        self._outgoing.append((due, data))
        self._held += size
        if self._orphaned:
            self._knock()
        elif self._timer is None:
            self._timer = self._loop.call_at(self._outgoing[0][0], self._pump)

    def _is_cut(self) -> bool:
        return self._shaper.stopped_out(self._peer)

    def _pump(self) -> None:
        """Hand down what is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        soon = self._loop.time() + LEAST_DELAY
        while self._outgoing and not self._is_cut() and not self._stuffed and not self._orphaned:
            due, data = self._outgoing[0]
            if due > soon:
                self._timer = self._loop.call_at(due, self._pump)
                break
            self._outgoing.popleft()
            self._held -= len(data) if isinstance(data, bytes) else 0
            self._pass(data)
        self._watermark()

    def _pass(self, data: bytes | Literal["end", "close", "abort"]) -> None:
        if isinstance(data, bytes):
            self._below.write(data)
        elif data == _END:
            if not self._below.is_closing():
                self._below.write_eof()
        elif data == _CLOSE:
            self._below.close()
        else:
            self._below.abort()

    def _watermark(self) -> None:
        size = self.get_write_buffer_size()
        if size > self._high and not self._writing_paused and not self._told:
            self._writing_paused = True
            self._protocol.pause_writing()
        elif size <= self._low and self._writing_paused and not self._told:
            self._writing_paused = False
            self._protocol.resume_writing()
        if self._closing and size == 0:
            self._tell(None)

    # -- the transport's side: what the program above calls ------------------------------------------------------------

    def write(self, data: "bytes | bytearray | memoryview") -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._ended:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or not data:
            return
        view = memoryview(bytes(data))
        for start in range(0, len(view), SEGMENT_BYTES):
            self._queue(bytes(view[start : start + SEGMENT_BYTES]))
        self._watermark()

    def write_eof(self) -> None:
        if not self._closing and not self._ended:
            self._ended = True
            self._queue(_END)

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        self._let_go(_CLOSE)

    def abort(self) -> None:
        self._outgoing.clear()
        self._held = 0
        self._let_go(_ABORT)

    def _force_close(self, exc: Exception | None) -> None:
        """asyncio.sslproto ends a transport with this after a failed handshake (3.11 to 3.13)."""
        self._outgoing.clear()
        self._held = 0
        self._closing = True
        self._tell(exc)
        self._pass(_ABORT)

    def _let_go(self, how: Literal["close", "abort"]) -> None:
        if self._closing:
            if how == _ABORT:
                self._tell(None)
                self._drop()
            return
        self._closing = True
        self._set_reading()
        if self._orphaned or self._loss is not None:
            self._drop()
            return
        self._queue(how)
        if how == _ABORT:
            self._tell(None)
        self._watermark()

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._wants_reading = False
        self._set_reading()

    def resume_reading(self) -> None:
        self._wants_reading = True
        self._set_reading()

    def is_reading(self) -> bool:
        return self._wants_reading and not self._closing

    def get_write_buffer_size(self) -> int:
        return max(0, self._held - SEND_BUFFER_BYTES) + self._below.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = 65536 if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low
        self._watermark()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._below.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol


class DatagramWire(asyncio.DatagramTransport, asyncio.DatagramProtocol):
    """A UDP endpoint: a transport to the program above it, a protocol to the real transport below."""

    def __init__(self, shaper: Shaper, protocol: asyncio.DatagramProtocol) -> None:
        super().__init__()
        self._shaper = shaper
        self._protocol = protocol
        self._below: Any
        """asyncio's own, which in 3.11 is no subclass of DatagramTransport."""
        self._peer: str | None = None
        self._under_way = 0
        self._kept: list[tuple[bytes, Any]] = []
        """What a hold keeps; it counts as under way."""
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._below = transport
        name = transport.get_extra_info("peername")
        self._peer = name[0] if isinstance(name, tuple) else None
        self._shaper.datagram_wires.add(self)
        self._protocol.connection_made(self)

    def datagram_received(self, data: bytes, addr: "tuple[Any, ...]") -> None:
        self._shaper.late.take(partial(self._read, data, addr))

    def _read(self, data: bytes, addr: "tuple[Any, ...]") -> None:
        # From a host that lost power only what was sent before can still come.
        silent = self._shaper.is_silent(addr[0])
        if not self._closing and (silent or not self._shaper.cut_into(addr[0])):
            self._protocol.datagram_received(data, addr)

    def error_received(self, exc: Exception) -> None:
        if not self._closing and not self._shaper.cut_into(self._peer):
            self._protocol.error_received(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self._shaper.datagram_wires.discard(self)
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def sendto(self, data: Any, addr: Any = None) -> None:
        if self._closing:
            return
        if addr is not None:
            addr = (self._shaper.place(addr[0]), *addr[1:])
        peer = self._peer if addr is None else addr[0]
        if self._shaper.cut_out(peer):
            return
        way = self._shaper.out(peer)
        if way is None:
            self._below.sendto(data, addr)
            return
        loop = self._shaper.loop
        now = loop.time()
        for when, copy in way.datagram(bytes(data), now):
            if when - now < LEAST_DELAY and not self._shaper.is_held(peer):
                self._below.sendto(copy, addr)
            else:
                self._under_way += 1
                loop.call_at(when, self._arrive, copy, addr)

    def way_changed(self) -> None:
        """A hold may be over: what it kept leaves, in order."""
        kept, self._kept = self._kept, []
        for data, addr in kept:
            self._arrive(data, addr)

    def _arrive(self, data: bytes, addr: Any) -> None:
        if self._shaper.is_held(self._peer if addr is None else addr[0]):
            self._kept.append((data, addr))
            return
        self._under_way -= 1
        if not self._below.is_closing():
            self._below.sendto(data, addr)
        if self._closing and not self._under_way:
            self._below.close()

    @property
    def lingers(self) -> bool:
        return self._closing

    def close(self) -> None:
        """What is under way still arrives; then it is closed."""
        self._closing = True
        if not self._under_way:
            self._below.close()

    def abort(self) -> None:
        self._closing = True
        self._below.abort()

    def is_closing(self) -> bool:
        return self._closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._below.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.DatagramProtocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol
