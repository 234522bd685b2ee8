"""Stream connections as a program sees them: bytes in order, windows, FIN and RST.

One simulated event carries one write of up to 64 KiB, however many packets it would be. What is modelled and what is
left out: docs/network-model.md; what becomes of losses: tcp.losses. Follows RFC 9293 and Linux' defaults. Knows no
event loop: an endpoint calls `on_readable` and `on_writable`, and answers `send` and `receive` as a non-blocking socket
does. Tests: tests/sim/network/tcp/test_endpoint.py, tests/sim/network/test_formulas.py.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from functools import partial
from heapq import heappush
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zlib import crc32

from sim.network.fabric import Network
from sim.network.host import AT_ONCE, Address, Host, Sink
from sim.network.netstat import SocketRow, shown
from sim.network.tcp.arrival import arrive, land, was_reset
from sim.network.tcp.defaults import (
    LOOPBACK_BUFFER_BYTES,
    PACKET_BYTES,
    SEGMENT_BYTES,
    SEND_BUFFER_BYTES,
    WINDOW_BYTES,
)
from sim.network.tcp.losses import EMPTY, Losses, Queue, Segment, appended

if TYPE_CHECKING:
    from sim.network.tcp.connect import Listener
    from sim.network.tcp.tls import Veil

__all__ = ["ACCEPTED", "Endpoint"]

_FIN, ACCEPTED = b"FIN", b"ACK"  # markers, known by identity


class Endpoint:
    """One end of a connection: a connected socket."""

    __slots__ = (
        "_acknowledged",
        "_arrived",
        "_backlog",
        "_blocked",
        "_buffer",
        "_cause",
        "_chunks",
        "_ended",
        "_just_came",
        "_known_read",
        "_lands",
        "_losses",
        "_next_line",
        "_node",
        "_read",
        "_schedule",
        "_sent",
        "_to",
        "_transmitted",
        "_untold",
        "accepted",
        "append",
        "boot",
        "closed",
        "eof",
        "error",
        "host",
        "in_flight",
        "listener",
        "local",
        "network",
        "on_readable",
        "on_writable",
        "peer",
        "reads_no_more",
        "received",
        "refuses",
        "remote",
        "sink",
        "stalled",
        "unread",
        "veil",
    )

    def __init__(self, network: Network, host: Host, local: Address, remote: Address) -> None:
        self.network, self.host = network, host
        self.local, self.remote = local, remote
        self.peer: Endpoint
        self._to = ""
        self.listener: Listener | None = None
        self.on_readable: Callable[[], None] = _nobody
        self.on_writable: Callable[[], None] = _nobody
        self.sink: Sink | None = None
        self.error: OSError | None = None
        """Why it is over; its program is told once, by …"""
        self._untold: OSError | None = None
        self.closed = False
        self.reads_no_more = False
        """Whether its program has said so: what has arrived and what still comes can be read, then comes an end."""
        self.refuses = False
        """Whether data that arrives now is answered by a reset, as nobody is to have it (Linux: FIN_WAIT)."""
        self.eof = False
        self.unread = 0
        """Bytes that have arrived and nobody has read."""
        self.boot = host.boots
        self._chunks: Queue[bytes] = EMPTY
        # Sending. Counters since the start; what is known of the other end is only looked at when it limits us.
        self.accepted = 0
        self._buffer = SEND_BUFFER_BYTES
        """What is taken of a program that writes; less for a Unix socket than for TCP on one machine, as on Linux."""
        self._acknowledged = 0
        self._known_read = 0
        self._transmitted = 0
        self._blocked = False
        self._backlog: Queue[bytes] = EMPTY
        self._ended = False
        """Nothing more can be sent: so it is after `shutdown`, and with an error."""
        # The other direction's receiver keeps these.
        self._arrived = 0
        self._just_came = 0
        self._read = 0
        # Segments under way, in order. Each has an event at its time; one that is ready waits for those before it.
        self.in_flight: Queue[Segment] = EMPTY
        # When the last of those is there that went off by themselves, each after the one before.
        self._lands = -math.inf
        self._losses: Losses | None = None
        """None = nothing was ever lost."""
        self.stalled = False
        """Whether what was sent has found no way, and is tried again later: until then nothing else is sent."""
        self.veil: Veil | None = None
        """Of bytes that are enciphered."""
        # What the hot path looks up.
        self._node = network.trace.node(host.name)
        self._sent, self.received = network.sent, network.received
        self.append, self._next_line = network.trace.append, network.trace.next_line
        self._schedule = network.schedule
        self._cause = network.cause
        host.endpoints[self] = None

    def join(self, peer: Endpoint) -> None:
        self.peer, self._to = peer, peer.host.name
        if peer.host is self.host and self.local[0]:
            self._buffer = LOOPBACK_BUFFER_BYTES

    # -- what a program calls --------------------------------------------------------------------------------------

    @property
    def readable(self) -> bool:
        return bool(self._chunks) or self.eof or self.error is not None or self.reads_no_more

    @property
    def writable(self) -> bool:
        if self._ended:
            return True
        acknowledged = self._acknowledged if self._blocked else self.peer._arrived
        return self._between(acknowledged, self.accepted) < self._buffer

    def send(self, data: bytes) -> int:
        """Take as much of `data` as there is room for; returns how much, 0 = none now, `on_writable` tells.

        Raises OSError once the connection is reset, or after `shutdown`.
        """
        if self._ended:
            raise self.take_error() or BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        size = len(data)
        host, peer = self.host, self.peer
        if (
            size <= SEGMENT_BYTES
            and not (self._blocked or self._backlog or self.stalled)
            and self.veil is None
            and self.accepted + size - peer._read <= WINDOW_BYTES
            and host.boots == self.boot
        ):  # the common case: room in the buffer, the window and a segment
            self.accepted += size
            self._transmitted += size
            schedule = self._schedule
            now = schedule.now + host.ahead
            line = self._next_line()
            self.append((self._sent, now, self._node, self._cause[0], self._to, "tcp", size, crc32(data)))
            path = self.network.plain
            if path is None or self.in_flight or host is peer.host:
                self.transmit(data, line)
            else:
                when = now + path.delay()
                if when <= self._lands:
                    when = math.nextafter(self._lands, math.inf)
                self._lands = when
                heappush(schedule.queue, (when, 1, schedule.next_key(), land, (self, data, line, False)))
            return size
        if self.veil is not None and 0 < (rest := self.veil.rest(self.accepted)) < size:
            # What follows the handshake is a segment of its own, whose length does not depend on it.
            cut = int(rest)
            taken = self._take_in(data[:cut])
            return taken + self._take_in(data[cut:]) if taken == cut else taken
        return self._take_in(data)

    def _between(self, first: int, last: int) -> int:
        """Bytes of the stream that take room in a buffer."""
        return last - first if self.veil is None else self.veil.between(first, last)

    def _take_in(self, data: bytes) -> int:
        size = len(data)
        acknowledged = self._acknowledged if self._blocked else self.peer._arrived
        room = self._buffer - self._between(acknowledged, self.accepted)
        if room <= 0:
            self._block()
            return 0
        if size > room:
            data = data[:room]
            size = room
            self._block()
        self.accepted += size
        self._backlog = appended(self._backlog, data)
        self.pump()
        return size

    def receive(self, limit: int) -> bytes:
        """At most `limit` bytes that have arrived; b"" at the end. Raises BlockingIOError when there are none yet."""
        chunks = self._chunks
        if chunks:
            if self.unread <= limit:
                data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
                chunks.clear()
                self.unread = 0
            else:
                data = self._take(limit)
                self.unread -= limit
                self.on_readable()  # there is more: a reader who took less than asyncio's transports do is asked again
            self._read += len(data)
            if self.peer._blocked:
                self._tell_sender(self._just_came)
            return data
        if self.eof:
            return b""
        if self.error is not None:
            if (error := self.take_error()) is not None:
                try:
                    raise error
                finally:
                    del error  # its traceback leads here
            return b""
        if self.reads_no_more:
            return b""
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def put_back(self, data: bytes) -> None:
        """The end of what a sink was given, for which its reader had no room: it is unread, as what arrives later."""
        self._read -= len(data)
        self.unread += len(data)
        self._chunks = appended(self._chunks, data)
        self.on_readable()

    def peek(self, limit: int) -> bytes:
        """What `receive` would give, which stays. Raises what it would raise, but that there is nothing yet."""
        if not self._chunks and not self.eof and (error := self.take_error()) is not None:
            raise error
        taken, size = [], 0
        for chunk in self._chunks:
            taken.append(chunk)
            size += len(chunk)
            if size >= limit:
                break
        return b"".join(taken)[:limit]

    def take_error(self) -> OSError | None:
        """Why it is over, to the first call that can tell of it, as on Linux: later ones find its end."""
        error, self._untold = self._untold, None
        if error is not None:
            # Once raised it has a traceback, which leads to this end.
            self.error = type(error)(*error.args)
        return error

    @property
    def has_error(self) -> bool:
        """Whether there is one that no call has told of yet."""
        return self._untold is not None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more can be sent and nothing more will come."""
        return self.over or (self._ended and self.reads_no_more)

    @property
    def over(self) -> bool:
        """Whether both directions have ended, or it was reset: it has no peer any more."""
        return self.error is not None or (self._ended and self.eof)

    @property
    def state(self) -> str:
        """As RFC 9293 §3.3.2 and netstat call it."""
        if self.listener is not None:
            return "SYN_RECV"
        if self.error is not None:
            return "CLOSE"
        if not self._ended:
            return "CLOSE_WAIT" if self.eof else "ESTABLISHED"
        if self.eof:
            return "CLOSE" if self.peer.eof else "LAST_ACK"
        return "FIN_WAIT2" if self.peer.eof else "FIN_WAIT1"

    def row(self) -> SocketRow:
        unix = not self.local[0]
        address, peer = ("*", "*") if unix else (shown(self.local), shown(self.remote))
        unsent = 0 if self.error is not None else self._between(self.peer._arrived, self.accepted)
        return SocketRow(
            self.host.name, "unix" if unix else "tcp", address, peer, self.state, self.unread, max(0, unsent)
        )

    def stop_reading(self) -> None:
        """End the other direction, of which the peer learns nothing until it sends."""
        self.reads_no_more = True
        self.refuses = self._ended
        self.on_readable()

    def shutdown(self) -> None:
        """End our direction: FIN after all that was taken."""
        if not self._ended:
            self._ended = True
            self.refuses = self.closed or self.reads_no_more
            if self._backlog or self.stalled:
                self._backlog = appended(self._backlog, _FIN)
            elif self.alive():
                self.transmit(_FIN, 0)

    def close(self) -> None:
        """Close the socket. What was taken is still sent; unread bytes make it a reset, as on Linux."""
        if self.closed:
            return
        self.closed = self.refuses = True
        self.sink = None
        self.on_readable = self.on_writable = _nobody
        self.host.endpoints.pop(self, None)
        if self.error is None and self.alive():
            if self.unread:
                self.reset()
            else:
                self.shutdown()
        self.release_ends()

    @property
    def is_released(self) -> bool:
        """Whether this end no longer refers to the other one."""
        return self.peer is GONE

    def release_ends(self) -> None:
        """Once both ends are done, drop the references that each of them has to the other.

        They are a cycle: with it a closed connection stays in memory until Python collects garbage.
        """
        peer = self.peer
        if peer is not GONE and self._needs_nothing_of(peer) and peer._needs_nothing_of(self):
            for each in (self, peer):
                each.peer, each._losses = GONE, None

    def _needs_nothing_of(self, peer: Endpoint) -> bool:
        """Whether it is closed, and no packet that is on its way from the peer can change it or gets an answer."""
        if not self.alive():
            return True
        if not self.closed:
            return False
        if self.error is not None or (self.eof and peer.eof):
            return True
        silent = not peer.in_flight and peer._lands < self._schedule.now
        return peer.error is not None and peer.eof and silent

    def abandon(self) -> None:
        """Reset it as its program wants, whatever is still to be sent."""
        if self.error is None and self.alive():
            self.reset()

    def reset(self) -> None:
        """Send RST and forget the connection."""
        self._backlog, self._losses = EMPTY, None
        self._ended = True
        self.error = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        self.send_reset(self.peer)

    # -- sending ---------------------------------------------------------------------------------------------------

    def alive(self) -> bool:
        """False once the machine has lost power since: nothing of this connection is left on it."""
        return self.host.boots == self.boot

    def pump(self) -> None:
        """Transmit what the window admits."""
        while (backlog := self._backlog) and not self.stalled and self.alive():
            data = backlog[0]
            if data is _FIN:
                backlog.popleft()
                self.transmit(_FIN, 0)
                return
            read = self._known_read if self._blocked else self.peer._read
            room = WINDOW_BYTES - self._between(read, self._transmitted)
            if room <= 0:
                self._block()
                return
            size = min(len(data), room, SEGMENT_BYTES)
            if size == len(data):
                backlog.popleft()
            else:
                backlog[0], data = data[size:], data[:size]
            self._transmitted += size
            self.transmit(data, self._trace_sent(data))

    def transmit(self, data: bytes, line: int) -> None:
        network, host = self.network, self.host
        target = self.peer.host
        path = network.uniform
        if host is target:
            now = network.schedule.now
            if not self.in_flight and self._lands < now and host.at_once(now):
                cause = network.cause[0]
                land((self, data, line, False))
                network.cause[0] = cause
                return
            if self.in_flight and self.in_flight[-1][0] > now:
                # As much as is written at one instant is there for one call of recv. A turn for each packet would take
                # a parser that looks through its whole buffer the square of the time.
                self.in_flight.append([self.in_flight[-1][0], data, line])
                return
            path = network.path(host, target)
        elif path is None:
            path = network.path(host, target)
        if path is None:
            self.losses().stall((data, line))
            return
        if network.uniform is None and network.path(target, host) is None:
            self.losses().go_unheard()
        now = network.schedule.now + host.ahead
        if path.plain or data is ACCEPTED:
            # The handshake's last acknowledgement is not lost: whatever follows stands in for it.
            delay = path.delay()
            when = self.in_order(now + (delay if host is not target else delay * AT_ONCE))
            if not self.in_flight and host is not target:
                self._lands = when
                self._schedule.at(when, land, (self, data, line, False))
                return
            segment: Segment = [when, data, line]
        else:
            size = len(data) if self.veil is None else self.veil.size(line, len(data))
            segment = self.losses().under_way(path, now, size, data, line)
            segment[0] = self.in_order(segment[0])
        self.in_flight = appended(self.in_flight, segment)
        self.expect(segment)

    def in_order(self, when: float) -> float:
        """That time, or the first after what went off by itself is there."""
        return when if when > self._lands else math.nextafter(self._lands, math.inf)

    def expect(self, segment: Segment) -> None:
        self._schedule.at(segment[0], arrive, self)

    def losses(self) -> Losses:
        if self._losses is None:
            self._losses = Losses(self)
        return self._losses

    def _trace_sent(self, data: bytes) -> int:
        network, veil = self.network, self.veil
        now = network.schedule.now + self.host.ahead
        cause = network.cause[0]
        line = self._next_line()
        size, checksum = len(data), crc32(data) if veil is None else 0
        if veil is not None:
            size = veil.size_to_record(line, size, self._transmitted)
        self.append((self._sent, now, self._node, cause, self._to, "tcp", size, checksum))
        return line

    def _block(self) -> None:
        """From now on the other end's progress counts when its acknowledgement has come back."""
        if not self._blocked:
            self._blocked = True
            self._acknowledged, self._known_read = self.peer._arrived, self.peer._read

    def _tell_sender(self, just_came: int = 0) -> None:
        """Acknowledge: the sender learns, one way later, how far this end has come.

        Of what has just come over a wire the first packet was acknowledged while the others were still on it.
        """
        path = self.network.path(self.peer.host, self.host) if just_came > PACKET_BYTES else None
        bandwidth = path.link.bandwidth if path is not None else None
        early = (just_came - PACKET_BYTES) / bandwidth if bandwidth else 0.0
        self._acknowledge((self._arrived, self._read), early)

    def _acknowledge(self, progress: tuple[int, int], early: float = 0.0) -> None:
        network = self.network
        if not self.alive() or self.peer.error is not None:
            return
        path = network.path(self.host, self.peer.host)
        if path is None:
            network.schedule.after(1.0, self._acknowledge, progress)  # asked for again by the sender's probes
        else:
            network.schedule.after(max(0.0, self.host.ahead + path.delay() - early), self.peer._learn, progress)

    def _learn(self, progress: tuple[int, int]) -> None:
        inbox = self.host.inbox
        if inbox is not None and inbox.keeps(self._to, partial(self._learn, progress)):
            return
        if not self.alive() or self.error is not None:
            return
        self._acknowledged = max(self._acknowledged, progress[0])
        self._known_read = max(self._known_read, progress[1])
        self.pump()
        if not self._backlog and self._between(self._acknowledged, self.accepted) < self._buffer:
            self._blocked = False
        self.on_writable()

    def give_up(self, error: OSError) -> None:
        """End it for a reason of its host's, unless what was sent is tried again: then that has its own time-out."""
        if not self.stalled:
            self.fail(error)

    def fail(self, error: OSError) -> None:
        """The connection is over. What has arrived can still be read, then comes the error."""
        self.error = self._untold = error
        self._backlog, self._losses = EMPTY, None
        self._ended = True
        self.on_writable()
        self.on_readable()
        if self.closed:
            self.release_ends()

    # -- receiving -------------------------------------------------------------------------------------------------

    def heed(self, marker: bytes) -> None:
        """What is no data has come."""
        if marker is ACCEPTED:
            if self.listener is not None:
                self.listener.add(self)
        else:
            self.eof = True
            self.on_readable()
            if self.closed:
                self.release_ends()

    @property
    def there(self) -> bool:
        """Whether what arrives for it finds it."""
        return self.host.up and self.alive() and self.error is None

    def missed(self, data: bytes, line: int, sender: Endpoint) -> None:
        """A packet for it came, and it is not `there`."""
        inbox = self.host.inbox
        if inbox is not None and inbox.keeps(self._to, partial(self.missed, data, line, sender)):
            return
        if not self.host.up:
            if sender.alive():
                sender.losses().stall((data, line))
        elif sender.alive() and sender.error is None:
            # Nobody knows this connection here any more.
            self.send_reset(sender)

    def refuse(self, sender: Endpoint) -> None:
        """Data has come that nobody is to have: the connection is over at both ends (Linux: tcp_rcv_state_process)."""
        self.send_reset(sender)
        if not self.closed:
            self.fail(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))

    def _take(self, limit: int) -> bytes:
        taken, size = [], 0
        while size < limit:
            chunk = self._chunks.popleft()
            if size + len(chunk) > limit:
                cut = limit - size
                self._chunks.appendleft(chunk[cut:])
                chunk = chunk[:cut]
            taken.append(chunk)
            size += len(chunk)
        return b"".join(taken)

    def break_off(self) -> None:
        """Reset it from outside, as `ss --kill` or a firewall does: both programs find it reset."""
        if self.error is None and self.alive():
            self.reset()
            self.fail(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))

    def send_reset(self, to: Endpoint) -> None:
        """A reset is not retransmitted: over a cut it is lost."""
        network, host = self.network, self.host
        now = network.schedule.now
        network.trace.record(now, host.name, "tcp_reset", network.cause[0], to=to.host.name)
        if host is to.host and not self.in_flight and self._lands < now and host.at_once(now):
            was_reset(to)
            return
        path = network.path(host, to.host)
        if path is not None:
            network.schedule.after(host.ahead + path.delay(), was_reset, to)


def _nobody() -> None:
    """Nobody waits here."""


class _Gone:
    """The peer of a connection that is over at both ends: what was under way goes nowhere."""

    closed, eof, error, boot = True, True, ConnectionResetError(), 0
    host = SimpleNamespace(up=False)

    def alive(self) -> bool:
        return False

    def missed(self, *_: object) -> None:
        """No answer."""


GONE: Any = _Gone()
