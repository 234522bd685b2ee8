"""Unix sockets: their paths, what a server leaves there, and how their ends differ from TCP."""

import asyncio
import os
import socket
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from tests.sim.twins.by_hand import log_calls
from tests.sim.twins.twin import Log, Peer, moment, twin, unix_path


@twin
async def test_a_unix_socket(log: Log):
    path = unix_path()
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: Peer(log, "server"), path)
    log("server", server.sockets[0].getsockname() == path, server.sockets[0].family)
    transport, peer = await loop.create_unix_connection(lambda: Peer(log, "client"), path)
    log("client", transport.get_extra_info("peername") == path, transport.get_extra_info("sockname"))
    transport.write(b"x")
    transport.close()
    await peer.lost.wait()
    await moment()
    server.close()


@twin
async def test_unix_sockets_where_nobody_listens(log: Log):
    path = unix_path()
    loop = asyncio.get_running_loop()
    await log.attempt("client", "no file", loop.create_unix_connection(asyncio.Protocol, path))
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path)
        await log.attempt("client", "a file", loop.create_unix_connection(asyncio.Protocol, path))
    await log.attempt("client", "a closed one's", loop.create_unix_connection(asyncio.Protocol, path))
    with socket.socket(socket.AF_UNIX) as again:
        log.call("other", "bind", again.bind, path)


@twin
async def test_a_second_server_takes_over_a_unix_path(log: Log):
    path = unix_path()
    loop = asyncio.get_running_loop()
    one = await loop.create_unix_server(lambda: Peer(log, "one"), path)
    two = await loop.create_unix_server(lambda: Peer(log, "two"), path)
    transport, peer = await loop.create_unix_connection(lambda: Peer(log, "client"), path)
    await moment()
    transport.close()
    await peer.lost.wait()
    await moment()
    one.close()
    two.close()


@twin
async def test_arguments_of_unix_sockets_that_make_no_sense(log: Log):
    loop = asyncio.get_running_loop()
    await log.attempt("test", "no path", loop.create_unix_connection(asyncio.Protocol))
    await log.attempt("test", "no path", loop.create_unix_server(asyncio.Protocol))
    await log.attempt("test", "name", loop.create_unix_connection(asyncio.Protocol, "/x", server_hostname="x"))
    with socket.socket() as tcp:
        await log.attempt("test", "a TCP socket", loop.create_unix_server(asyncio.Protocol, sock=tcp))
        await log.attempt("test", "both", loop.create_unix_server(asyncio.Protocol, "/x", sock=tcp))
    log("test", os.fspath("/x"))


@twin
async def test_a_unix_socket_knows_at_once_that_its_peer_is_closed(log: Log):
    one, other = socket.socketpair()
    with one:
        one.setblocking(False)
        other.close()
        log_calls(log, "one", receive=lambda: one.recv(1), send=lambda: one.send(b"x"))


@twin
async def test_paths_of_unix_sockets(log: Log):
    for path in ("/tmp/" + "a" * 200, os.fsencode(unix_path())):
        with socket.socket(socket.AF_UNIX) as sock:
            log.call("sock", "bind", sock.bind, path)
            log("sock", type(sock.getsockname()), len(sock.getsockname()) > 0)
    with socket.socket(socket.AF_UNIX) as sock:
        for path in (Path(unix_path()), 3, None):
            try:
                sock.bind(path)
            except TypeError as error:
                log("sock", str(error))
        sock.bind(taken := unix_path())
        log.call("sock", "bind again", sock.bind, unix_path())
        log.call("sock", "bind to its own", sock.bind, taken)


@twin
async def test_what_a_unix_server_leaves_behind(log: Log):
    loop = asyncio.get_running_loop()
    for options in ({}, {"cleanup_socket": False}, {"cleanup_socket": True}):
        if options and sys.version_info < (3, 13):
            continue
        path = unix_path()
        first = await loop.create_unix_server(asyncio.Protocol, path, **options)
        first.close()
        await log.attempt("client", options, loop.create_unix_connection(asyncio.Protocol, path))
        first = await loop.create_unix_server(asyncio.Protocol, path, **options)
        second = await loop.create_unix_server(asyncio.Protocol, path, **options)
        first.close()
        connected = await log.attempt("client", "the second", loop.create_unix_connection(asyncio.Protocol, path))
        connected[0].abort()
        await moment()
        second.close()


@twin
async def test_connecting_to_a_path_that_is_empty(log: Log):
    with socket.socket(socket.AF_UNIX) as one:
        one.setblocking(False)
        await log.attempt("connect", "empty", asyncio.get_running_loop().sock_connect(one, ""))


@twin
async def test_a_unix_socket_is_a_file(log: Log):
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "s")
        server = await asyncio.start_unix_server(lambda _, writer: writer.close(), path)
        os.chmod(path, 0o600)
        relative = _log_file(log, path)
        reader, writer = await asyncio.open_unix_connection(relative)
        log("relative", await reader.read(), writer.get_extra_info("peername") == relative)
        writer.close()
        os.remove(path)
        await log.attempt("connect", "removed", asyncio.open_unix_connection(path))
        log.call("remove", "again", os.unlink, path)
        server.close()
        other = _another_file(directory)
        await log.attempt("bind", "another file", asyncio.start_unix_server(print, other))
        log("other", os.stat(other).st_size)


def _log_file(log, path):
    found = os.stat(path)
    log("file", stat.S_ISSOCK(found.st_mode), oct(stat.S_IMODE(found.st_mode)), os.path.exists(path))
    log("path", Path(path).is_socket(), os.lstat(os.fsencode(path)).st_ino == found.st_ino)
    return os.path.relpath(path)


def _another_file(directory):
    other = Path(directory, "other")
    other.write_text("of another kind")
    return other


@twin
async def test_an_abstract_unix_socket_is_no_file(log: Log):
    name = f"\0of-this-test-{os.getpid()}"
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), name)
    reader, writer = await asyncio.open_unix_connection(name)
    log("abstract", await reader.read())
    writer.close()
    server.close()
    await moment()
    await log.attempt("abstract", "nobody listens", asyncio.open_unix_connection(name))
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as other:
        log.call("abstract", "is free again", one.bind, name)
        log.call("abstract", "is taken", other.bind, name)


@twin
async def test_no_blocking_call_is_seen_at_a_unix_socket(log: Log):
    def watched(function):
        def watch(*args):
            if asyncio._get_running_loop() is not None:
                log("watched", function.__name__)
            return function(*args)

        return watch

    path = unix_path()
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((os.path, "abspath"), (os, "getcwd"), (os, "lstat")):
            patch.setattr(owner, name, watched(getattr(owner, name)))
        with socket.socket(socket.AF_UNIX) as one:
            log.call("bind", "ok", one.bind, path)
        log("stat", stat.S_ISSOCK(os.stat(path).st_mode))


@twin
async def test_a_client_with_a_name(log: Log):
    path, own = unix_path(), unix_path()
    with socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as client:
        listening.bind(path)
        listening.listen()
        client.bind(own)
        client.connect(path)
        accepted, address = listening.accept()
        with accepted:
            log("accepted", address == own, accepted.getpeername() == own, accepted.getsockname() == path)
        with socket.socket(socket.AF_UNIX) as abstract:
            abstract.bind("\0its name")
            abstract.connect(path)
            accepted, address = listening.accept()
            with accepted:
                log("abstract", address, accepted.getpeername())
