"""What a socket answers of itself, new and in use: its options and timeouts."""

import asyncio
import socket
import struct

from tests.sim.twins.by_hand import client, listener
from tests.sim.twins.twin import Log, Pair, Peer, moment, twin


@twin
async def test_what_a_new_socket_answers(log: Log):
    with socket.socket() as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two:
        for name, each in (("stream", one), ("datagram", two)):
            log(name, each.family, each.type, each.getsockname(), each.gettimeout(), isinstance(each, socket.socket))
            log.call(name, "peer", each.getpeername)
            log(name, each.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR))
            log(name, each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
            log(name, each.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == socket.AF_INET)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
            log(name, each.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR))
            each.settimeout(3.5)
            log(name, each.gettimeout(), each.getblocking())
            each.setblocking(False)
            log(name, each.gettimeout(), each.getblocking())
    log("closed", one.fileno(), two.fileno())


OPTIONS = {
    "SO_KEEPALIVE": socket.SOL_SOCKET,
    "SO_REUSEADDR": socket.SOL_SOCKET,
    "SO_REUSEPORT": socket.SOL_SOCKET,
    "SO_BROADCAST": socket.SOL_SOCKET,
    "SO_RCVLOWAT": socket.SOL_SOCKET,
    "SO_ERROR": socket.SOL_SOCKET,
    "SO_ACCEPTCONN": socket.SOL_SOCKET,
    "SO_TYPE": socket.SOL_SOCKET,
    "TCP_NODELAY": socket.IPPROTO_TCP,
    "TCP_KEEPIDLE": socket.IPPROTO_TCP,
    "TCP_KEEPINTVL": socket.IPPROTO_TCP,
    "TCP_KEEPCNT": socket.IPPROTO_TCP,
    "TCP_USER_TIMEOUT": socket.IPPROTO_TCP,
    "IP_TTL": socket.IPPROTO_IP,
    "IP_TOS": socket.IPPROTO_IP,
}


def log_options(log, who, sock):
    for name, level in OPTIONS.items():
        log(who, name, sock.getsockopt(level, getattr(socket, name)))


@twin
async def test_options_of_sockets(log: Log):
    with listener() as listening, client() as one:
        log_options(log, "new", one)
        log_options(log, "listening", listening)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 5)
        await asyncio.get_running_loop().sock_connect(one, listening.getsockname())
        with listening.accept()[0] as other:
            log_options(log, "accepted", other)
        for name, level, option, value in (
            ("switch", socket.SOL_SOCKET, socket.SO_REUSEADDR, 7),
            ("number", socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
            ("buffer", socket.SOL_SOCKET, socket.SO_SNDBUF, 50_000),
            ("bytes", socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 5)),
            ("level that there is not", 999, 1, 1),
            ("text", socket.SOL_SOCKET, socket.SO_KEEPALIVE, "1"),
        ):
            log.call(name, "set", one.setsockopt, level, option, value)
            log.call(name, "get", lambda: log(name, one.getsockopt(level, option)))  # noqa: B023
            log.call(name, "get", lambda: log(name, one.getsockopt(level, option, 8)))  # noqa: B023


@twin
async def test_options_of_servers_and_their_connections(log: Log):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Peer(log, "server"), "127.0.0.1", 0)
    log_options(log, "listening", server.sockets[0])
    transport, _ = await loop.create_connection(lambda: Peer(log, "client"), *server.sockets[0].getsockname())
    log_options(log, "client", transport.get_extra_info("socket"))
    transport.abort()
    await moment()
    server.close()


@twin
async def test_to_linger_no_time_resets_the_peer(log: Log):
    async with Pair(log) as (client, server):
        sock = client.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.transport.close()
        await server.lost.wait()


@twin
async def test_switches_that_are_set_as_bytes(log: Log):
    with client() as one:
        for value in (1, 0):
            for level, option in ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.SOL_SOCKET, socket.SO_REUSEADDR)):
                one.setsockopt(level, option, struct.pack("i", value))
                log("set", value, one.getsockopt(level, option))


@twin
async def test_errors_that_datagram_sockets_ask_for(log: Log):
    for family, address, level, option in (
        (socket.AF_INET, ("127.0.0.1", 9), socket.IPPROTO_IP, 11),  # IP_RECVERR
        (socket.AF_INET6, ("::1", 9), socket.IPPROTO_IPV6, 25),  # IPV6_RECVERR
    ):
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.setblocking(False)
            log.call("empty queue", family.name, one.recvmsg, 100, 100, socket.MSG_ERRQUEUE)
            for wanted in (0, 1):
                one.setsockopt(level, option, wanted)
                one.sendto(b"x", address)
                await moment()
                log.call("receive", wanted, one.recvfrom, 10)
                log("option", one.getsockopt(level, option))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        # What has arrived is in another queue, and stays there.
        one.setblocking(False)
        one.bind(("127.0.0.1", 0))
        one.sendto(b"arrived", one.getsockname())
        await moment()
        log.call("empty queue", "beside what arrived", one.recvmsg, 100, 100, socket.MSG_ERRQUEUE)
        log("what arrived", one.recvfrom(10)[0])
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as six:
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        log("option", six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO))
