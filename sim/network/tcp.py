"""Stream connections as a program sees them: connect, refuse, bytes in order, retransmission, windows, FIN and RST.

One simulated event carries one write of up to 64 KiB, however many packets it would be. What is modelled and what is
left out: docs/network-model.md. Follows RFC 9293 and Linux' defaults. Knows no event loop: an endpoint calls
`on_readable` and `on_writable`, and answers `send` and `receive` as a non-blocking socket does.
"""

from __future__ import annotations

import errno
import math
import os
from collections import deque
from collections.abc import Callable
from heapq import heappush
from zlib import crc32

from sim.network.host import AT_ONCE, Address, Host
from sim.network.network import Network, Path
from sim.network.schedule import Call

__all__ = ["Connecting", "Endpoint", "Listener"]

SEGMENT_BYTES = 64 * 1024
PACKET_BYTES = 1448  # Ethernet's MTU less IP and TCP headers with timestamps
SEND_BUFFER_BYTES = 256 * 1024
WINDOW_BYTES = 256 * 1024  # sent and not yet read by the other program
BACKLOG = 100  # asyncio's default
MIN_RTO = 0.2  # Linux: TCP_RTO_MIN; the time-out is the round trip plus this
MAX_RTO = 120.0  # Linux: TCP_RTO_MAX
USER_TIMEOUT = 924.6  # Linux: tcp_retries2 = 15
SYN_TIMEOUTS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)  # Linux: tcp_syn_retries = 6

_FIN, _ACCEPTED = b"FIN", b"ACK"  # markers, known by identity


