"""Descriptors of sockets: given away, taken up again, doubled, and given as numbers."""

import asyncio
import os
import socket

from tests.sim.twins.by_hand import client, listener, log_calls
from tests.sim.twins.twin import Log, moment, twin


async def connected():
    """Two sockets that are connected, made by hand."""
    with listener() as listening, listening.dup() as accepts:
        one = client()
        await asyncio.get_running_loop().sock_connect(one, listening.getsockname())
        other, _ = accepts.accept()
    other.setblocking(False)
    return one, other


@twin
async def test_a_detached_listener_is_taken_up_again(log: Log):
    listening = listener()
    address, descriptor = listening.getsockname(), listening.fileno()
    log("test", listening.detach() == descriptor, listening.fileno(), listening.detach())
    log_calls(log, "gone", name=listening.getsockname, accept=listening.accept, close=listening.close)
    again = socket.socket(fileno=descriptor)
    log("again", again.fileno() == descriptor, again.getsockname() == address, again.gettimeout())
    log("again", again.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), again.family, again.type)
    log_calls(log, "again", none=again.accept)  # the file still is a non-blocking one
    server = await asyncio.start_server(lambda _, writer: writer.close(), sock=again)
    reader, writer = await asyncio.open_connection(*address)
    log("client", await reader.read())
    writer.close()
    server.close()
    await log.attempt("client", "closed", asyncio.open_connection(*address))


@twin
async def test_a_detached_connection_stays_open(log: Log):
    loop = asyncio.get_running_loop()
    one, other = await connected()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    await loop.sock_sendall(other, b"unread")
    descriptor = one.detach()
    await moment()
    again = socket.socket(fileno=descriptor)
    again.setblocking(False)
    log("again", again.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE), await loop.sock_recv(again, 100))
    await loop.sock_sendall(other, b"more")
    log("again", await loop.sock_recv(again, 100))
    os.close(again.detach())
    log("other", await loop.sock_recv(other, 100))
    other.close()


@twin
async def test_a_doubled_connection_ends_with_the_last(log: Log):
    loop = asyncio.get_running_loop()
    one, other = await connected()
    twice = one.dup()
    log("twice", twice.fileno() == one.fileno(), twice.gettimeout(), twice.getpeername() == one.getpeername())
    one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    log("twice", twice.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
    one.close()
    await loop.sock_sendall(twice, b"still there")
    log("other", await loop.sock_recv(other, 100))
    await loop.sock_sendall(other, b"and back")
    log("twice", await loop.sock_recv(twice, 100))
    twice.close()
    log("other", await loop.sock_recv(other, 100))
    other.close()


@twin
async def test_a_socket_is_doubled_before_it_connects(log: Log):
    loop = asyncio.get_running_loop()
    with listener() as listening, client() as one, one.dup() as twice:
        await loop.sock_connect(one, listening.getsockname())
        log("twice", twice.getpeername() == listening.getsockname(), twice.getsockname() == one.getsockname())
        accepted, _ = await loop.sock_accept(listening)
        await loop.sock_sendall(twice, b"x")
        log("accepted", await loop.sock_recv(accepted, 10))
        accepted.close()


@twin
async def test_each_descriptor_is_watched_by_itself(log: Log):
    loop = asyncio.get_running_loop()
    one, other = await connected()
    twice = one.dup()
    seen = {"one": 0, "twice": 0}

    def count(name: str) -> None:
        seen[name] = 1

    loop.add_reader(one.fileno(), count, "one")
    loop.add_reader(twice.fileno(), count, "twice")
    other.send(b"x")
    await moment()
    log("both", dict(seen), loop.remove_reader(one), loop.remove_reader(twice.fileno()), loop.remove_reader(twice))
    for each in (one, twice, other):
        each.close()


@twin
async def test_the_descriptor_of_another_socket_is_doubled(log: Log):
    loop = asyncio.get_running_loop()
    with listener() as listening:
        again = socket.fromfd(listening.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        log("again", again.fileno() == listening.fileno(), again.getsockname() == listening.getsockname())
        address = again.getsockname()
        again.setblocking(False)
    with again, client() as one:
        accepting = asyncio.create_task(loop.sock_accept(again))
        await loop.sock_connect(one, address)
        accepted, _ = await accepting
        accepted.close()
        log("one", await loop.sock_recv(one, 1))
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        number = os.dup(datagrams.fileno())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 0, number) as more:
            more.sendto(b"to oneself", datagrams.getsockname())
            await moment()
            more.setblocking(False)
            log("datagrams", more.recv(100))


@twin
async def test_two_objects_have_one_descriptor(log: Log):
    loop = asyncio.get_running_loop()
    one, other = await connected()
    same = socket.socket(fileno=one.fileno())
    log("same", same.fileno() == one.fileno(), same.getsockname() == one.getsockname())
    same.setblocking(False)
    await loop.sock_sendall(other, b"hello")
    log("same", await loop.sock_recv(same, 2), await loop.sock_recv(one, 10))
    log("same", one.detach() == same.fileno(), one.fileno())
    await loop.sock_sendall(same, b"back")
    log("other", await loop.sock_recv(other, 10))
    same.close()
    log("other", await loop.sock_recv(other, 10))
    other.close()


@twin
async def test_a_transport_over_a_descriptor_taken_up(log: Log):
    one, other = await connected()
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=one.detach()))
    more, answers = await asyncio.open_connection(sock=other.dup())
    other.close()
    writer.write(b"hello")
    log("other", await more.readexactly(5))
    answers.write(b"back")
    answers.close()
    log("one", await reader.read())
    writer.close()
    await moment()


@twin
async def test_doubles_are_one_file(log: Log):
    one, other = socket.socketpair()
    with one, other, one.dup() as double:
        log("same", os.fstat(one.fileno()).st_ino == os.fstat(double.fileno()).st_ino)
        log("same", os.fstat(one.fileno()).st_ino == os.fstat(other.fileno()).st_ino)
