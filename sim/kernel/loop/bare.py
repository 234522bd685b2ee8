"""A socket as an object: its kind, descriptor and time-out, its options, and how it reads and shows addresses.

What every socket has, connected or not. Knows the network's names; sends and receives nothing. Tests:
tests/sim/twins/test_socket_options.py, test_socket_refusals.py, test_addresses.py.
"""

import errno
import os
import socket
from typing import Any

from sim.kernel.loop.names import MAPPED, Names
from sim.kernel.loop.options import Options, as_set
from sim.network.fabric import Network
from sim.network.host import Host

__all__ = ["BareSocket"]

_FAMILIES = {int(each): each for each in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)}
_KINDS = {int(each): each for each in (socket.SOCK_STREAM, socket.SOCK_DGRAM)}
_PROTOCOLS = {int(socket.SOCK_STREAM): int(socket.IPPROTO_TCP), int(socket.SOCK_DGRAM): int(socket.IPPROTO_UDP)}


class BareSocket:
    """Base of SimulatedSocket."""

    __slots__ = (
        "_bound",
        "_closed",
        "_descriptor",
        "_host",
        "_io_refs",
        "_network",
        "_options",
        "_timeout",
        "_waits",
        "family",
        "proto",
        "type",
    )

    def __init__(self, network: Network, host: Host, family: int, kind: int) -> None:
        self.family = _FAMILIES[family]
        self.type = _KINDS[kind]
        self.proto = 0 if family == socket.AF_UNIX else _PROTOCOLS[kind]
        self._network, self._host = network, host
        self._descriptor = -1
        """-1 = closed."""
        self._bound: Any = None
        """(ip, port), or the file of a Unix socket; None = to nothing."""
        self._options: Options | None = None
        """None = none was ever set."""
        self._timeout: float | None = 0.0
        self._waits = False
        """Whether its file is a blocking one (no O_NONBLOCK), which is so for all objects with a descriptor of it."""
        self._io_refs = 0
        """Files of makefile() that are open: `close()` has no effect before the last of them is closed, …"""
        self._closed = False
        """… and is remembered until then. socket.socket.makefile knows both by these names."""

    # -- addresses -------------------------------------------------------------------------------------------------

    def _address(self, call: str, address: Any) -> tuple[str, int]:
        return Names(self._network, self._host).of_socket(self.family, call, address)

    def _option(self, level: int, option: int) -> bool:
        return self._options is not None and bool(self._options.get((level, option)))

    def _is_dual(self, key: Any) -> bool:
        """Whether it hears IPv4 as well: Linux' default, which asyncio's servers turn off."""
        return (
            self.family == socket.AF_INET6
            and key[0] == "::"
            and not self._option(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        )

    @property
    def _any(self) -> tuple[str, int]:
        return ("::" if self.family == socket.AF_INET6 else "0.0.0.0"), 0

    def _shown(self, address: Any) -> Any:
        if self.family != socket.AF_INET6:
            return address[0], address[1]
        return (address[0] if ":" in address[0] else MAPPED + address[0]), address[1], 0, 0

    # -- options ---------------------------------------------------------------------------------------------------

    def setsockopt(self, level: int, option: int, value: Any, *_: int) -> None:
        self._check_open()
        self.keep_option(level, option, as_set(level, option, value))

    def keep_option(self, level: int, option: int, value: Any) -> None:
        """Have it answered from now on, as it is."""
        if self._options is None:
            self._options = {}
        self._options[level, option] = value

    # -- descriptor and time-out -----------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._descriptor < 0:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def gettimeout(self) -> float | None:
        return self._timeout

    timeout = property(gettimeout)

    @property
    def blocks(self) -> bool:
        """Whether a call waits that cannot be answered at once."""
        return self._waits if self._timeout is None else self._timeout > 0

    def fileno(self) -> int:
        return self._descriptor