class Endpoint:
    """One end of a connection: a connected socket."""

    def __init__(self, network: Network, host: Host, local: Address, remote: Address) -> None:
        self.network, self.host = network, host
        self.local, self.remote = local, remote
        self.peer: Endpoint
        self._to = ""
        self.listener: Listener | None = None
        self.on_readable: Callable[[], None] = _nobody
        self.on_writable: Callable[[], None] = _nobody
        self._arrival = Call((_arrive, self))
        self.error: OSError | None = None
        self.closed = False
        self.eof = False
        self.unread = 0
        """Bytes that have arrived and nobody has read."""
        self._boot = host.boots
        self._chunks: deque[bytes] = deque()
        # Sending. Counters since the start; what is known of the other end is only looked at when it limits us.
        self._accepted = 0
        self._acknowledged = 0
        self._known_read = 0
        self._transmitted = 0
        self._blocked = False
        self._backlog: deque[bytes] = deque()
        self._ended = False
        # The other direction's receiver keeps these.
        self._arrived = 0
        self._read = 0
        # Packets under way, in order; the arrival event takes the first.
        self._in_flight: deque[tuple[bytes, int]] = deque()
        self._last_arrival = 0.0
        self._resend: deque[tuple[bytes, int]] = deque()
        self._stalled_since: float | None = None
        self._timeout = MIN_RTO
        trace = network.trace
        self._node = trace.node(host.name)
        self._sent_shape = trace.shape("sent", "to", "protocol", "bytes", "crc")
        self._received_shape = trace.shape("received", "from", "protocol", "bytes")
        self._record = trace.append
        host.endpoints[self] = None

    def join(self, peer: Endpoint) -> None:
        self.peer, self._to = peer, peer.host.name

    # -- what a program calls --------------------------------------------------------------------------------------

    @property
    def readable(self) -> bool:
        return bool(self._chunks) or self.eof or self.error is not None

    @property
    def writable(self) -> bool:
        if self.error is not None or self._ended:
            return True
        acknowledged = self._acknowledged if self._blocked else self.peer._arrived
        return self._accepted - acknowledged < SEND_BUFFER_BYTES

    def send(self, data: bytes) -> int:
        """Take as much of `data` as there is room for; returns how much, 0 = none now, `on_writable` tells.

        Raises OSError once the connection is reset, or after `shutdown`.
        """
        if self.error is not None:
            raise self.error
        if self._ended:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        size = len(data)
        if (
            size <= SEGMENT_BYTES
            and not (self._blocked or self._backlog)
            and self._stalled_since is None
            and self._accepted + size - self.peer._read <= WINDOW_BYTES
            and self.host.boots == self._boot
        ):  # the common case: room in the buffer, the window and a segment
            self._accepted += size
            self._transmitted += size
            network = self.network
            schedule = network.schedule
            now = schedule.environment._now + self.host.ahead
            cause = network.cause[0]
            line = self._record((self._sent_shape, now, self._node, cause, self._to, "tcp", size, crc32(data)))
            path = network.uniform
            if path is None or not path.plain or self.host is self.peer.host:
                self._transmit(data, line)
            else:
                now += path.delay()
                self._last_arrival = when = max(now, self._last_arrival)
                self._in_flight.append((data, line))
                heappush(schedule.queue, (when, 1, schedule.next_key(), self._arrival))
            return size
        acknowledged = self._acknowledged if self._blocked else self.peer._arrived
        room = SEND_BUFFER_BYTES - (self._accepted - acknowledged)
        if room <= 0:
            self._block()
            return 0
        if size > room:
            data = data[:room]
            size = room
            self._block()
        self._accepted += size
        self._backlog.append(data)
        self._pump()
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
                self._tell_sender()
            return data
        if self.error is not None:
            raise self.error
        if self.eof:
            return b""
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def shutdown(self) -> None:
        """End our direction: FIN after all that was taken."""
        if not self._ended:
            self._ended = True
            self._backlog.append(_FIN)
            self._pump()

    def close(self) -> None:
        """Close the socket. What was taken is still sent; unread bytes make it a reset, as on Linux."""
        if self.closed:
            return
        self.closed = True
        self.on_readable = self.on_writable = _nobody
        self.host.endpoints.pop(self, None)
        if self.error is None and self._alive():
            if self.unread:
                self.reset()
            else:
                self.shutdown()

    def reset(self) -> None:
        """Send RST and forget the connection."""
        self._backlog.clear()
        self._resend.clear()
        self._ended = True
        self.error = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        self._send_reset(self.peer)

    # -- sending ---------------------------------------------------------------------------------------------------

    def _alive(self) -> bool:
        """False once the machine has lost power since: nothing of this connection is left on it."""
        return self.host.boots == self._boot

    def _pump(self) -> None:
        """Transmit what the window admits."""
        backlog = self._backlog
        while backlog and self._stalled_since is None and self._alive():
            data = backlog[0]
            if data is _FIN:
                backlog.popleft()
                self._transmit(_FIN, 0)
                return
            read = self._known_read if self._blocked else self.peer._read
            room = WINDOW_BYTES - (self._transmitted - read)
            if room <= 0:
                self._block()
                return
            size = min(len(data), room, SEGMENT_BYTES)
            if size == len(data):
                backlog.popleft()
            else:
                backlog[0], data = data[size:], data[:size]
            self._transmitted += size
            self._transmit(data, self._trace_sent(data))

    def _transmit(self, data: bytes, line: int) -> None:
        network, host = self.network, self.host
        target = self.peer.host
        path = network.uniform
        if host is target:
            if not self._in_flight and host.at_once(network.schedule.environment._now):
                self._in_flight.append((data, line))
                cause = network.cause[0]
                _arrive(self)
                network.cause[0] = cause
                return
            path = network.path(host, target)
        elif path is None:
            path = network.path(host, target)
        if path is None:
            self._stall((data, line))
            return
        schedule = network.schedule
        now = schedule.environment._now
        # The handshake's last acknowledgement is not lost: whatever follows stands in for it.
        over = path.plain or data is _ACCEPTED
        delay = path.delay() if over else self._delay_over(path, len(data), now)
        if host is target:
            delay *= AT_ONCE  # for those that took no time
        when = now + host.ahead + delay
        when = max(when, self._last_arrival)
        self._last_arrival = when
        self._in_flight.append((data, line))
        heappush(schedule.queue, (when, 1, schedule.next_key(), self._arrival))

    def _delay_over(self, path: Path, size: int, now: float) -> float:
        """Latency, the wire's time, and a retransmission time-out, doubling, for each time a packet of it is lost."""
        link, draw = path.link, self.network.random.random
        delay = path.delay()
        if link.bandwidth:
            start = max(now, path.busy_until)
            path.busy_until = start + size / link.bandwidth
            delay += path.busy_until - now
        passed = (1 - link.loss) * (1 - link.corrupt)
        lost = 1 - passed ** max(1, math.ceil(size / PACKET_BYTES))
        timeout = MIN_RTO + 2 * link.delay.mean
        while lost and draw() < lost:
            delay += timeout
            timeout = min(2 * timeout, MAX_RTO)
        return delay

    def _trace_sent(self, data: bytes) -> int:
        network = self.network
        now = network.schedule.environment._now + self.host.ahead
        cause = network.cause[0]
        return self._record((self._sent_shape, now, self._node, cause, self._to, "tcp", len(data), crc32(data)))

    def _block(self) -> None:
        """From now on the other end's progress counts when its acknowledgement has come back."""
        if not self._blocked:
            self._blocked = True
            self._acknowledged, self._known_read = self.peer._arrived, self.peer._read

    def _tell_sender(self) -> None:
        """Acknowledge: the sender learns, one way later, how far this end has come."""
        self._acknowledge((self._arrived, self._read))

    def _acknowledge(self, progress: tuple[int, int]) -> None:
        network = self.network
        path = network.path(self.host, self.peer.host)
        if not self._alive():
            return
        if path is None:
            network.schedule.after(1.0, self._acknowledge, progress)  # asked for again by the sender's probes
        else:
            network.schedule.after(self.host.ahead + path.delay(), self.peer._learn, progress)

    def _learn(self, progress: tuple[int, int]) -> None:
        if not self._alive() or self.error is not None:
            return
        self._acknowledged = max(self._acknowledged, progress[0])
        self._known_read = max(self._known_read, progress[1])
        self._pump()
        if not self._backlog and self._accepted - self._acknowledged < SEND_BUFFER_BYTES:
            self._blocked = False
        self.on_writable()

    # -- retransmission --------------------------------------------------------------------------------------------

    def _stall(self, packet: tuple[bytes, int]) -> None:
        """The way is cut or the other machine silent: keep it, and try again when the time-out has passed."""
        self._resend.append(packet)
        if self._stalled_since is None:
            network = self.network
            path_mean = self._last_mean()
            self._stalled_since = network.schedule.environment._now
            self._timeout = MIN_RTO + 2 * path_mean
            network.schedule.after(self._timeout, self._retry, None)

    def _last_mean(self) -> float:
        path = self.network.path(self.host, self.peer.host)
        return 0.0 if path is None else path.link.delay.mean

    def _retry(self, _: None) -> None:
        if not self._alive() or self.error is not None or self._stalled_since is None:
            return
        network, now = self.network, self.network.schedule.environment._now
        if now - self._stalled_since > USER_TIMEOUT:
            self._fail(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
        elif network.path(self.host, self.peer.host) is None or not self.peer.host.up:
            self._timeout = min(2 * self._timeout, MAX_RTO)
            network.schedule.after(self._timeout, self._retry, None)
        else:
            self._stalled_since = None
            packets, self._resend = self._resend, deque()
            while packets:
                self._transmit(*packets.popleft())
                if self._stalled_since is not None:
                    self._resend.extend(packets)
                    return
            self._pump()

    def _fail(self, error: OSError) -> None:
        """The connection is over. What has arrived can still be read, then comes the error."""
        self.error = error
        self._backlog.clear()
        self._resend.clear()
        self._ended = True
        self.on_writable()
        self.on_readable()

    # -- receiving -------------------------------------------------------------------------------------------------

    def _accept_packet(self, data: bytes, line: int, sender: Endpoint) -> None:
        if data is _ACCEPTED:
            if self.listener is not None:
                self.listener.add(self)
        elif data is _FIN:
            self.eof = True
            self.on_readable()
        elif self.closed:
            self._send_reset(sender)
        else:
            size = len(data)
            self._arrived += size
            self.unread += size
            self._chunks.append(data)
            network = self.network
            cause, now = network.cause, network.schedule.environment._now
            cause[0] = self._record((self._received_shape, now, self._node, line, self._to, "tcp", size))
            if sender._blocked:
                self._tell_sender()
            self.on_readable()
            cause[0] = 0

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

    def _send_reset(self, to: Endpoint) -> None:
        """A reset is not retransmitted: over a cut it is lost."""
        network = self.network
        network.trace.record(
            network.schedule.environment._now, self.host.name, "tcp_reset", network.cause[0], to=to.host.name
        )
        path = network.path(self.host, to.host)
        if path is not None:
            network.schedule.after(self.host.ahead + path.delay(), _was_reset, to)


def _arrive(sender: Endpoint) -> None:
    """The first packet under way reaches the other machine."""
    data, line = sender._in_flight.popleft()
    target = sender.peer
    if not target.host.up:
        if sender._alive():
            sender._stall((data, line))
    elif target.host.boots == target._boot and target.error is None:
        target._accept_packet(data, line, sender)
    elif sender._alive() and sender.error is None:
        # Nobody knows this connection here any more.
        target._send_reset(sender)


def _was_reset(endpoint: Endpoint) -> None:
    if endpoint._alive() and endpoint.error is None:
        endpoint._fail(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))


