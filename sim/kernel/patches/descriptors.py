"""Descriptors of a node's sockets, given as numbers to the modules `os`, `socket` and `fcntl`.

They are answered as Linux answers them for a socket; what would have to wait, or is no socket's affair, is refused.
Numbers that are no simulated socket's, and code outside of nodes, get the real functions. Knows of a node its selector.
What waits for descriptors is sim.kernel.patches.polling's. Tests: tests/sim/twins/test_descriptor_calls.py.
"""

import errno
import functools
import os
import socket
import stat
from collections.abc import Callable
from typing import Any

from sim.kernel.errors import NotSimulated
from sim.kernel.patches import rebind
from sim.kernel.patches.imports import when_imported
from sim.kernel.running import running

__all__ = ["install", "socket_with", "status"]

CLOSES_ON_EXEC = 1  # fcntl.FD_CLOEXEC


def install() -> None:
    """sim.kernel.patches calls it."""
    for module in (os, socket):
        for name, simulated in (("close", lambda found: found.close_descriptor()), ("dup", _dup)):
            rebind.replace(module, name, _first_is_a_socket(getattr(module, name), simulated))
    for name, simulated in _CALLS.items():
        if hasattr(os, name):
            rebind.replace(os, name, _first_is_a_socket(getattr(os, name), simulated))
    for name, number in _REFUSED.items():
        if hasattr(os, name):
            rebind.replace(os, name, _first_is_a_socket(getattr(os, name), functools.partial(_refuse, number)))
    rebind.replace(os, "dup2", _dup2(os.dup2))
    rebind.replace(os, "sendfile", _sendfile(os.sendfile))
    when_imported("fcntl", _patch_fcntl)


def socket_with(node: Any, descriptor: object) -> Any:
    """The node's socket with that descriptor, or None."""
    selector = node.loop._selector
    return None if selector is None or not isinstance(descriptor, int) else selector.sockets.get(descriptor)


def _first_is_a_socket(real: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is `simulated(socket, …)` where its first argument is the descriptor of one."""

    def function(*args: Any, **options: Any) -> Any:
        node: Any = running()
        found = None if node is None else socket_with(node, args[0] if args else options.get("fd"))
        if found is None:
            return real(*args, **options)
        options.pop("fd", None)
        return simulated(found, *args[1:], **options)

    return function


def _dup(found: Any) -> int:
    descriptor: int = found.another(-1).detach()
    return descriptor


# -- the module os -----------------------------------------------------------------------------------------------------


def status(found: Any, *_: Any, **__: Any) -> os.stat_result:
    """What fstat() tells of a socket."""
    mode = stat.S_IFSOCK | 0o777
    return os.stat_result((mode, found.inode(), 0, 1, os.getuid(), os.getgid(), 0, 0, 0, 0))


def _as_of_a_file(call: Callable[..., Any]) -> Callable[..., Any]:
    """It waits where the file blocks (no O_NONBLOCK), whatever time-out the socket's object has."""

    def function(found: Any, *args: Any) -> Any:
        own, found._timeout = found._timeout, None
        try:
            return call(found, *args)
        finally:
            found._timeout = own

    return function


def _read(found: Any, size: int) -> bytes:
    if size < 0:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    data: bytes = found.recv(size)
    return data


def _set_blocking(found: Any, blocking: bool) -> None:
    found.file_blocks = bool(blocking)


def _as_file(*_: Any, **__: Any) -> None:
    raise NotSimulated(
        "os.fdopen() of a simulated socket, which the real machine has no file of; use socket.makefile()"
    )


_CALLS: dict[str, Callable[..., Any]] = {
    "read": _as_of_a_file(_read),
    "readv": _as_of_a_file(lambda found, buffers: found.recvmsg_into(buffers)[0]),
    "write": _as_of_a_file(lambda found, data: found.send(data)),
    "writev": _as_of_a_file(lambda found, buffers: found.send(b"".join(buffers))),
    "fstat": status,
    "fdopen": _as_file,
    "get_blocking": lambda found: found.file_blocks,
    "set_blocking": _set_blocking,
    "get_inheritable": lambda found: found.get_inheritable(),
    "set_inheritable": lambda found, inheritable: found.set_inheritable(inheritable),
    "isatty": lambda found: False,
}
_REFUSED = {
    **dict.fromkeys(("lseek", "pread", "preadv", "pwrite", "pwritev"), errno.ESPIPE),
    **dict.fromkeys(("fsync", "fdatasync", "ftruncate"), errno.EINVAL),
}
"""What no socket does, and how Linux says so."""


def _refuse(number: int, *_: Any, **__: Any) -> None:
    raise OSError(number, os.strerror(number))


def _dup2(real: Callable[..., Any]) -> Callable[..., Any]:
    def dup2(*args: Any, **options: Any) -> Any:
        node: Any = running()
        if node is not None and any(socket_with(node, each) is not None for each in args):
            raise NotSimulated("os.dup2() of a simulated socket, whose number cannot be chosen; use os.dup()")
        return real(*args, **options)

    return dup2


def _sendfile(real: Callable[..., Any]) -> Callable[..., Any]:
    def sendfile(out_fd: Any, in_fd: Any, offset: Any, count: Any, *args: Any, **options: Any) -> Any:
        node: Any = running()
        out, source = (None, None) if node is None else (socket_with(node, out_fd), socket_with(node, in_fd))
        if source is not None:
            _refuse(errno.EINVAL if offset is None else errno.ESPIPE)
        if out is None:
            return real(out_fd, in_fd, offset, count, *args, **options)
        start = os.lseek(in_fd, 0, os.SEEK_CUR) if offset is None else offset
        data = os.pread(in_fd, count, start)
        sent = _CALLS["write"](out, data) if data else 0
        if offset is None:
            os.lseek(in_fd, start + sent, os.SEEK_SET)
        return sent

    return sendfile


# -- the module fcntl --------------------------------------------------------------------------------------------------


def _patch_fcntl(fcntl: Any) -> None:
    def on_socket(found: Any, command: int, argument: Any = 0) -> int:
        if command == fcntl.F_GETFL:
            return os.O_RDWR | (0 if found.file_blocks else os.O_NONBLOCK)
        if command == fcntl.F_SETFL:
            found.file_blocks = not argument & os.O_NONBLOCK
            return 0
        if command == fcntl.F_GETFD:
            return 0 if found.get_inheritable() else CLOSES_ON_EXEC
        if command == fcntl.F_SETFD:
            found.set_inheritable(not argument & CLOSES_ON_EXEC)
            return 0
        if command in (fcntl.F_DUPFD, fcntl.F_DUPFD_CLOEXEC):
            return _dup(found)
        raise NotSimulated(f"fcntl() of a simulated socket knows its flags and doubles it, and no command {command}")

    def ioctl(*_: Any, **__: Any) -> None:
        raise NotSimulated("ioctl() of a simulated socket; a non-blocking recv(…, MSG_PEEK) tells what can be read")

    def of_object(real: Any, simulated: Any) -> Any:
        """As the others, where the first argument may be a socket itself."""
        by_number = _first_is_a_socket(real, simulated)

        def function(fd: Any, *args: Any, **options: Any) -> Any:
            return by_number(fd if isinstance(fd, int) else getattr(fd, "fileno", lambda: fd)(), *args, **options)

        return function

    rebind.replace(fcntl, "fcntl", of_object(fcntl.fcntl, on_socket))
    rebind.replace(fcntl, "ioctl", of_object(fcntl.ioctl, ioctl))
