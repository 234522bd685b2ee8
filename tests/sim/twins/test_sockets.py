"""Sockets in use: bytes through `loop.sock_*`, through calls of their own, and given to transports and servers."""

import asyncio
import socket

from tests.sim.twins.by_hand import client, listener, log_calls
from tests.sim.twins.twin import Log, Pair, Peer, moment, twin


@twin
async def test_connect_accept_send_receive(log: Log):
    loop = asyncio.get_running_loop()
    with listener() as listening, client() as one:
        accepting = asyncio.create_task(loop.sock_accept(listening))
        await loop.sock_connect(one, listening.getsockname())
        other, address = await accepting
        with other:
            log("both", address == one.getsockname(), other.getpeername() == address, other.gettimeout())
            await loop.sock_sendall(one, b"hello")
            log("other", await loop.sock_recv(other, 3), await loop.sock_recv(other, 100))
            buffer = bytearray(10)
            await loop.sock_sendall(other, b"back")
            log("one", await loop.sock_recv_into(one, buffer), bytes(buffer))
            other.shutdown(socket.SHUT_WR)
            log("one", await loop.sock_recv(one, 10))


@twin
async def test_sendall_of_much(log: Log):
    loop = asyncio.get_running_loop()
    with listener() as listening, client() as one:
        await loop.sock_connect(one, listening.getsockname())
        other, _ = await loop.sock_accept(listening)
        with other:
            sending = asyncio.create_task(loop.sock_sendall(one, bytes(5_000_000)))
            total = 0
            while total < 5_000_000:
                total += len(await loop.sock_recv(other, 100_000))
            await sending
            log("other", total)


@twin
async def test_cancelling_a_wait(log: Log):
    loop = asyncio.get_running_loop()
    with listener() as listening, client() as one:
        for name, wait in (("accept", loop.sock_accept(listening)),):
            await log.attempt("test", name, asyncio.wait_for(wait, 0.002))
        await loop.sock_connect(one, listening.getsockname())
        await log.attempt("test", "recv", asyncio.wait_for(loop.sock_recv(one, 1), 0.002))
        other, _ = await loop.sock_accept(listening)
        other.close()
        log("one", await loop.sock_recv(one, 1))


@twin
async def test_a_connection_over_a_socket_of_ones_own(log: Log):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Peer(log, "server"), "127.0.0.1", 0)
    with client() as one:
        await loop.sock_connect(one, server.sockets[0].getsockname())
        transport, peer = await loop.create_connection(lambda: Peer(log, "client"), sock=one)
        log("client", transport.get_extra_info("peername") == server.sockets[0].getsockname())
        transport.write(b"x")
        await moment()
        transport.close()
        await peer.lost.wait()
        await moment()
        server.close()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        await log.attempt("client", "datagrams", loop.create_connection(asyncio.Protocol, sock=datagrams))


@twin
async def test_a_server_on_a_socket_of_ones_own(log: Log):
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    server = await loop.create_server(lambda: Peer(log, "server"), sock=sock)
    log("server", server.sockets[0].getsockname() == sock.getsockname())
    transport, peer = await loop.create_connection(lambda: Peer(log, "client"), *sock.getsockname())
    transport.write(b"x")
    transport.close()
    await peer.lost.wait()
    await moment()
    server.close()
    await log.attempt("server", "both", loop.create_server(asyncio.Protocol, "127.0.0.1", 0, sock=sock))
    await log.attempt("server", "neither", loop.create_server(asyncio.Protocol))


@twin
async def test_an_accepted_socket_becomes_a_transport(log: Log):
    loop = asyncio.get_running_loop()
    with listener() as listening:
        transport, peer = await loop.create_connection(lambda: Peer(log, "client"), *listening.getsockname())
        accepted, _ = await loop.sock_accept(listening)
        other, server = await loop.connect_accepted_socket(lambda: Peer(log, "server"), accepted)
        transport.write(b"x")
        await server.received(1)
        other.close()
        await peer.lost.wait()


@twin
async def test_readers_and_writers_of_a_socket_pair(log: Log):
    loop = asyncio.get_running_loop()
    one, other = socket.socketpair()
    for each in (one, other):
        each.setblocking(False)
    readable, writable = asyncio.Event(), asyncio.Event()
    loop.add_reader(other, readable.set)
    loop.add_writer(one, writable.set)
    await writable.wait()
    log("pair", readable.is_set())
    one.send(b"x")
    await readable.wait()
    log("pair", other.recv(10), loop.remove_reader(other), loop.remove_writer(one), loop.remove_reader(other))
    one.close()
    log("pair", await loop.sock_recv(other, 1))
    other.close()


async def connected(listening):
    """Two sockets that are connected, made by hand."""
    one = client()
    await asyncio.get_running_loop().sock_connect(one, listening.getsockname())
    other, _ = listening.accept()
    other.setblocking(False)
    return one, other


