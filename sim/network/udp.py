"""Datagrams: who hears them, the receive buffer, and who is told that nobody listens.

Follows udp(7) and Linux' defaults. Knows no event loop: a socket calls `on_readable` when something came. What befalls
a datagram on its way is sim.network.fate's. Tests: tests/sim/network/test_udp.py.
"""

import errno
import os
import socket
from collections.abc import Callable
from heapq import heappush
from zlib import crc32

from sim.network import fate
from sim.network.fabric import Network, Path
from sim.network.host import (
    ANY,
    AT_ONCE,
    OVERHEAD_BYTES,
    RECEIVE_BUFFER_BYTES,
    Address,
    Host,
    Sink,
    is_loopback,
)
from sim.network.netstat import SocketRow, shown

__all__ = ["MAX_DATAGRAM_BYTES", "DatagramSocket"]

MAX_DATAGRAM_BYTES = 65507  # 65535 less the IP and UDP headers; more is EMSGSIZE
BROADCAST = ("255.255.255.255", "10.255.255.255")  # whoever is on the network; and the net of those that got no address


# A datagram under way: the socket that sent it, the target, (ip, port) it goes to, source, data, line of `sent`.
_Packet = tuple["DatagramSocket", Host, Address, Address, bytes, int]


class DatagramSocket:
    """A bound UDP socket of a host. Raises OSError as bind() does.

    One of IPv6 that is bound to no address hears IPv4 as well, where it is `dual`.
    """

    __slots__ = (
        "_append",
        "_next_line",
        "_node",
        "_queued_bytes",
        "_received",
        "_sent",
        "_source",
        "_wildcard",
        "address",
        "closed",
        "hears_errors",
        "host",
        "may_broadcast",
        "network",
        "on_readable",
        "queue",
        "remote",
        "sink",
    )

    def __init__(self, network: Network, host: Host, ip: str, port: int, dual: bool = False) -> None:
        self.network, self.host = network, host
        self.address = host.bind(host.datagram_sockets, ip, port)
        if dual:
            host.datagram_sockets[host.bind(host.datagram_sockets, "0.0.0.0", self.address[1])] = self
        host.datagram_sockets[self.address] = self
        self.may_broadcast = False
        self.hears_errors = False
        """Whether it hears of refusals while it is not connected, too."""
        self._wildcard = self.address[0] in ANY
        own = (host.ip6 or "::1") if ":" in ip else host.ip
        self._source: Address = (own, self.address[1]) if self._wildcard else self.address
        self.remote: Address | None = None
        self.closed = False
        self.on_readable: Callable[[], None] = _nobody
        self.sink: Sink | None = None
        # A list, as a deque takes 760 bytes a socket and there are never more than some hundreds in it.
        self.queue: list[tuple[bytes, Address] | OSError] = []
        self._queued_bytes = 0
        trace = network.trace
        self._append, self._next_line = trace.append, trace.next_line
        self._node = trace.node(host.name)
        self._sent, self._received = network.sent, network.received

    def connect(self, remote: Address) -> None:
        """From now on it sends to that address and hears it alone; a wildcard becomes the address that leads there."""
        self.remote = remote
        if self._wildcard:
            self._unbind()
            self._source = self.address = (self.host.source_for(remote[0]), self.address[1])
            self._wildcard = False
            self.host.datagram_sockets[self.address] = self

    def send(self, data: bytes, to: Address) -> None:
        """Send one datagram to (ip, port). Raises OSError (EMSGSIZE)."""
        network, host = self.network, self.host
        hearer, path, size = network.hearers.get(to), network.plain, len(data)
        if (
            path is None
            or hearer is None
            or hearer.closed
            or (target := hearer.host) is host
            or size > MAX_DATAGRAM_BYTES
            or self.closed
        ):
            self._send_otherwise(data, to)
            return
        schedule = network.schedule
        now = schedule.now + host.ahead
        line = self._next_line()
        self._append((self._sent, now, self._node, network.cause[0], target.name, "udp", size, crc32(data)))
        packet = (self, hearer, to, self._source, data, line)
        heappush(schedule.queue, (now + path.delay(), 1, schedule.next_key(), _arrive_at, packet))

    def _send_otherwise(self, data: bytes, to: Address) -> None:
        """As `send`, for every case that its fast path leaves out."""
        if self.closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if to[1] == 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if len(data) > MAX_DATAGRAM_BYTES:
            raise OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
        if to[0] in ANY:
            to = ("::1" if ":" in to[0] else "127.0.0.1"), *to[1:]  # as Linux takes it
        ip, network = to[0], self.network
        if ip == "localhost":
            ip = "127.0.0.1"
            to = (ip, to[1])
        if ip in BROADCAST or ip == "127.255.255.255":
            if not self.may_broadcast:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if ip in BROADCAST:
                for each in list(network.hosts.values()):
                    self._send_to(each, data, ("0.0.0.0", to[1]))
                return
        target = network.directory.get(ip) or network.host_of(ip, self.host)
        if target is None and ":" not in ip and not ip[-1:].isdecimal():
            raise socket.gaierror(socket.EAI_NONAME, f"no node is called {ip!r}")
        if ":" in ip and ":" not in self.address[0]:
            raise socket.gaierror(socket.EAI_ADDRFAMILY, f"{ip} is no address of IPv4, as the socket is")
        self._send_to(target, data, to)

    def _send_to(self, target: Host | None, data: bytes, to: Address) -> None:
        """To a machine, None = nobody's address. Where `to` has none, only a socket bound to none hears it."""
        network, host, schedule = self.network, self.host, self.network.schedule
        now = schedule.now + host.ahead
        name = target.name if target is not None else to[0]
        line = self._next_line()
        self._append((self._sent, now, self._node, network.cause[0], name, "udp", len(data), crc32(data)))
        path = network.path(host, target) if target is not None else None
        if path is None or target is None:
            self._drop(now, line, name, "cut" if target is not None else "down")
            return
        source = self._source
        if self._wildcard and (is_loopback(to[0]) if target is host else (":" in to[0]) != (":" in source[0])):
            source = (host.source_for(to[0]) if to[0] not in ANY else host.ip, source[1])
        packet = (self, target, to, source, data, line)
        if (
            target is not host
            and ":" not in self.address[0]
            and to[0] not in ANY
            and (hearer := _hearer(target, to)) is not None
        ):
            network.hearers[to] = hearer
        if target is host and host.at_once(schedule.now):
            cause = network.cause[0]
            _arrive(packet)
            network.cause[0] = cause
        elif path.plain:
            delay = path.delay() if target is not host else path.delay() * AT_ONCE  # for those that took no time
            schedule.at(now + delay, _arrive, packet)
        else:
            self._send_over(path, packet, now)

    def _send_over(self, path: Path, packet: _Packet, now: float) -> None:
        """The same over a link that does more than delay."""
        network = self.network
        _, target, to, source, data, line = packet
        verdict = fate.datagram(path, path.delay, network.random, now, data)
        if isinstance(verdict, str):
            self._drop(now, line, target.name, verdict)
            return
        for when, arrived in verdict:
            network.schedule.at(when, _arrive, (self, target, to, source, arrived, line))

    def deliver(self, sender: str, data: bytes, source: Address, line: int, waited: bool) -> bool:
        """Hand a datagram to its reader, or put it into the receive buffer; False where that is full.

        Unless it has `waited` there, it comes into the machine's inbox first, where there is one.
        """
        inbox = self.host.inbox
        if inbox is not None and not waited:
            return inbox.datagram(self, sender, data, source, line)
        size = len(data)
        if self.queue and self._queued_bytes + size + OVERHEAD_BYTES > RECEIVE_BUFFER_BYTES:
            return False
        network = self.network
        cause, now = network.cause, network.schedule.now
        cause[0] = self._next_line()
        self._append((self._received, now, self._node, line, sender, "udp", size))
        sink, datagram = self.sink, (data, source)
        if sink is None or self.queue or not sink[0](sink[1], sink[2], datagram):
            self._keep(datagram)
        cause[0] = 0
        return True

    def _keep(self, datagram: tuple[bytes, Address]) -> None:
        self._queued_bytes += len(datagram[0]) + OVERHEAD_BYTES
        self.queue.append(datagram)
        self.on_readable()

    def receive(self) -> tuple[bytes, Address]:
        """The next datagram. Raises IndexError when there is none, OSError when a datagram of ours was refused."""
        item = self.queue.pop(0)
        if isinstance(item, OSError):
            raise item
        self._queued_bytes -= len(item[0]) + OVERHEAD_BYTES
        return item

    def peek(self) -> tuple[bytes, Address]:
        """As `receive`, but it stays."""
        item = self.queue[0]
        return item if not isinstance(item, OSError) else self.receive()

    def close(self) -> None:
        self.closed = True
        self.network.hearers.clear()
        self.sink = None
        self.on_readable = _nobody
        self.queue.clear()
        self._unbind()

    def _unbind(self) -> None:
        sockets = self.host.datagram_sockets
        for address in (self.address, ("0.0.0.0", self.address[1])):
            if sockets.get(address) is self:
                del sockets[address]

    def _unreachable(self, target: Host) -> None:
        """ICMP port unreachable: a connected socket gets the error; others only with IP_RECVERR."""
        back = self.network.path(target, self.host)
        if (self.remote is None and not self.hears_errors) or back is None:
            return
        if target is self.host:
            self._refused(None)
        else:
            self.network.schedule.after(back.delay(), self._refused, None)

    def _refused(self, _: None) -> None:
        """The next call raises this error once, even if datagrams have arrived (Linux: sk_err)."""
        if not self.closed:
            self.take_error()
            self.queue.insert(0, ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED)))
            self.on_readable()

    @property
    def has_error(self) -> bool:
        """Whether the next call hears that a datagram was refused."""
        return bool(self.queue) and isinstance(self.queue[0], OSError)

    def take_error(self) -> OSError | None:
        """Return the pending error of a refused datagram, and clear it; None if there is none."""
        first = self.queue[0] if self.queue else None
        if isinstance(first, OSError):
            del self.queue[0]
            return first
        return None

    def send_connected(self, data: bytes, to: Address) -> None:
        """As `send`, where it is connected: it hears first that an earlier one was refused."""
        refused = self.take_error()
        if refused is not None:
            raise refused
        self.send(data, to)

    def send_over_any(self, data: bytes, to: Address) -> None:
        """As `send`, where it may be of either family."""
        refused = self.take_error() if self.remote is not None else None
        if refused is not None:
            raise refused
        self._send_otherwise(data, to)

    def row(self) -> SocketRow:
        unread = sum(len(item[0]) for item in self.queue if not isinstance(item, OSError))
        peer, state = ("*", "") if self.remote is None else (shown(self.remote), "ESTABLISHED")
        return SocketRow(self.host.name, "udp", shown(self.address), peer, state, unread, 0)

    def _drop(self, now: float, line: int, to: str, reason: str) -> None:
        self._next_line()
        self._append((self.network.dropped, now, self._node, line, to, "udp", reason))


