"""Unix sockets: their paths, what a server leaves there, and how their ends differ from TCP."""

import asyncio
import os
import socket
import sys

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
