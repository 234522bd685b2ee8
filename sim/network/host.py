"""A machine's network stack as others see it: its addresses, its ports, and whether it is up.

Knows no event loop: a socket calls `on_readable`, `on_writable`, which the kernel's transports set. Tests:
tests/sim/network/test_network.py, and tests/sim/twins against Linux.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Container, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.network.ports import Bound

if TYPE_CHECKING:
    from sim.network.inbox import Inbox
    from sim.network.netstat import SocketRow
    from sim.network.tcp.connect import Connecting, Listener
    from sim.network.tcp.endpoint import Endpoint
    from sim.network.udp import DatagramSocket

__all__ = [
    "ANY",
    "AT_ONCE",
    "OVERHEAD_BYTES",
    "RECEIVE_BUFFER_BYTES",
    "Address",
    "Host",
    "Place",
    "Sink",
    "UnixFile",
    "is_loopback",
]

Address = tuple[Any, ...]
Sink = tuple[Callable[[Any, Any, Any], bool], Any, Any]
"""Takes what arrives straight away, called with the two others and that; False where it has to wait. A partial() would
be a detour through C."""
ANY: Final = frozenset({"0.0.0.0", "::"})
AT_ONCE = 128
"""Packets that a machine sends itself in one instant and that need no time."""
RECEIVE_BUFFER_BYTES = 212_992
"""Of datagrams that wait to be read; Linux: net.core.rmem_default."""
OVERHEAD_BYTES = 768
"""What Linux charges a small datagram on top (skb->truesize)."""
FIRST_EPHEMERAL, LAST_EPHEMERAL = 32768, 60999  # Linux: net.ipv4.ip_local_port_range


def is_loopback(ip: str) -> bool:
    return ip.startswith("127.") or ip == "::1"


class Place(NamedTuple):
    """Where a Unix socket's file is: a real directory, by its device and number there, and the name that it has in it.

    An abstract one, whose name begins with NUL, is in none.
    """

    device: int
    directory: int
    name: str

    @property
    def is_abstract(self) -> bool:
        return self.name.startswith("\0")


class UnixFile:
    """What a Unix socket is bound to: a file, with what a file has, which a machine may have at several places."""

    __slots__ = ("bound_to", "gid", "goes_with_listener", "inode", "links", "made_at", "mode", "times", "uid")

    def __init__(self, bound_to: str, made_at: Place, inode: int, mode: int, nanoseconds: int) -> None:
        self.bound_to, self.made_at, self.inode, self.mode = bound_to, made_at, inode, mode
        self.uid, self.gid = os.getuid(), os.getgid()
        self.links = 1
        self.times = (nanoseconds, nanoseconds, nanoseconds)
        """Of the last access, of the last change of what is in it, and of what is known of it."""
        self.goes_with_listener = False


class Host:
    """One machine. `ahead` is how far its running program is ahead of the others: it slept without yielding."""

    __slots__ = (
        "_busy",
        "_ephemeral",
        "_files",
        "_handed_over",
        "_instant",
        "addresses",
        "ahead",
        "boots",
        "connecting",
        "datagram_sockets",
        "endpoints",
        "files",
        "in_turn",
        "inbox",
        "ip",
        "ip6",
        "listeners",
        "name",
        "reserved",
        "up",
    )

    def __init__(self, name: str, ip: str, *more: str) -> None:
        self.name = name
        self.ip = ip
        self.addresses = (ip, *more)
        """All of them, IPv6 ones too; `ip` is the first."""
        self.ip6 = next((each for each in self.addresses if ":" in each), None) if more or ":" in ip else None
        self.up = True
        self.boots = 0
        """How often it has lost power. State that was made under a smaller number is gone."""
        self.ahead = 0.0
        self.datagram_sockets: Bound[DatagramSocket] = Bound()
        self.listeners: Bound[Listener] = Bound()
        """By (ip, port), or by file for Unix sockets."""
        self.files: dict[Place, UnixFile] = {}
        """Of Unix sockets that have been bound: they outlive it, abstract ones do not."""
        self.reserved: dict[int, dict[Any, tuple[str, bool]]] | None = None
        """By port, the stream sockets that are bound to it: each one's address, and whether it shares that until one
        listens (SO_REUSEADDR)."""
        self.endpoints: dict[Endpoint, None] = {}
        """Ends of connections that a program holds, or has still to accept."""
        self.connecting: dict[Connecting, None] | None = None
        """Those that its programs are setting up."""
        self.in_turn: Callable[[], bool] = _never
        """Whether its program runs right now; the kernel sets it."""
        self.inbox: Inbox | None = None
        """What keeps or delays packets before its sockets get them; None = nothing does."""
        self._files = 0
        """How many have been made: each has a number of its own."""
        self._ephemeral = FIRST_EPHEMERAL
        self._busy: frozenset[int] = frozenset()
        """Ports that connections had when the count began again: until its end it meets no others."""
        self._instant = -1.0
        self._handed_over = 0

    def at_once(self, now: float) -> bool:
        """Whether what the machine sends itself is there when the call returns, as on Linux.

        Only so often in one instant, then it takes its time: else none would pass in a program that talks to itself.
        """
        if not self.in_turn():
            return False
        if now != self._instant:
            self._instant, self._handed_over = now, 0
        self._handed_over += 1
        return self._handed_over <= AT_ONCE

    def owns(self, ip: str) -> bool:
        return ip in self.addresses or is_loopback(ip) or ip in ANY

    def source_for(self, ip: str) -> str:
        """The address that packets to `ip` bear. Raises OSError as connect() does where there is none."""
        if ip in self.addresses:
            return ip
        if ":" not in ip:
            return "127.0.0.1" if is_loopback(ip) or ip in ANY else self.ip
        if ip in ("::1", "::"):
            return "::1"
        if self.ip6 is None:
            raise OSError(errno.ENETUNREACH, f"{self.name} has no IPv6 address; give it one when it is added")
        return self.ip6

    def bind(self, table: Bound[Any], ip: str, port: int) -> tuple[str, int]:
        """The address that a socket gets in `table`; port 0 picks one. Raises OSError as bind() does."""
        if not self.owns(ip):
            raise OSError(errno.EADDRNOTAVAIL, f"{self.name} has no address {ip}; it has {', '.join(self.addresses)}")
        if port == 0:
            reserved = self.reserved if table is self.listeners else None
            free = self._next_port(table.ports, reserved or ())
            if free is None:
                raise OSError(errno.EADDRINUSE, f"{self.name} has no free port left")
            port = free
        elif self._taken(table, ip, port):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), f"{ip}:{port}")
        return ip, port

    def reserve(self, holder: Any, ip: str, port: int, shares: bool) -> None:
        """Let a stream socket have an address before it listens. Raises OSError as bind() does."""
        reserved = self.reserved = self.reserved or {}
        holders = reserved.get(port, {})
        for other, other_shares in holders.values():
            meet = ip == other or ((ip in ANY or other in ANY) and (":" in ip) == (":" in other))
            if meet and not (shares and other_shares):
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), f"{ip}:{port}")
        reserved[port] = holders | {holder: (ip, shares)}

    def release(self, holder: Any, port: int) -> None:
        reserved = self.reserved or {}
        holders = reserved.get(port, {})
        if holders.pop(holder, None) and not holders:
            del reserved[port]

    def make_file(self, place: Place, path: str, mode: int, nanoseconds: int) -> UnixFile:
        """That of a Unix socket which is bound to `path`, at so many nanoseconds of its clock."""
        self._files += 1
        made = self.files[place] = UnixFile(path, place, self._files, mode, nanoseconds)
        return made

    def free_name(self) -> Place:
        """An abstract one, as Linux picks them (unix_autobind)."""
        while True:
            self._files += 1
            place = Place(0, 0, f"\0{self._files % 0x100000:05x}")
            if place not in self.files:
                return place

    def link(self, file: UnixFile, place: Place) -> None:
        """Have a file at another place as well, and no longer what was there."""
        self.unlink(place)
        self.files[place] = file
        file.links += 1

    def unlink(self, place: Place) -> None:
        """Remove a Unix socket's file from there, if it is: nobody finds its listener there any more."""
        removed = self.files.pop(place, None)
        if removed is not None:
            removed.links -= 1

    def ephemeral_port(self) -> int:
        """A port for an outgoing connection, which no other one has and no socket is bound to. Raises OSError."""
        port = self._next_port(self.listeners.ports, self.reserved or ())
        if port is None:
            raise OSError(errno.EADDRNOTAVAIL, f"{self.name} has no port left for another connection")
        return port

    def _next_port(self, bound: Container[int], reserved: Container[int]) -> int | None:
        """A port that is in neither set. Ports are counted up, so that one is reused as late as possible."""
        for _ in range(LAST_EPHEMERAL - FIRST_EPHEMERAL + 1):
            port = self._ephemeral
            if port < LAST_EPHEMERAL:
                self._ephemeral = port + 1
            else:
                self._ephemeral = FIRST_EPHEMERAL
                self._busy = frozenset(each.local[1] for each in (*self.endpoints, *(self.connecting or ())))
            if port not in bound and port not in reserved and port not in self._busy:
                return port
        return None

    def power_off(self) -> None:
        """Power loss: drop all sockets without sending a packet."""
        self.up = False
        self.boots += 1
        self.ahead = 0.0
        for socket in self.datagram_sockets.values():
            socket.closed = True
        self.datagram_sockets.clear()
        self.listeners.clear()
        self.files.clear()
        self.reserved = self.connecting = None
        self.endpoints.clear()

    def end_process(self) -> None:
        """What the operating system does when a process ends: every socket is closed."""
        self.reserved = None
        for place, file in list(self.files.items()):
            file.goes_with_listener = False  # nobody cleans up
            if place.is_abstract:
                del self.files[place]
        for socket in list(self.datagram_sockets.values()):
            socket.close()
        for listener in list(self.listeners.values()):
            listener.close()
        for endpoint in list(self.endpoints):
            endpoint.close()

    def connections(self) -> list[Endpoint]:
        """Its ends of the connections with other machines."""
        return [e for e in self.endpoints if e.peer.host is not self and e.error is None]

    def rows(self) -> Iterator[SocketRow]:
        """Its sockets, as netstat shows them: listeners, connections, datagrams. A dual one is one."""
        for listener in dict.fromkeys(self.listeners.values()):
            yield listener.row()
        for connecting in self.connecting or ():
            yield connecting.row()
        for endpoint in self.endpoints:
            yield endpoint.row()
        for socket in dict.fromkeys(self.datagram_sockets.values()):
            yield socket.row()

    def lookup(self, table: dict[Any, Any], ip: str, port: int) -> Any:
        """The socket that hears what is sent to ip:port, or None."""
        return table.get((ip, port)) or table.get(("::" if ":" in ip else "0.0.0.0", port))

    def _taken(self, table: Bound[Any], ip: str, port: int) -> bool:
        """The families do not meet: who listens on IPv6 and hears IPv4 as well (`dual`) is in the table twice."""
        if port not in table.ports:
            return False
        if ip in ANY:
            six = ":" in ip
            return any(each[1] == port and (":" in each[0]) == six for each in table if isinstance(each, tuple))
        return (ip, port) in table or ("::" if ":" in ip else "0.0.0.0", port) in table


def _never() -> bool:
    return False
