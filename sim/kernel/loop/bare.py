"""A socket as an object: its kind, descriptor and time-out, its options, and how it reads and shows addresses.

What every socket has, connected or not. Knows the network's names; sends and receives nothing. Tests:
tests/sim/twins/test_socket_options.py, test_socket_refusals.py, test_addresses.py.
"""

import errno
import os
import socket
import stat
from typing import Any

from sim.kernel.loop.names import MAPPED, Names
from sim.kernel.loop.options import Options, as_set
from sim.kernel.running import outside
from sim.network.fabric import Network
from sim.network.host import Host

__all__ = ["BareSocket", "unix_path"]

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
        """(ip, port), or the path of a Unix socket; None = to nothing."""
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


def unix_file(path: Any) -> str:
    """Which file a path means, as its machine keeps it: two paths may mean one. An abstract one (NUL …) is no file."""
    file: str = os.fsdecode(path)
    if file.startswith("\0"):
        return file
    with outside():  # what watches the program for calls that block has no business here
        return os.path.abspath(file)


def is_real_file(file: str) -> bool:
    """Whether a file of the real machine has that path. A socket does not count: it is no simulated machine's."""
    mode = _real_mode(file)
    return mode != 0 and not stat.S_ISSOCK(mode)


def is_real_socket(file: str) -> bool:
    return stat.S_ISSOCK(_real_mode(file))


def is_served(file: str) -> bool:
    """Whether a socket of the real machine is bound there; a file that was left behind refuses, as anywhere."""
    try:
        with outside(), open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as listed:
            names = [columns[7] for line in listed if len(columns := line.rstrip("\n").split(maxsplit=7)) == 8]
    except OSError:  # no Linux
        return True
    # One that was bound by a relative path stands there by that.
    return any(name == file or (name[0] != "/" and os.path.basename(name) == os.path.basename(file)) for name in names)


def _real_mode(file: str) -> int:
    try:
        with outside():
            return os.lstat(file).st_mode
    except (OSError, ValueError):  # there is none; an abstract name is none
        return 0


def unix_path(address: Any) -> str:
    """Of a Unix socket. Raises OSError where there is no room for it in the address (Linux: sun_path)."""
    if not isinstance(address, str | bytes | bytearray | memoryview):
        raise TypeError(f"a bytes-like object is required, not '{type(address).__name__}'")
    path = address if isinstance(address, str) else os.fsdecode(bytes(address))
    if len(os.fsencode(path)) > 107 + path.startswith("\0"):
        raise OSError("AF_UNIX path too long")
    return path
