"""The files of Unix sockets: to a node, `open` and the functions of `os` that take paths know its machine's.

A bound socket is an entry in a table of its machine (`Host.files`): a real directory, by its number, and a name in it.
No real file is made, so that machines do not meet there, runs beside each other neither, and nothing is left when a
run ends. What a node asks of such a path is answered from the table: `stat`, `access`, `chmod`, `utime`, `rename`,
`link`, `unlink`, a listing of the directory, and so all of `pathlib`, `glob` and `shutil` that stands on them. Paths
that name no such file, and code outside of nodes, get the real functions. Permissions are noted and told, and nobody
is refused for them. Knows of a node its machine and its clock. Tests: tests/sim/twins/test_unix_files.py.
"""

import builtins
import errno
import functools
import io
import os
import stat
from collections.abc import Callable, Iterator
from typing import Any, Self

from sim.kernel.loop.unix_names import directory_of, file_at, place_of, real_mode
from sim.kernel.patches import rebind
from sim.kernel.patches.descriptors import socket_with, status
from sim.kernel.running import running
from sim.network.host import Place, UnixFile

__all__ = ["install"]

_SETS = (os.supports_dir_fd, os.supports_effective_ids, os.supports_fd, os.supports_follow_symlinks)


def install() -> None:
    """sim.kernel.patches calls it."""
    for name, simulated in _OF_A_FILE.items():
        _replace(name, functools.partial(_of_a_file, simulated=simulated, follows=name not in _DO_NOT_FOLLOW))
    for name in ("mkdir", "mkfifo", "mknod", "symlink"):
        _replace(name, functools.partial(_makes, position=int(name == "symlink")))
    for name in ("rename", "replace"):
        _replace(name, _renames)
    _replace("link", _links)
    _replace("listdir", _lists)
    _replace("scandir", _scans)
    _replace("rmdir", _removes_directory)
    opens = _of_a_file(open, _open_as_object, follows=True)
    rebind.replace(io, "open", opens)
    rebind.put(builtins, "open", io.open)


def _replace(name: str, make: Callable[[Any], Any]) -> None:
    """Put what `make(real function)` returns in its place, also where `os` says what its functions can do."""
    real = getattr(os, name, None)
    if real is None:
        return
    rebind.replace(os, name, make(real))
    stands = getattr(os, name)
    for known in _SETS:
        if real in known:
            known.add(stands)
            rebind.on_undo(functools.partial(known.discard, stands))


def _machine() -> Any:
    """That of the running node, where it has files of sockets."""
    node: Any = running()
    return node.host if node is not None and node.host.files else None


def _error(number: int, *paths: Any) -> OSError:
    named: list[Any] = [each if isinstance(each, int) else os.fspath(each) for each in paths]
    named[1:1] = [None] if len(named) > 1 else []  # OSError's winerror
    return OSError(number, os.strerror(number), *named)


# -- functions of one file ---------------------------------------------------------------------------------------------


def _of_a_file(real: Callable[..., Any], simulated: Callable[..., Any], follows: bool) -> Callable[..., Any]:
    """A function that is `simulated(machine, place, path, …)` where its first argument is the path of a socket."""

    def function(*args: Any, **options: Any) -> Any:
        machine = _machine()
        path = args[0] if args else options.get("path", options.get("file"))
        if isinstance(path, int):
            return _of_a_descriptor(real, simulated, path, args, options)
        if machine is None or options.get("opener") is not None:  # who opens otherwise is asked for the path
            return real(*args, **options)
        follow = follows and options.get("follow_symlinks", True)
        place = file_at(machine, path, options.get("dir_fd"), follows=follow)
        if place is None:
            return real(*args, **options)
        rest = {name: value for name, value in options.items() if name not in _SAY_WHERE}
        return simulated(machine, place, path, *args[1:], **rest)

    return function


_SAY_WHERE = frozenset({"path", "file", "dir_fd", "follow_symlinks", "effective_ids"})


def _of_a_descriptor(real: Any, simulated: Any, descriptor: int, args: Any, options: Any) -> Any:
    found = None if running() is None or simulated is not _stat else socket_with(running(), descriptor)
    return real(*args, **options) if found is None else status(found)


