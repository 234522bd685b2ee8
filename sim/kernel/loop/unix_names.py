"""Names of Unix sockets: which file of its machine a path means, and what the real file system has there.

A simulated socket's file has its place in a real directory and is not in it (sim.kernel.patches.unix_files). Who finds
the directory is the real machine, so that symbolic links, the working directory and a directory that is moved mean
what they mean to any file. Knows no socket. Tests: tests/sim/twins/test_unix_files.py, test_unix_sockets.py.
"""

import errno
import os
import stat
from typing import Any

from sim.kernel.running import outside
from sim.network.host import Host, Place

__all__ = ["directory_of", "file_at", "is_real_file", "is_served", "place_of", "real_mode", "unix_path"]

MAX_LINKS = 40
"""Symbolic links that are followed one after the other; Linux: MAXSYMLINKS."""


def unix_path(address: Any) -> str:
    """Of a Unix socket's address. Raises OSError where there is no room for it there (Linux: sun_path)."""
    if not isinstance(address, str | bytes | bytearray | memoryview):
        raise TypeError(f"a bytes-like object is required, not '{type(address).__name__}'")
    path = address if isinstance(address, str) else os.fsdecode(bytes(address))
    if len(os.fsencode(path)) > 107 + path.startswith("\0"):
        raise OSError("AF_UNIX path too long")
    return path


def place_of(path: Any, dir_fd: int | None = None) -> Place:
    """Where a file of that path is, or would be. Raises OSError where its directory is not there.

    An abstract name (NUL …) is in no directory.
    """
    file: str = os.fsdecode(path)
    if file.startswith("\0"):
        return Place(0, 0, file)
    directory, name = os.path.split(file)
    return Place(*directory_of(directory or (os.curdir if file else ""), dir_fd), name)


def directory_of(path: Any, dir_fd: int | None = None) -> tuple[int, int]:
    """Device and number of a real directory, given as a path or as a descriptor. Raises OSError."""
    with outside():  # what watches the program for calls that block has no business here
        found = os.stat(path, dir_fd=dir_fd)
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    return found.st_dev, found.st_ino


def file_at(host: Host, path: Any, dir_fd: int | None = None, *, follows: bool = True) -> Place | None:
    """Where the simulated socket's file is that a path means; None where it means none, or makes no sense."""
    try:
        file = os.fsdecode(path)
        for _ in range(MAX_LINKS if follows else 1):
            place = place_of(file, dir_fd)
            if place in host.files:
                return None if place.is_abstract else place
            if not stat.S_ISLNK(real_mode(file, dir_fd)):
                return None
            with outside():
                file = os.path.join(os.path.dirname(file), os.readlink(file, dir_fd=dir_fd))
    except (OSError, ValueError, TypeError):
        pass
    return None


def is_real_file(path: Any, dir_fd: int | None = None) -> bool:
    """Whether a file of the real machine has that path. A socket does not count: it is no simulated machine's."""
    mode = real_mode(path, dir_fd)
    return mode != 0 and not stat.S_ISSOCK(mode)


def is_served(path: str) -> bool:
    """Whether a socket of the real machine is bound there; a file that was left behind refuses, as anywhere."""
    try:
        with outside(), open("/proc/net/unix", encoding="utf-8", errors="surrogateescape") as listed:
            names = [columns[7] for line in listed if len(columns := line.rstrip("\n").split(maxsplit=7)) == 8]
            file = os.path.abspath(path)
    except OSError:  # no Linux
        return True
    # One that was bound by a relative path stands there by that.
    return any(name == file or (name[0] != "/" and os.path.basename(name) == os.path.basename(file)) for name in names)


def real_mode(path: Any, dir_fd: int | None = None, *, follows: bool = False) -> int:
    """0 = the real machine has nothing there."""
    try:
        with outside():
            return os.stat(path, dir_fd=dir_fd, follow_symlinks=follows).st_mode
    except (OSError, ValueError):  # an abstract name is none
        return 0
