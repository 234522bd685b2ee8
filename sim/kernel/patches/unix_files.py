"""The files of Unix sockets: to a node `os.stat`, `lstat`, `chmod`, `unlink` and `remove` answer for its machine's.

They are in no real directory, so that machines do not meet there and nothing is left when a run ends. Paths that name
none of them, and code outside of nodes, get the real functions. Knows of a node its machine. Tests:
tests/sim/twins/test_unix_sockets.py.
"""

import os
import stat
from collections.abc import Callable
from typing import Any

from sim.kernel.loop.bare import unix_file
from sim.kernel.patches import rebind
from sim.kernel.patches.descriptors import socket_with, status
from sim.kernel.running import running

__all__ = ["install"]


def install() -> None:
    """sim.kernel.patches calls it."""
    for name, simulated in (
        ("stat", _stat),
        ("lstat", _stat),
        ("chmod", _chmod),
        ("unlink", _unlink),
        ("remove", _unlink),
    ):
        rebind.replace(os, name, _where_a_socket_is(getattr(os, name), simulated))


def _where_a_socket_is(real: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    def function(path: Any, *args: Any, **options: Any) -> Any:
        node: Any = running()
        if node is None:
            return real(path, *args, **options)
        if isinstance(path, int):
            found = socket_with(node, path)
            return real(path, *args, **options) if found is None or simulated is not _stat else status(found)
        if not node.host.paths:
            return real(path, *args, **options)
        file = unix_file(path)
        return real(path, *args, **options) if file not in node.host.paths else simulated(node.host, file, *args)

    return function


def _stat(host: Any, file: str) -> os.stat_result:
    found = host.paths[file]
    return os.stat_result((stat.S_IFSOCK | found.mode, found.inode, 0, 1, os.getuid(), os.getgid(), 0, 0, 0, 0))


def _chmod(host: Any, file: str, mode: int) -> None:
    host.paths[file].mode = stat.S_IMODE(mode)


def _unlink(host: Any, file: str) -> None:
    host.unlink(file)