class Listener:
    """A listening socket: connections that wait to be accepted. `key` is (ip, port) or a Unix socket's path."""

    def __init__(self, network: Network, host: Host, key: tuple[str, int] | str, backlog: int = BACKLOG) -> None:
        self.network, self.host, self.backlog = network, host, max(1, backlog)
        if isinstance(key, str):
            if key in host.listeners:
                raise OSError(errno.EADDRINUSE, f"Address {key!r} is already in use")
            self.key: tuple[str, int] | str = key
        else:
            self.key = host.bind(host.listeners, *key)
        host.listeners[self.key] = self
        self.queue: deque[Endpoint] = deque()
        self.pending = 0
        """Connections that are being set up or wait to be accepted."""
        self.on_readable: Callable[[], None] = _nobody

    def add(self, endpoint: Endpoint) -> None:
        endpoint.listener = None
        self.queue.append(endpoint)
        self.on_readable()

    def accept(self) -> Endpoint:
        """The next connection. Raises IndexError when there is none."""
        endpoint = self.queue.popleft()
        self.pending -= 1
        return endpoint

    def close(self) -> None:
        self.on_readable = _nobody
        if self.host.listeners.get(self.key) is self:
            del self.host.listeners[self.key]
        while self.queue:
            self.queue.popleft().reset()