def _stat(machine: Any, place: Place, path: Any) -> os.stat_result:
    found: UnixFile = machine.files[place]
    seconds, parts = [], []
    for each in found.times:
        seconds.append(each // 10**9)
        parts.append(each / 1e9)
    facts = (stat.S_IFSOCK | found.mode, found.inode, place.device, found.links, found.uid, found.gid, 0)
    return os.stat_result((*facts, *seconds, *parts, *found.times))


def _access(machine: Any, place: Place, path: Any, mode: int) -> bool:
    return not mode & os.X_OK or bool(machine.files[place].mode & 0o111)


def _changes(file: UnixFile) -> None:
    accessed, changed, _ = file.times
    file.times = accessed, changed, _now()


def _now() -> int:
    node: Any = running()
    return int(node.wall_clock() * 1e9)


def _chmod(machine: Any, place: Place, path: Any, mode: int) -> None:
    machine.files[place].mode = stat.S_IMODE(mode)
    _changes(machine.files[place])


def _chown(machine: Any, place: Place, path: Any, uid: int, gid: int) -> None:
    file = machine.files[place]
    file.uid, file.gid = file.uid if uid == -1 else uid, file.gid if gid == -1 else gid
    _changes(file)


def _utime(machine: Any, place: Place, path: Any, times: Any = None, ns: Any = None) -> None:
    if times is not None and ns is not None:
        raise ValueError("utime: you may specify either 'times' or 'ns' but not both")
    now = _now()
    if ns is None:
        ns = (now, now) if times is None else [int(each * 10**9) for each in times]
    accessed, changed = ns
    machine.files[place].times = accessed, changed, now


def _unlink(machine: Any, place: Place, path: Any) -> None:
    machine.unlink(place)


def _open(machine: Any, place: Place, path: Any, flags: int, mode: int = 0o777) -> int:
    if flags & os.O_CREAT and flags & os.O_EXCL:
        raise _error(errno.EEXIST, path)
    raise _error(errno.ENOTDIR if flags & os.O_DIRECTORY else errno.ENXIO, path)


def _open_as_object(machine: Any, place: Place, path: Any, mode: str = "r", *_: Any, **__: Any) -> None:
    raise _error(errno.EEXIST if "x" in mode else errno.ENXIO, path)


def _refuse(number: int, machine: Any, place: Place, path: Any, *_: Any, **__: Any) -> None:
    raise _error(number, path)


_OF_A_FILE: dict[str, Callable[..., Any]] = {
    "stat": _stat,
    "lstat": _stat,
    "access": _access,
    "chmod": _chmod,
    "lchmod": _chmod,
    "chown": _chown,
    "lchown": _chown,
    "utime": _utime,
    "unlink": _unlink,
    "remove": _unlink,
    "open": _open,
    "truncate": functools.partial(_refuse, errno.EINVAL),
    "readlink": functools.partial(_refuse, errno.EINVAL),
    "chdir": functools.partial(_refuse, errno.ENOTDIR),
}
_DO_NOT_FOLLOW = frozenset({"lstat", "lchmod", "lchown", "unlink", "remove", "readlink"})


def _makes(real: Callable[..., Any], position: int) -> Callable[..., Any]:
    """A function that makes a file: none where a socket's is already."""

    def function(*args: Any, **options: Any) -> Any:
        machine = _machine()
        path = args[position] if len(args) > position else options.get("dst" if position else "path")
        if machine is not None and file_at(machine, path, options.get("dir_fd"), follows=False) is not None:
            raise _error(errno.EEXIST, *args[:position], path)
        return real(*args, **options)

    return function


# -- two paths ---------------------------------------------------------------------------------------------------------


def _renames(real: Callable[..., Any]) -> Callable[..., Any]:
    def rename(src: Any, dst: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        machine = _machine()
        if machine is None:
            real(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            return
        source = file_at(machine, src, src_dir_fd, follows=False)
        target = file_at(machine, dst, dst_dir_fd, follows=False)
        if source is not None:
            _rename_socket(machine, source, src, dst, dst_dir_fd)
            return
        if stat.S_ISDIR(real_mode(src, src_dir_fd)):
            if target is not None:
                raise _error(errno.ENOTDIR, src, dst)
            if list(_names_in(machine, dst, dst_dir_fd)):
                raise _error(errno.ENOTEMPTY, src, dst)
        real(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        if target is not None:
            machine.unlink(target)

    return rename


def _rename_socket(machine: Any, source: Place, src: Any, dst: Any, dst_dir_fd: int | None) -> None:
    place, file = _new_place(source, src, dst, dst_dir_fd), machine.files[source]
    if machine.files.get(place) is file:
        return  # it is there already, by a link
    mode = real_mode(dst, dst_dir_fd)
    if stat.S_ISDIR(mode):
        raise _error(errno.EISDIR, src, dst)
    if mode and not stat.S_ISSOCK(mode):  # one that is, is another machine's
        os.unlink(dst, dir_fd=dst_dir_fd)
    machine.link(file, place)
    machine.unlink(source)
    _changes(file)


def _links(real: Callable[..., Any]) -> Callable[..., Any]:
    def link(
        src: Any,
        dst: Any,
        *,
        src_dir_fd: int | None = None,
        dst_dir_fd: int | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        machine, source = _machine(), None
        if machine is not None:
            source = file_at(machine, src, src_dir_fd, follows=False)
            taken = file_at(machine, dst, dst_dir_fd, follows=False) is not None
            if taken or (source is not None and real_mode(dst, dst_dir_fd)):
                raise _error(errno.EEXIST, src, dst)
        if machine is None or source is None:
            options = {"src_dir_fd": src_dir_fd, "dst_dir_fd": dst_dir_fd}
            real(src, dst, **options, follow_symlinks=follow_symlinks)
            return
        file = machine.files[source]
        machine.link(file, _new_place(source, src, dst, dst_dir_fd))
        _changes(file)

    return link


def _new_place(source: Place, src: Any, dst: Any, dst_dir_fd: int | None) -> Place:
    try:
        place = place_of(dst, dst_dir_fd)
    except OSError as error:
        raise _error(error.errno or errno.ENOENT, src, dst) from None
    if place.device != source.device:
        raise _error(errno.EXDEV, src, dst)
    return place


# -- directories -------------------------------------------------------------------------------------------------------


def _names_in(machine: Any, path: Any, dir_fd: int | None = None) -> Iterator[str]:
    """The sockets in a directory, in the order in which they came there."""
    try:
        directory = directory_of(os.curdir if path is None else path, dir_fd)
    except (OSError, ValueError, TypeError):
        return  # the real function tells
    for place in machine.files:
        if place[:2] == directory and not place.is_abstract:
            yield place.name


def _removes_directory(real: Callable[..., Any]) -> Callable[..., Any]:
    def rmdir(path: Any, *, dir_fd: int | None = None) -> None:
        machine = _machine()
        if machine is not None:
            if file_at(machine, path, dir_fd, follows=False) is not None:
                raise _error(errno.ENOTDIR, path)
            if not stat.S_ISLNK(real_mode(path, dir_fd)) and list(_names_in(machine, path, dir_fd)):
                raise _error(errno.ENOTEMPTY, path)
        real(path, dir_fd=dir_fd)

    return rmdir


def _sockets_in(path: Any) -> list[Any]:
    """Their names, as a listing of that directory gives them. Raises NotADirectoryError where it is a socket itself."""
    machine = _machine()
    if machine is None:
        return []
    if path is not None and not isinstance(path, int) and file_at(machine, path) is not None:
        raise _error(errno.ENOTDIR, path)
    names = list(_names_in(machine, path))
    return [os.fsencode(each) for each in names] if isinstance(path, bytes) else names


def _lists(real: Callable[..., Any]) -> Callable[..., Any]:
    def listdir(path: Any = None) -> list[Any]:
        own = _sockets_in(path)
        found: list[Any] = real(path)
        return [each for each in found if each not in own] + own if own else found

    return listdir


def _scans(real: Callable[..., Any]) -> Callable[..., Any]:
    def scandir(path: Any = None) -> Any:
        own = _sockets_in(path)
        return _Entries(real(path), [_Entry(path, each) for each in own]) if own else real(path)

    return scandir


class _Entries:
    """What os.scandir() returns: the real entries, then the sockets."""

    def __init__(self, real: Any, own: "list[_Entry]") -> None:
        self._real, self._own = real, iter(own)
        self._names = {each.name for each in own}

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        for each in self._real:
            if each.name not in self._names:
                return each
        return next(self._own)

    def close(self) -> None:
        self._real.close()
        self._own = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Entry:
    """os.DirEntry of a socket's file."""

    def __init__(self, directory: Any, name: Any) -> None:
        self.name = name
        self._dir_fd: int | None = None
        self.path = name
        if isinstance(directory, int):
            self._dir_fd = directory
        else:
            self.path = os.path.join(directory or os.curdir, name)

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        return os.stat(self.path, dir_fd=self._dir_fd)

    def inode(self) -> int:
        return self.stat().st_ino

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        return False

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return False

    def is_symlink(self) -> bool:
        return False

    def is_junction(self) -> bool:
        return False

    def __fspath__(self) -> Any:
        return self.path

    def __repr__(self) -> str:
        return f"<DirEntry {self.name!r}>"
