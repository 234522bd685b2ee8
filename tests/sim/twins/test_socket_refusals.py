"""What a socket refuses that blocks, is not connected, is of another kind, or closed."""

import asyncio
import socket
from typing import Any

from tests.sim.twins.by_hand import client, connected, listener, log_calls
from tests.sim.twins.twin import Log, moment, twin


@twin
async def test_a_blocking_socket_is_refused_in_debug_mode(log: Log):
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    with socket.socket() as one:
        await log.attempt("test", "recv", loop.sock_recv(one, 1))
        await log.attempt("test", "connect", loop.sock_connect(one, ("127.0.0.1", 1)))
        await log.attempt("test", "accept", loop.sock_accept(one))
    loop.set_debug(False)


@twin
async def test_what_a_socket_that_is_not_connected_refuses(log: Log):
    with client() as one:
        log.call("one", "send", one.send, b"x")
        log.call("one", "recv", one.recv, 1)
        log.call("one", "accept", one.accept)
        log.call("one", "shutdown", one.shutdown, socket.SHUT_WR)
        one.bind(("127.0.0.1", 0))
        log.call("one", "bind", one.bind, ("127.0.0.1", 0))
        log("one", one.getsockname()[0], one.getsockname()[1] > 0)
        one.listen()
        log("one", one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        log.call("one", "accept", one.accept)


@twin
async def test_calls_that_a_socket_cannot_answer(log: Log):
    with listener() as listening, client() as one, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        address = listening.getsockname()
        log_calls(log, "listener", accept=listening.accept, connect=lambda: listening.connect(address))
        log_calls(log, "listener", send=lambda: listening.send(b"x"), receive=lambda: listening.recvfrom(1))
        datagrams.setblocking(False)
        log_calls(log, "datagrams", send=lambda: datagrams.send(b"x"), receive=lambda: datagrams.recv(1))
        log_calls(log, "datagrams", listen=datagrams.listen, accept=datagrams.accept)
        await asyncio.get_running_loop().sock_connect(one, address)
        log_calls(log, "one", listen=one.listen)
        log_calls(log, "one", late=lambda: one.settimeout(-1), text=lambda: one.settimeout("1"))
        one.settimeout(3)
        log("one", one.gettimeout(), one.get_inheritable())


@twin
async def test_calls_of_a_closed_socket(log: Log):
    for who, sock in (("stream", client()), ("datagrams", socket.socket(type=socket.SOCK_DGRAM))):
        sock.close()
        sock.close()
        address = ("127.0.0.1", 1)
        log_calls(log, who, number=sock.fileno, name=sock.getsockname, peer=sock.getpeername, listen=sock.listen)
        log_calls(log, who, accept=sock.accept, receive=lambda: sock.recv(1), send=lambda: sock.send(b"x"))  # noqa: B023
        log_calls(log, who, bind=lambda: sock.bind(address), connect=lambda: sock.connect(address))  # noqa: B023
        log_calls(log, who, to=lambda: sock.sendto(b"x", address), end=lambda: sock.shutdown(1))  # noqa: B023
        log_calls(log, who, option=lambda: sock.getsockopt(1, 2), wait=lambda: sock.setblocking(False))  # noqa: B023


@twin
async def test_what_cannot_be_watched(log: Log):
    loop = asyncio.get_running_loop()
    with client() as closed:
        pass
    for what, watched in (("closed", closed), ("negative", -1), ("text", "socket"), ("nothing", None)):
        for watch in (loop.add_reader, loop.add_writer):
            log.call(what, "watch", watch, watched, print)


@twin
async def test_refused_arguments_cost_no_data(log: Log):
    async with connected() as (one, other):
        number: Any = 5
        numbers: Any = [1, 2]
        log_calls(log, "one", number=lambda: one.send(number), numbers=lambda: one.send(numbers))
        log_calls(
            log, "one", to=lambda: one.sendto(number, other.getsockname()), data=lambda: one.send(b"hello, world")
        )
        await moment()
        room: Any = bytearray(3)
        read_only: Any = b"abc"
        log_calls(log, "other", much=lambda: other.recv_into(room, 10), negative=lambda: other.recv_into(room, -1))
        log_calls(log, "other", kept=lambda: other.recv_into(read_only), all=lambda: other.recvmsg_into([read_only]))
        log_calls(log, "other", into=lambda: other.recv_into(room), rest=lambda: other.recv(100))
        log("other", room)
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        log_calls(log, "datagrams", number=lambda: datagrams.sendto(number, ("127.0.0.1", 9)))