class Connecting:
    """A connection being set up. Calls `done(endpoint)` or `done(OSError)` once, unless cancelled."""

    def __init__(
        self,
        network: Network,
        host: Host,
        key: tuple[str, int] | str,
        done: Callable[[Endpoint | OSError], None],
        local: Address | None = None,
    ) -> None:
        self.network, self.host, self.key, self.done = network, host, key, done
        self._boot = host.boots
        self._attempt = 0
        if isinstance(key, str):
            self.target: Host | None = host
            self.local: Address = ("", 0)
        else:
            self.target = network.host_of(key[0], host)
            ip = "127.0.0.1" if self.target is host and key[0] != host.ip else host.ip
            self.local = (local[0] or ip, local[1] or host.ephemeral_port()) if local else (ip, host.ephemeral_port())
        self._cancelled = False
        self._syn(None)

    def cancel(self) -> None:
        self._cancelled = True

    @property
    def finished(self) -> bool:
        return self._attempt < 0

    def _over(self) -> bool:
        return self._cancelled or self.host.boots != self._boot

    def _delay(self, source: Host, target: Host) -> float | None:
        """Seconds to the other host, None where the packet is lost."""
        path = self.network.path(source, target)
        if path is None or (path.link.loss and self.network.random.random() < path.link.loss):
            return None
        return path.delay()

    def _syn(self, _: None) -> None:
        if self._over():
            return
        if self._attempt == len(SYN_TIMEOUTS):
            self._finish(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
            return
        network, target = self.network, self.target
        if target is self.host and target.at_once(network.schedule.environment._now):
            listener = self._listener()
            if listener is None or listener.pending < listener.backlog:
                if listener is not None:
                    listener.pending += 1
                self._answer((listener, target.boots))
                return
        network.schedule.after(SYN_TIMEOUTS[self._attempt], self._again, self._attempt)
        delay = None if target is None else self._delay(self.host, target)
        if delay is not None:
            network.schedule.after(self.host.ahead + delay, self._syn_arrives, None)

    def _again(self, attempt: int) -> None:
        if attempt == self._attempt:
            self._attempt += 1
            self._syn(None)

    def _syn_arrives(self, _: None) -> None:
        target = self.target
        assert target is not None, "only sent to a host"
        if self._over() or not target.up:
            return
        listener = self._listener()
        if listener is not None and listener.pending >= listener.backlog:
            return
        back = self._delay(target, self.host)
        if back is None:
            return
        if listener is not None:
            listener.pending += 1
        self.network.schedule.after(target.ahead + back, self._answer, (listener, target.boots))

    def _listener(self) -> Listener | None:
        assert self.target is not None, "only asked of a host"
        listeners = self.target.listeners
        if isinstance(self.key, str):
            return listeners.get(self.key)
        found: Listener | None = self.target.lookup(listeners, self.key[0], self.key[1])
        return found

    def _answer(self, answer: tuple[Listener | None, int]) -> None:
        listener, boots = answer
        if self._over() or self._attempt < 0:
            if listener is not None:
                listener.pending -= 1
            return
        if listener is None:
            self._finish(ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)))
            return
        target = listener.host
        remote = self.key if isinstance(self.key, tuple) else ("", 0)
        client = Endpoint(self.network, self.host, self.local, remote)
        server = Endpoint(self.network, target, remote, self.local)
        server._boot = boots
        server.listener = listener
        client.join(server)
        server.join(client)
        client._transmit(_ACCEPTED, 0)
        self._finish(client)

    def _finish(self, result: Endpoint | OSError) -> None:
        self._attempt = -1  # whatever else arrives is stale
        network, to = self.network, self.target.name if self.target else str(self.key)
        name = "tcp_connected" if isinstance(result, Endpoint) else "tcp_refused"
        network.trace.record(network.schedule.environment._now, self.host.name, name, to=to)
        self.done(result)


def _nobody() -> None:
    """Nobody waits here."""