@twin
async def test_connections_not_accepted_are_all_reset_at_once(log: Log):
    loop = asyncio.get_running_loop()
    listening, clients = listener(), [client() for _ in range(5)]
    for each in clients:
        await loop.sock_connect(each, listening.getsockname())
    clients[1].send(b"unread")
    clients[2].shutdown(socket.SHUT_WR)
    accepted, _ = listening.accept()
    accepted.setblocking(False)
    accepted.send(b"x")
    listening.close()
    for number, each in enumerate(clients):
        log_calls(log, number, first=lambda: each.recv(10), then=lambda: each.recv(10), send=lambda: each.send(b"x"))  # noqa: B023
        each.close()
    log_calls(log, "accepted", over=lambda: accepted.recv(1))
    accepted.close()


@twin
async def test_bytes_left_unread_reset_the_peer_at_once(log: Log):
    with listener() as listening:
        one, other = await connected(listening)
        one.send(b"unread")
        other.send(b"read later")
        other.close()
        log_calls(log, "one", error=lambda: one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        log_calls(log, "one", first=lambda: one.recv(10), then=lambda: one.recv(10), send=lambda: one.send(b"x"))
        one.close()
        one, other = await connected(listening)
        other.close()
        log_calls(log, "one", to_nobody=lambda: one.send(b"x"), then=lambda: one.send(b"x"), read=lambda: one.recv(1))
        one.close()


@twin
async def test_ways_to_send_and_receive(log: Log):
    with listener() as listening:
        one, other = await connected(listening)
        with one, other:
            log("one", one.send(b"hello"), one.sendto(b", ", ("127.0.0.1", 1)), one.sendmsg([b"wor", b"ld"]))
            await moment()
            log("other", other.recv(3, socket.MSG_PEEK), other.recv(2), other.recvfrom(3), other.recvmsg(4))
            buffers = bytearray(2), bytearray(5)
            log("other", other.recvmsg_into(buffers), buffers)
            log_calls(log, "other", nothing=lambda: other.recv(0), peek=lambda: other.recv(1, socket.MSG_PEEK))
            log_calls(log, "other", negative=lambda: other.recv(-1), none=lambda: other.recv(1))
            one.shutdown(socket.SHUT_WR)
            await moment()
            log("other", other.recv(1, socket.MSG_PEEK), other.recv(1))


@twin
async def test_ways_to_shut_down(log: Log):
    with listener() as listening:
        one, other = await connected(listening)
        with one, other:
            other.send(b"unread")
            await moment()
            one.shutdown(socket.SHUT_RD)
            log("one", one.recv(10), one.recv(10))
            other.send(b"more")
            await moment()
            log("one", one.recv(10), one.recv(10))
            log_calls(log, "one", wrong=lambda: one.shutdown(77), both=lambda: one.shutdown(socket.SHUT_RDWR))
            log_calls(log, "one", again=lambda: one.shutdown(socket.SHUT_WR), send=lambda: one.send(b"x"))
            other.close()
            await moment()
            log_calls(log, "one", over=lambda: one.shutdown(socket.SHUT_WR), peer=one.getpeername)


@twin
async def test_to_shut_down_reading_ends_a_reader(log: Log):
    async with Pair(log) as (client_, _):
        client_.transport.get_extra_info("socket").shutdown(socket.SHUT_RD)
        await client_.lost.wait()


@twin
async def test_to_connect_by_hand(log: Log):
    loop = asyncio.get_running_loop()
    with listener() as listening:
        address = listening.getsockname()
        for who in ("accepted", "refused"):
            with client() as one:
                writable = asyncio.Event()
                log(who, one.connect_ex(address))
                loop.add_writer(one, writable.set)
                await writable.wait()
                loop.remove_writer(one)
                log(who, *(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for _ in range(2)))
            listening.close()


@twin
async def test_datagram_sockets_by_hand(log: Log):
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
        for each in (one, other):
            each.setblocking(False)
        other.bind(("127.0.0.1", 0))
        address = other.getsockname()
        one.connect(address)
        log("one", one.getsockname()[0], one.getpeername() == address, one.proto)
        log("one", one.send(b"longer"), one.sendmsg([b"in ", b"parts"]), one.sendto(b"there", 0, address))
        await moment()
        log("other", other.recv(3, socket.MSG_PEEK), *other.recvmsg(4)[:3], other.recvfrom(100)[1] == one.getsockname())
        buffer = bytearray(9)
        log("other", (await loop.sock_recvfrom_into(other, buffer, 3))[0], buffer)
        log_calls(log, "other", none=lambda: other.recv(1), peek=lambda: other.recv(1, socket.MSG_PEEK))


@twin
async def test_a_burst_is_read_at_once(log: Log):
    """As much as is written at one instant comes in few pieces, however many calls wrote it."""
    loop = asyncio.get_running_loop()
    with listener() as listening, client() as one:
        await loop.sock_connect(one, listening.getsockname())
        other, _ = await loop.sock_accept(listening)
        with other:
            sizes: list[int] = []
            everything = loop.create_future()

            def read() -> None:
                sizes.append(len(other.recv(2**20)))
                if sum(sizes) == 400 * 1024:
                    everything.set_result(None)

            loop.add_reader(other, read)
            for _ in range(400):
                await loop.sock_sendall(one, bytes(1024))
            await everything
            loop.remove_reader(other)
            log("other", sum(sizes), len(sizes) < 50)