def _arrive_at(packet: tuple[DatagramSocket, DatagramSocket, Address, Address, bytes, int]) -> None:
    """As `_arrive`, at the socket that heard that address when the datagram was sent: the hot path, in one piece."""
    sender, hearer, to, source, data, line = packet
    host, sink = hearer.host, hearer.sink
    if sink is None or hearer.closed or hearer.queue or hearer.remote is not None or host.inbox is not None:
        _arrive((sender, host, to, source, data, line))
        return
    network = hearer.network
    cause, now = network.cause, network.schedule.now
    cause[0] = hearer._next_line()
    hearer._append((hearer._received, now, hearer._node, line, sender.host.name, "udp", len(data)))
    datagram = data, source
    if not sink[0](sink[1], sink[2], datagram):
        hearer._keep(datagram)
    cause[0] = 0


def _hearer(target: Host, to: Address) -> DatagramSocket | None:
    """The socket of a machine that hears an address, which may be a name."""
    ip = target.ip if to[0] == target.name else to[0]
    sockets = target.datagram_sockets
    return sockets.get((ip, to[1])) or target.lookup(sockets, ip, to[1])


def _arrive(packet: _Packet) -> None:
    sender, target, to, source, data, line = packet
    reason = "down"
    if target.up:
        socket = _hearer(target, to)
        if socket is None:
            reason = "no_listener"
            sender._unreachable(target)
        elif (socket.remote is not None and socket.remote != source) or socket.deliver(
            sender.host.name, data, source, line, False
        ):
            return
        else:
            reason = "buffer_full"
    sender._drop(sender.network.schedule.now, line, target.name, reason)


def _nobody() -> None:
    """Nobody reads here any more."""
