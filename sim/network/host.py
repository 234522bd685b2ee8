"""A machine's network stack as others see it: its addresses, its ports, and whether it is up.

Knows no event loop: a socket calls `on_readable`, `on_writable`, which the kernel's transports set.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sim.network.tcp import Endpoint, Listener
    from sim.network.udp import DatagramSocket

__all__ = ["ANY", "Address", "Host", "is_loopback"]

Address = tuple[Any, ...]
ANY: Final = frozenset({"0.0.0.0", "::"})
AT_ONCE = 128
FIRST_EPHEMERAL, LAST_EPHEMERAL = 32768, 60999  # Linux: net.ipv4.ip_local_port_range


def is_loopback(ip: str) -> bool:
    return ip.startswith("127.") or ip == "::1"


class Host:
    """One machine. `ahead` is how far its running program is ahead of the others: it slept without yielding."""

    def __init__(self, name: str, ip: str) -> None:
        self.name = name
        self.ip = ip
        self.up = True
        self.boots = 0
        """How often it has lost power; what was before is forgotten."""
        self.ahead = 0.0
        self.datagram_sockets: dict[tuple[str, int], DatagramSocket] = {}
        self.listeners: dict[tuple[str, int] | str, Listener] = {}
        """By (ip, port), or by path for Unix sockets."""
        self.endpoints: dict[Endpoint, None] = {}
        self.in_turn: Callable[[], bool] = _never
        """Whether its program runs right now; the kernel sets it."""
        self._ephemeral = FIRST_EPHEMERAL
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
        return ip == self.ip or is_loopback(ip) or ip in ANY

    def bind(self, table: dict[Any, Any], ip: str, port: int) -> tuple[str, int]:
        """The address that a socket gets in `table`; port 0 picks one. Raises OSError as bind() does."""
        if not self.owns(ip):
            raise OSError(errno.EADDRNOTAVAIL, f"{self.name} has no address {ip}; it has {self.ip} and 127.0.0.1")
        if port == 0:
            port = self._free_port(table)
        elif self._taken(table, ip, port):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), f"{ip}:{port}")
        return ip, port

    def ephemeral_port(self) -> int:
        """A port for an outgoing connection. Counted up: a port is not used again for a long while."""
        port = self._ephemeral
        self._ephemeral = port + 1 if port < LAST_EPHEMERAL else FIRST_EPHEMERAL
        return port

    def power_off(self) -> None:
        """All that the machine knew is gone; nobody is told."""
        self.up = False
        self.boots += 1
        self.ahead = 0.0
        for socket in self.datagram_sockets.values():
            socket.closed = True
        self.datagram_sockets.clear()
        self.listeners.clear()
        self.endpoints.clear()

    def end_process(self) -> None:
        """What the operating system does when a process ends: every socket is closed."""
        for socket in list(self.datagram_sockets.values()):
            socket.close()
        for listener in list(self.listeners.values()):
            listener.close()
        for endpoint in list(self.endpoints):
            endpoint.close()

    def lookup(self, table: dict[Any, Any], ip: str, port: int) -> Any:
        """The socket that hears what is sent to ip:port, or None."""
        return table.get((ip, port)) or table.get(("0.0.0.0", port)) or table.get(("::", port))

    def _free_port(self, table: dict[Any, Any]) -> int:
        for _ in range(LAST_EPHEMERAL - FIRST_EPHEMERAL + 1):
            port = self.ephemeral_port()
            if not any(bound[1] == port for bound in table if isinstance(bound, tuple)):
                return port
        raise OSError(errno.EADDRINUSE, f"{self.name} has no free port left")

    def _taken(self, table: dict[Any, Any], ip: str, port: int) -> bool:
        if ip in ANY:
            return any(bound[1] == port for bound in table if isinstance(bound, tuple))
        return any((each, port) in table for each in (ip, *ANY))


def _never() -> bool:
    return False
