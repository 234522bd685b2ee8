"""The file of a Unix socket, seen through `os`, `pathlib`, `glob`, `shutil` and `open`, on Linux and on a node."""

# ruff: noqa: ASYNC240 - they are the point here

import asyncio
import contextlib
import glob
import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from tests.sim.twins.twin import Log, twin


@contextlib.contextmanager
def bound(name="s", *, listens=True):
    """A directory with a plain file and a socket, and the socket's path."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as sock:
        Path(directory, "plain").write_text("text")
        path = os.path.join(directory, name)
        sock.bind(path)
        if listens:
            sock.listen()
        yield directory, path


def connects(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


@twin
async def test_a_directory_lists_its_sockets(log: Log):
    with bound() as (directory, path):
        os.mkdir(os.path.join(directory, "below"))
        log("os", sorted(os.listdir(directory)), sorted(os.listdir(os.fsencode(directory))))
        log("walk", [(sorted(names), sorted(files)) for _, names, files in os.walk(directory)])
        log("glob", sorted(os.path.basename(each) for each in glob.glob(f"{directory}/*")), glob.glob(path) == [path])
        log(
            "recursive",
            sorted(os.path.relpath(each, directory) for each in glob.glob(f"{directory}/**", recursive=True)),
        )
        log("pathlib", sorted(each.name for each in Path(directory).iterdir() if each.is_socket()))
        log("pathlib", sorted(each.name for each in Path(directory).glob("*s")), Path(path).exists())
        descriptor = os.open(directory, os.O_RDONLY)
        log("descriptor", sorted(os.listdir(descriptor)))
        with os.scandir(descriptor) as found:
            log("descriptor", sorted((each.name, each.path) for each in found))
        log("dir_fd", stat.S_ISSOCK(os.stat("s", dir_fd=descriptor).st_mode))
        os.close(descriptor)
        log.call("list", "a socket", os.listdir, path)
        log.call("scan", "a socket", os.scandir, path)


@twin
async def test_an_entry_of_a_directory_is_a_socket(log: Log):
    with bound() as (directory, path), os.scandir(directory) as found:
        (entry,) = [each for each in found if each.name == "s"]
        log("entry", entry.path == path, os.fspath(entry) == path, repr(entry))
        log("entry", entry.is_dir(), entry.is_file(follow_symlinks=False), entry.is_symlink())
        log("entry", stat.S_ISSOCK(entry.stat().st_mode), entry.inode() == os.stat(path).st_ino)
        log("entry", entry.stat().st_dev == os.stat(directory).st_dev)


@twin
async def test_what_a_socket_file_says_of_itself(log: Log):
    for mask in (0o077, 0o022):
        before = os.umask(mask)
        with bound() as (_, path):
            os.umask(before)
            log("mode", oct(os.stat(path).st_mode), os.stat(path).st_size, os.stat(path).st_nlink)
            log("owner", os.stat(path).st_uid == os.getuid(), os.stat(path).st_gid == os.getgid())
            log("access", os.access(path, os.F_OK), os.access(path, os.R_OK | os.W_OK))
            log("path", os.path.exists(path), os.path.lexists(path), os.path.isfile(path), os.path.isdir(path))
            log("path", os.path.islink(path), os.path.samefile(path, path), os.path.realpath(path) == path)
            log("pathlib", Path(path).is_socket(), Path(path).is_file(), Path(path).stat().st_size)
            os.chmod(path, 0o640)
            os.utime(path, (1000, 2000.5))
            log("set", oct(os.stat(path).st_mode), os.stat(path).st_atime, os.path.getmtime(path))
            os.utime(path, ns=(10**18 + 1, 10**18 + 2))
            log("set", os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns)
            os.chown(path, -1, -1)
            log("access", os.access(path, os.X_OK), shutil.which(path) is None)


@twin
async def test_a_socket_file_cannot_be_opened(log: Log):
    with bound() as (directory, path):
        for mode in ("r", "wb", "a", "x", "r+"):
            log.call("open", mode, open, path, mode)
        log.call("os", "read", os.open, path, os.O_RDONLY)
        log.call("os", "exclusive", os.open, path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        log.call("os", "directory", os.open, path, os.O_RDONLY | os.O_DIRECTORY)
        log.call("pathlib", "read", Path(path).read_text)
        log.call("pathlib", "touch", lambda: Path(path).touch(exist_ok=False))
        log.call("pathlib", "touch", Path(path).touch)
        log.call("truncate", "", os.truncate, path, 0)
        log.call("shutil", "copy", shutil.copy, path, f"{directory}/copy")
        log.call("readlink", "", os.readlink, path)
        log.call("chdir", "", os.chdir, path)
        for make in (os.mkdir, os.mkfifo, lambda taken: os.symlink("plain", taken)):
            log.call("make", "there", make, path)
        log.call("rmdir", "", os.rmdir, path)
        with pytest.raises(OSError, match="No such device or address") as raised:
            Path(path).read_bytes()
        log("error", str(raised.value).replace(directory, ""), raised.value.filename == path)
        log("left", sorted(os.listdir(directory)))


@twin
async def test_a_socket_file_is_renamed(log: Log):
    for rename in (os.rename, os.replace, shutil.move, lambda a, b: Path(a).rename(b)):
        with bound() as (directory, path):
            other = os.path.join(directory, "other")
            rename(path, other)
            log("renamed", sorted(os.listdir(directory)), os.path.exists(path))
            log.call("connect", "where it was", connects, path)
            log.call("connect", "where it is", connects, other)
            with socket.socket(socket.AF_UNIX) as second:
                log.call("bind", "is free", second.bind, path)
            log.call("rename", "over a file", os.rename, other, f"{directory}/plain")
            log("left", sorted(os.listdir(directory)), stat.S_ISSOCK(os.stat(f"{directory}/plain").st_mode))
            log.call("connect", "there", connects, f"{directory}/plain")


@twin
async def test_what_a_socket_file_cannot_be_renamed_to(log: Log):
    with bound() as (directory, path):
        os.mkdir(f"{directory}/below")
        log.call("rename", "a directory", os.rename, path, f"{directory}/below")
        log.call("rename", "nowhere", os.rename, path, f"{directory}/missing/s")
        log.call("rename", "a directory over it", os.rename, f"{directory}/below", path)
        log.call("rename", "nothing", os.rename, f"{directory}/missing", path)
        os.rename(f"{directory}/plain", path)
        log("a file over it", Path(path).read_text(), sorted(os.listdir(directory)))
        log.call("connect", "a plain file", connects, path)
        log.call("connect", "a directory", connects, directory)


@twin
async def test_links_to_a_socket_file(log: Log):
    with bound() as (directory, path):
        os.link(path, f"{directory}/hard")
        log("hard", os.stat(path).st_nlink, os.path.samefile(path, f"{directory}/hard"))
        log.call("hard", "taken", os.link, path, f"{directory}/plain")
        log.call("hard", "taken", os.link, f"{directory}/plain", path)
        log.call("hard", "same", os.rename, path, f"{directory}/hard")
        for target, link in ((path, "absolute"), ("s", "relative"), ("relative", "twice"), ("missing", "dangling")):
            os.symlink(target, f"{directory}/{link}")
            log.call(link, "connect", connects, f"{directory}/{link}")
            log(link, os.path.exists(f"{directory}/{link}"), os.path.islink(f"{directory}/{link}"))
        log("follows", os.stat(f"{directory}/twice").st_ino == os.stat(path).st_ino)
        log("lstat", stat.S_ISLNK(os.lstat(f"{directory}/twice").st_mode))
        with socket.socket(socket.AF_UNIX) as other:
            log.call("bind", "a link", other.bind, f"{directory}/twice")
        os.unlink(f"{directory}/twice")
        os.unlink(path)
        log("left", sorted(os.listdir(directory)), os.stat(f"{directory}/hard").st_nlink)
        log.call("connect", "hard", connects, f"{directory}/hard")
        log.call("connect", "relative", connects, f"{directory}/relative")


@twin
async def test_a_directory_with_a_socket_is_not_empty(log: Log):
    with tempfile.TemporaryDirectory() as above:
        for remove in (shutil.rmtree, lambda path: os.rename(path, f"{above}/moved")):
            directory = f"{above}/below"
            os.mkdir(directory)
            os.mkdir(f"{above}/empty")
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(f"{directory}/s")
                sock.listen()
                log.call("rmdir", "", os.rmdir, directory)
                log.call("rename", "over it", os.rename, f"{above}/empty", directory)
                log.call("remove", "", remove, directory)
                log("left", sorted(os.listdir(above)))
                log.call("connect", "moved", connects, f"{above}/moved/s")
                os.rmdir(f"{above}/empty")


@twin
async def test_relative_paths_of_sockets(log: Log):
    here = os.getcwd()
    with bound(listens=False) as (directory, _), socket.socket(socket.AF_UNIX) as sock:
        os.mkdir(f"{directory}/below")
        os.symlink("below", f"{directory}/link")
        try:
            os.chdir(f"{directory}/link")
            sock.bind("relative")
            sock.listen()
            log("there", os.listdir(), sorted(os.listdir("..")), [each.name for each in os.scandir()])
            log("entry", [each.path for each in os.scandir()], os.path.exists("../s"))
            connects("relative")
            connects("../link/relative")
            os.chdir("..")
            log.call("connect", "from above", connects, "relative")
            log.call("connect", "from above", connects, "below/relative")
            log("name", sock.getsockname())
        finally:
            os.chdir(here)
        connects(f"{directory}/below/relative")


@twin
async def test_a_socket_is_bound_where_its_directory_is(log: Log):
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as sock:
        Path(directory, "plain").touch()
        for name in ("missing/s", "plain/s", "", ".", "below/", "missing/"):
            log.call("bind", name, sock.bind, f"{directory}/{name}")
            log.call("connect", name, connects, f"{directory}/{name}")
        await log.attempt("server", "missing", loop.create_unix_server(asyncio.Protocol, f"{directory}/missing/s"))
        await log.attempt("client", "missing", loop.create_unix_connection(asyncio.Protocol, f"{directory}/missing/s"))
        log.call("listen", "unbound", sock.listen)
        log.call("bind", "after all", sock.bind, f"{directory}/s")


@twin
async def test_abstract_names_of_sockets(log: Log):
    name = f"\0unix-files-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        log.call("bind", "any", one.bind, "")
        log.call("bind", "any again", one.bind, "")
        any_name = one.getsockname()
        log("any", type(any_name), len(any_name), any_name[:1])
        log.call("bind", "another", other.bind, b"")
        log("another", other.getsockname() != any_name)
        one.listen()
        connects(any_name)
        log.call("connect", "does not listen", connects, other.getsockname())
    log.call("connect", "closed", connects, any_name)
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
            log.call("bind", "a name", one.bind, name)
            log.call("bind", "taken", other.bind, os.fsencode(name))
            log("name", one.getsockname() == os.fsencode(name))
            one.listen()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(name)
                accepted, _ = one.accept()
                log("peer", client.getpeername() == os.fsencode(name), accepted.getsockname() == os.fsencode(name))
                accepted.close()
            log.call("bind", "taken still", other.bind, name)
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), name)
    try:
        await asyncio.start_unix_server(lambda _, writer: writer.close(), name)
    except OSError as error:
        log("server", str(error).replace(str(os.getpid()), ""))
    log("path", os.path.exists(name))
    server.close()
    await server.wait_closed()
    with socket.socket(socket.AF_UNIX) as again:
        log.call("bind", "after a server", again.bind, name)
