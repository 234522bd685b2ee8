"""Datagrams: loss, duplicates, reordering, corruption, the receive buffer, and who hears that nobody listens.

Follows udp(7) and Linux' defaults. Knows no event loop: a socket calls `on_readable` when something came.
"""

import errno
import os
from collections import deque
from collections.abc import Callable
from zlib import crc32

from sim.network.host import ANY, Address, Host, is_loopback
from sim.network.network import Network, Path

__all__ = ["MAX_DATAGRAM_BYTES", "DatagramSocket"]

MAX_DATAGRAM_BYTES = 65507  # 65535 less the IP and UDP headers; more is EMSGSIZE
RECEIVE_BUFFER_BYTES = 212_992  # Linux: net.core.rmem_default
_OVERHEAD_BYTES = 768  # what Linux charges a small datagram on top (skb->truesize)


class _Packet:
    """A datagram under way."""

    __slots__ = ("data", "line", "source", "target", "to", "via")

    def __init__(self, via: "DatagramSocket", target: Host, to: Address, data: bytes, line: int) -> None:
        self.via, self.target, self.to, self.data, self.line = via, target, to, data, line
        ip, port = via.address
        if ip in ANY:
            ip = "127.0.0.1" if is_loopback(to[0]) else via.host.ip
        self.source: Address = (ip, port)


class DatagramSocket:
    """A bound UDP socket of a host. Raises OSError as bind() does."""

    def __init__(self, network: Network, host: Host, ip: str, port: int) -> None:
        self.network, self.host = network, host
        self.address = host.bind(host.datagram_sockets, ip, port)
        host.datagram_sockets[self.address] = self
        self.remote: Address | None = None
        self.closed = False
        self.on_readable: Callable[[], None] = _nobody
        self.queue: deque[tuple[bytes, Address] | OSError] = deque()
        self._queued_bytes = 0
        trace = network.trace
        self._node = trace.node(host.name)
        self._sent = trace.shape("sent", "to", "protocol", "bytes", "crc")
        self._received = trace.shape("received", "from", "protocol", "bytes")
        self._dropped = trace.shape("dropped", "to", "protocol", "reason")

    def send(self, data: bytes, to: Address) -> None:
        """Send one datagram to (ip, port). Raises OSError (EMSGSIZE)."""
        if self.closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if len(data) > MAX_DATAGRAM_BYTES:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        network, host = self.network, self.host
        target = network.host_of(to[0], host)
        now = network.schedule.environment._now + host.ahead
        name = target.name if target is not None else to[0]
        line = network.trace.append(
            (self._sent, now, self._node, network.cause[0], name, "udp", len(data), crc32(data))
        )
        path = network.path(host, target) if target is not None else None
        if path is None or target is None:
            self._drop(now, line, name, "cut" if target is not None else "down")
            return
        if to[0] == target.name:
            to = (target.ip, to[1])
        packet = _Packet(self, target, to, data, line)
        if path.plain:
            network.schedule.after(host.ahead + path.delay(), self._arrive, packet)
        else:
            self._send_over(path, packet, now)

    def _send_over(self, path: Path, packet: _Packet, now: float) -> None:
        """The same over a link that does more than delay. Each thing that may befall a packet is drawn for itself."""
        link, network = path.link, self.network
        draw = network.random.random
        if link.loss and draw() < link.loss:
            self._drop(now, packet.line, packet.target.name, "loss")
            return
        delay = path.delay() + self.host.ahead
        if link.bandwidth:
            start = max(now, path.busy_until)
            if (start - now) * link.bandwidth > link.queue:
                self._drop(now, packet.line, packet.target.name, "queue_full")
                return
            path.busy_until = start + len(packet.data) / link.bandwidth
            delay += path.busy_until - now
        if link.corrupt and packet.data and draw() < link.corrupt:
            packet.data = _flip_a_bit(packet.data, network.random.randrange(len(packet.data) * 8))
        if link.reorder and draw() < link.reorder:
            delay += path.delay()
        network.schedule.after(delay, self._arrive, packet)
        if link.duplicate and draw() < link.duplicate:
            network.schedule.after(delay + path.delay(), self._arrive, packet)

    def _arrive(self, packet: _Packet) -> None:
        host = packet.target
        if not host.up:
            self._drop(self._now(), packet.line, host.name, "down")
            return
        socket: DatagramSocket | None = host.lookup(host.datagram_sockets, packet.to[0], packet.to[1])
        if socket is None:
            self._drop(self._now(), packet.line, host.name, "no_listener")
            self._unreachable(packet)
        elif socket.remote is None or socket.remote == packet.source:
            socket._deliver(packet)

    def _deliver(self, packet: _Packet) -> None:
        size = len(packet.data)
        if self._queued_bytes + size + _OVERHEAD_BYTES > RECEIVE_BUFFER_BYTES and self.queue:
            packet.via._drop(self._now(), packet.line, self.host.name, "buffer_full")
            return
        self._queued_bytes += size + _OVERHEAD_BYTES
        network = self.network
        line = network.trace.append(
            (self._received, self._now(), self._node, packet.line, packet.via.host.name, "udp", size)
        )
        self.queue.append((packet.data, packet.source))
        network.cause[0] = line
        self.on_readable()
        network.cause[0] = 0

    def receive(self) -> tuple[bytes, Address]:
        """The next datagram. Raises IndexError when there is none, OSError when a datagram of ours was refused."""
        item = self.queue.popleft()
        if isinstance(item, OSError):
            raise item
        self._queued_bytes -= len(item[0]) + _OVERHEAD_BYTES
        return item

    def close(self) -> None:
        self.closed = True
        self.on_readable = _nobody
        self.queue.clear()
        if self.host.datagram_sockets.get(self.address) is self:
            del self.host.datagram_sockets[self.address]

    def _unreachable(self, packet: _Packet) -> None:
        """ICMP port unreachable: only a connected socket hears of it."""
        back = self.network.path(packet.target, self.host)
        if self.remote is not None and back is not None:
            self.network.schedule.after(back.delay(), self._refused, None)

    def _refused(self, _: None) -> None:
        self.queue.append(ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)))
        self.on_readable()

    def _drop(self, now: float, line: int, to: str, reason: str) -> None:
        self.network.trace.append((self._dropped, now, self._node, line, to, "udp", reason))

    def _now(self) -> float:
        now: float = self.network.schedule.environment._now
        return now


def _flip_a_bit(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _nobody() -> None:
    """Nobody reads here any more."""
