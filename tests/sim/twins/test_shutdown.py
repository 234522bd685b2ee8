"""What `shutdown()` ends: directions of a connection, listeners, datagram and Unix sockets, and what comes after it."""

import asyncio
import socket

from tests.sim.twins.by_hand import client, connected, listener, log_calls
from tests.sim.twins.twin import Log, Pair, moment, twin

ERROR = socket.SOL_SOCKET, socket.SO_ERROR


@twin
async def test_what_is_sent_to_one_that_shut_both_ways_resets(log: Log):
    async with connected() as (one, other):
        one.shutdown(socket.SHUT_RDWR)
        await moment()
        log_calls(
            log, "one", read=lambda: one.recv(5), send=lambda: one.send(b"x"), name=lambda: len(one.getpeername())
        )
        log_calls(log, "other", read=lambda: other.recv(5), send=lambda: other.send(b"hello"))
        await moment()
        log_calls(log, "other", send=lambda: other.send(b"hello"), read=lambda: other.recv(5), name=other.getpeername)
        log_calls(log, "other", again=lambda: other.send(b"x"), error=lambda: other.getsockopt(*ERROR))
        log_calls(log, "one", read=lambda: one.recv(5), then=lambda: one.recv(5), name=one.getpeername)
        log_calls(log, "one", over=lambda: one.shutdown(socket.SHUT_RDWR))
        log_calls(log, "other", over=lambda: other.shutdown(socket.SHUT_RDWR))


@twin
async def test_what_came_before_both_ways_were_shut_is_read(log: Log):
    async with connected() as (one, other):
        other.send(b"hello")
        await moment()
        one.shutdown(socket.SHUT_WR)
        one.shutdown(socket.SHUT_RD)
        log_calls(log, "one", first=lambda: one.recv(2), rest=lambda: one.recv(20), then=lambda: one.recv(20))
        other.send(b"late")
        await moment()
        log_calls(log, "one", read=lambda: one.recv(20), then=lambda: one.recv(20))
        log_calls(log, "other", send=lambda: other.send(b"x"), read=lambda: other.recv(2))


@twin
async def test_both_ends_shut_both_ways(log: Log):
    def look(who, sock):
        log_calls(log, who, over=lambda: sock.shutdown(2), name=sock.getpeername, own=lambda: sock.getsockname()[0])
        log_calls(log, who, read=lambda: sock.recv(1), send=lambda: sock.send(b"x"))

    async with connected() as (one, other):
        log_calls(
            log, "one", first=lambda: one.shutdown(2), again=lambda: one.shutdown(2), reads=lambda: one.shutdown(0)
        )
        log_calls(log, "other", first=lambda: other.shutdown(2), again=lambda: other.shutdown(2))
        look("one", one)
        look("other", other)


@twin
async def test_a_transport_writes_to_one_that_shut_both_ways(log: Log):
    async with Pair(log, keep_open=True) as (client_, server):
        client_.transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        await server.ended.wait()
        for _ in range(3):
            server.transport.write(b"hello")
            await moment()
        log("test", client_.lost.is_set(), server.lost.is_set())


@twin
async def test_a_listener_that_is_shut_ends_those_who_accept(log: Log):
    loop = asyncio.get_running_loop()

    async def shut(how):
        with listener() as listening, client() as one:
            address = listening.getsockname()
            accepting = asyncio.create_task(log.attempt(how, "accept", loop.sock_accept(listening)))
            await moment()
            log_calls(log, how, end=lambda: listening.shutdown(how))
            await moment()
            log(how, accepting.done())
            accepting.cancel()
            await asyncio.wait([accepting])
            log(how, listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN), listening.getsockname() == address)
            log_calls(log, how, accept=listening.accept, again=lambda: listening.shutdown(how))
            await log.attempt(how, "connect", loop.sock_connect(one, address))

    for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        await shut(how)


@twin
async def test_a_listener_that_is_shut_resets_who_waits(log: Log):
    with listener() as listening, client() as one:
        await asyncio.get_running_loop().sock_connect(one, listening.getsockname())
        listening.shutdown(socket.SHUT_RDWR)
        await moment()
        log_calls(log, "one", read=lambda: one.recv(1), send=lambda: one.send(b"x"))
        log_calls(log, "listener", accept=listening.accept)


@twin
async def test_a_port_that_was_shut_listens_again(log: Log):
    with socket.socket() as sock, client() as one:
        sock.setblocking(False)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = free.getsockname()
        sock.bind(address)
        sock.listen()
        sock.shutdown(socket.SHUT_RD)
        log_calls(log, "sock", listen=sock.listen, name=lambda: sock.getsockname() == address)
        await log.attempt("one", "connect", asyncio.get_running_loop().sock_connect(one, address))


@twin
async def test_datagram_sockets_are_shut(log: Log):
    async def shut(how):
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as alone:
            log_calls(log, how, unconnected=lambda: alone.shutdown(how))
            one.setblocking(False)
            one.bind(("127.0.0.1", 0))
            one.connect(one.getsockname())
            log_calls(log, how, connected=lambda: one.shutdown(how), again=lambda: one.shutdown(how))
            log_calls(log, how, send=lambda: one.send(b"x"), name=lambda: one.getpeername() == one.getsockname())
            await moment()
            log_calls(log, how, read=lambda: one.recv(4), none=lambda: one.recv(4))

    for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        await shut(how)


@twin
async def test_unix_sockets_are_shut(log: Log):
    def shut(how):
        one, other = socket.socketpair()
        with one, other:
            one.setblocking(False)
            other.setblocking(False)
            other.send(b"unread")
            log_calls(log, how, end=lambda: one.shutdown(how), read=lambda: one.recv(10), none=lambda: one.recv(10))
            log_calls(log, how, send=lambda: other.send(b"x"), again=lambda: one.shutdown(how), name=one.getpeername)
            log_calls(log, how, both=lambda: other.shutdown(2), name=one.getpeername, read=lambda: other.recv(1))
            one.close()
            log_calls(log, how, late=lambda: other.shutdown(2), name=other.getpeername, send=lambda: other.send(b"x"))

    with socket.socket(socket.AF_UNIX) as alone:
        log_calls(log, "alone", end=lambda: alone.shutdown(socket.SHUT_RDWR), wrong=lambda: alone.shutdown(7))
    shut(socket.SHUT_RD)
    shut(socket.SHUT_RDWR)


@twin
async def test_the_loop_watches_sockets_in_every_state(log: Log):
    loop = asyncio.get_running_loop()

    async def look(sock, state):
        found = set()
        loop.add_reader(sock, found.add, "reads")
        loop.add_writer(sock, found.add, "writes")
        await moment()
        loop.remove_reader(sock)
        loop.remove_writer(sock)
        log(state, sorted(found))

    with client() as one, listener() as listening, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        await look(one, "new")
        await look(listening, "listens")
        await look(datagrams, "datagrams")
        one.bind(("127.0.0.1", 0))
        await look(one, "bound")
    async with connected() as (one, other):
        await look(one, "connected")
        one.shutdown(socket.SHUT_WR)
        await look(one, "one way")
        await look(other, "its peer")
        other.shutdown(socket.SHUT_WR)
        await look(other, "both ways")
