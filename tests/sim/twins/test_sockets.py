import asyncio
import os
import socket
import struct
import sys

from tests.sim.twins.twin import Log, Pair, Peer, moment, twin, unix_path


def listener(**options):
    sock = socket.socket()
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    sock.listen(**options)
    return sock


def client():
    sock = socket.socket()
    sock.setblocking(False)
    return sock


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
async def test_a_blocking_socket_is_refused_in_debug_mode(log: Log):
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    with socket.socket() as one:
        await log.attempt("test", "recv", loop.sock_recv(one, 1))
        await log.attempt("test", "connect", loop.sock_connect(one, ("127.0.0.1", 1)))
        await log.attempt("test", "accept", loop.sock_accept(one))
    loop.set_debug(False)


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


@twin
async def test_a_port_that_is_taken(log: Log):
    one = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = one.sockets[0].getsockname()[1]
    for host in ("127.0.0.1", "0.0.0.0"):
        await log.attempt("two", host, asyncio.start_server(lambda r, w: None, host, port))
    elsewhere = await log.attempt("two", "127.0.0.9", asyncio.start_server(lambda r, w: None, "127.0.0.9", port))
    elsewhere.close()
    one.close()
    again = await log.attempt("three", "again", asyncio.start_server(lambda r, w: None, "127.0.0.1", port))
    again.close()


@twin
async def test_port_zero_gives_each_a_port_of_its_own(log: Log):
    servers = [await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0) for _ in range(3)]
    ports = {server.sockets[0].getsockname()[1] for server in servers}
    log("servers", len(ports), min(ports) >= 1024)
    for server in servers:
        server.close()


@twin
async def test_a_wildcard_is_reached_by_every_address(log: Log):
    peers = []

    def accept():
        peers.append(Peer(log, "server"))
        return peers[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(accept, "0.0.0.0", 0)
    port = server.sockets[0].getsockname()[1]
    for address in ("127.0.0.1", "127.0.0.3", "localhost"):
        transport, peer = await loop.create_connection(lambda: Peer(log, "client"), address, port)
        log("client", transport.get_extra_info("peername")[0], transport.get_extra_info("sockname")[0])
        await moment()
        log("server", peers[-1].transport.get_extra_info("sockname")[0])
        transport.close()
        await peer.lost.wait()
        await moment()
    server.close()


@twin
async def test_addresses_that_nobody_has(log: Log):
    await log.attempt("server", "not ours", asyncio.start_server(lambda r, w: None, "192.0.2.1", 0))
    await log.attempt("server", "no name", asyncio.start_server(lambda r, w: None, "not a name", 0))
    await log.attempt("client", "no name", asyncio.open_connection("not a name", 80))
    await log.attempt("client", "port", asyncio.open_connection("127.0.0.1", 70_000))


@twin
async def test_a_local_address_of_ones_own_choice(log: Log):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Peer(log, "server"), "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    transport, peer = await loop.create_connection(lambda: Peer(log, "client"), *address, local_addr=("127.0.0.5", 0))
    log("client", transport.get_extra_info("sockname")[0])
    transport.close()
    await peer.lost.wait()
    await moment()
    await log.attempt("taken", "open", loop.create_connection(asyncio.Protocol, *address, local_addr=address))
    server.close()


@twin
async def test_getaddrinfo(log: Log):
    loop = asyncio.get_running_loop()
    for host in ("127.0.0.1", "localhost", "192.0.2.7", "::1", None):
        # Whether a machine's names and its wildcard have IPv6 as well is the machine's business.
        family = socket.AF_INET if host in ("localhost", None) else 0
        infos = await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM, family=family)
        log("names", host, infos)
    log("names", await loop.getaddrinfo("127.0.0.1", "http", type=socket.SOCK_STREAM))
    log("names", len(await loop.getaddrinfo("127.0.0.1", None)))
    log("names", await loop.getaddrinfo("127.0.0.1", 80, proto=socket.IPPROTO_UDP))
    await log.attempt("names", "no service", loop.getaddrinfo("127.0.0.1", "no-such-service"))
    await log.attempt("names", "numeric", loop.getaddrinfo("localhost", 1, flags=socket.AI_NUMERICHOST))
    await log.attempt("names", "family", loop.getaddrinfo("127.0.0.1", 1, family=socket.AF_INET6))
    log("names", await loop.getnameinfo(("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV))
    log("names", socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM), socket.gethostbyname("localhost"))


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


async def connected(listening):
    """Two sockets that are connected, made by hand."""
    one = client()
    await asyncio.get_running_loop().sock_connect(one, listening.getsockname())
    other, _ = listening.accept()
    other.setblocking(False)
    return one, other


def log_calls(log, who, **calls):
    for name, call in calls.items():
        try:
            log(who, name, call())
        except Exception as error:
            log(who, name, error)


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
async def test_a_unix_socket_knows_at_once_that_its_peer_is_closed(log: Log):
    one, other = socket.socketpair()
    with one:
        one.setblocking(False)
        other.close()
        log_calls(log, "one", receive=lambda: one.recv(1), send=lambda: one.send(b"x"))


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
async def test_an_ipv6_wildcard_accepts_ipv4_too(log: Log):
    loop = asyncio.get_running_loop()
    for only in (False, True):
        who = "IPv6 only" if only else "both"
        with socket.socket(socket.AF_INET6) as listening, client() as one, socket.socket(socket.AF_INET6) as mapped:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
            listening.setblocking(False)
            mapped.setblocking(False)
            listening.bind(("::", 0))
            listening.listen()
            port = listening.getsockname()[1]
            await log.attempt(who, "IPv4", loop.sock_connect(one, ("127.0.0.1", port)))
            await log.attempt(who, "mapped", loop.sock_connect(mapped, ("::ffff:127.0.0.1", port, 0, 0)))
            with socket.socket() as other:
                log.call(who, "taken", other.bind, ("127.0.0.1", port))
            if not only:
                accepted, address = listening.accept()
                log(who, address[0], address[1] == one.getsockname()[1], accepted.getsockname()[0], accepted.family)
                log(who, mapped.getsockname()[0], mapped.getpeername()[0])
                accepted.close()


@twin
async def test_an_address_is_taken_before_anybody_listens(log: Log):
    for share in (False, True):
        with socket.socket() as first:
            first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, share)
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            for ip in ("127.0.0.1", "127.0.0.2", "0.0.0.0", ""):
                for shares in (False, True):
                    with socket.socket() as second:
                        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, shares)
                        log.call((share, shares), ip, second.bind, (ip, port))
            if share:
                with socket.socket() as second:
                    second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
                    second.bind(("127.0.0.1", port))
                    second.listen()
                    log.call("both", "listen", first.listen)
        with socket.socket() as after:
            log.call("after", "bind", after.bind, ("127.0.0.1", port))


@twin
async def test_addresses_that_cannot_be_bound(log: Log):
    addresses = ["127.0.0.1", ("127.0.0.1",), ("127.0.0.1", "80"), ("127.0.0.1", 0, 0), (None, 0), ("127.0.0.1", 65536)]
    for address in (*addresses, ("nobody.invalid", 0), ("::1", 0), ("localhost", 0), (b"127.0.0.1", 0)):
        with socket.socket() as sock:
            log.call("IPv4", address, sock.bind, address)
    for address in (("127.0.0.1", 0), ("::1", 0, 0, 0), ("::1",)):
        with socket.socket(socket.AF_INET6) as sock:
            log.call("IPv6", address, sock.bind, address)


async def log_addresses(log, who, *arguments, **options):
    try:
        log(who, arguments, options, await asyncio.get_running_loop().getaddrinfo(*arguments, **options))
    except Exception as error:
        log(who, arguments, options, error)


@twin
async def test_what_getaddrinfo_makes_of_services(log: Log):
    stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
    for port in ("http", "domain", "syslog", "nothing-such", b"80", "", None, 70000, -1, "70000", 1.5):
        await log_addresses(log, "any", "127.0.0.1", port)
        await log_addresses(log, "stream", "127.0.0.1", port, type=stream)
        await log_addresses(log, "datagram", "127.0.0.1", port, type=datagram)
        await log_addresses(log, "numeric", "127.0.0.1", port, type=stream, flags=socket.AI_NUMERICSERV)


@twin
async def test_what_getaddrinfo_makes_of_hosts(log: Log):
    shorts = ("127.1", "0x7f000001", "127.0.0.01", "256.0.0.1", " 127.0.0.1", "127.0.0.1 ", "FE80::1", "::ffff:1.2.3.4")
    for host in (*shorts, None, "", b"127.0.0.1", 5, "a..b", "a" * 70, "nobody.invalid"):
        await log_addresses(log, "host", host, 80, type=socket.SOCK_STREAM, family=0 if host else socket.AF_INET)
    await log_addresses(log, "nothing", None, None)
    six = {"family": socket.AF_INET6, "type": socket.SOCK_STREAM}
    await log_addresses(log, "mapped", "127.0.0.1", 80, **six, flags=socket.AI_V4MAPPED)
    await log_addresses(log, "not mapped", "127.0.0.1", 80, **six)


@twin
async def test_what_getaddrinfo_refuses(log: Log):
    for options in ({"type": 99}, {"family": 99}, {"flags": 1 << 27}, {"proto": 99}):
        await log_addresses(log, "refused", "127.0.0.1", 80, **options)
    await log_addresses(log, "refused", "127.0.0.1", 80, type=socket.SOCK_STREAM, proto=socket.IPPROTO_UDP)


@twin
async def test_getnameinfo(log: Log):
    loop = asyncio.get_running_loop()
    numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    hosts = ("127.0.0.1", 80), ("::1", 80, 0, 0), ("127.0.0.1", 70000), ("127.0.0.1", -1)
    for address in (*hosts, ("name", 80), ("127.0.0.1",), "127.0.0.1", ("127.0.0.1", "http"), (None, 80)):
        for flags in (numeric, socket.NI_NUMERICHOST, socket.NI_NUMERICHOST | socket.NI_DGRAM):
            try:
                log("name", address, flags, await loop.getnameinfo(address, flags))
            except Exception as error:
                log("name", address, flags, error)


@twin
async def test_a_look_up_of_the_programs_own(log: Log):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Peer(log, "server"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def look_up(host, *_, **__):
        log("asked", host)
        hosts = ["127.0.0.3", "127.0.0.4", "127.0.0.1"] if host == "several" else []
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, port)) for ip in hosts]

    loop.getaddrinfo = look_up
    for host in ("several", "nobody"):
        for options in ({}, {"happy_eyeballs_delay": 0.01}):
            connected = await log.attempt(
                host, sorted(options), loop.create_connection(asyncio.Protocol, host, port, **options)
            )
            if connected is not None:
                log(host, connected[0].get_extra_info("peername")[0])
                connected[0].close()
                await moment()
    server.close()


@twin
async def test_arguments_of_servers(log: Log):
    loop = asyncio.get_running_loop()

    async def serve(what, **where):
        try:
            server = await loop.create_server(asyncio.Protocol, **where)
        except Exception as error:
            log(what, error)
            return
        log(what, sorted(each.getsockname()[0] for each in server.sockets))
        for name in ("SO_REUSEADDR", "SO_REUSEPORT", "SO_KEEPALIVE"):
            log(what, name, [s.getsockopt(socket.SOL_SOCKET, getattr(socket, name)) for s in server.sockets])
        server.close()

    await serve("several", host=["127.0.0.1", "127.0.0.2"], port=0)
    await serve("one twice", host=["127.0.0.1", "127.0.0.1"], port=0)
    await serve("none", host=[], port=0)
    await serve("bytes", host=b"127.0.0.1", port=0)
    await serve("all", host="", port=0, family=socket.AF_INET)
    await serve("all", port=0, family=socket.AF_INET)
    await serve("local", port=0, family=socket.AF_INET, flags=0)
    await serve("shared", host="127.0.0.1", port=0, reuse_port=True)
    await serve("not again", host="127.0.0.1", port=0, reuse_address=False)
    await serve("no such option", host="127.0.0.1", port=0, reuse=True)
    await serve("too high", host="127.0.0.1", port=70000)
    if sys.version_info >= (3, 13):
        await serve("kept alive", host="127.0.0.1", port=0, keep_alive=True)
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        await serve("datagrams", sock=datagrams)


@twin
async def test_what_a_taken_port_tells(log: Log):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await loop.create_server(asyncio.Protocol, "127.0.0.1", port)
    except OSError as error:
        log("server", error.errno, str(error).replace(str(port), "port"))
    server.close()


@twin
async def test_to_connect_to_no_address_is_to_connect_to_oneself(log: Log):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Peer(log, "server"), "127.0.0.1", 0)
    transport, peer = await loop.create_connection(
        lambda: Peer(log, "client"), "0.0.0.0", server.sockets[0].getsockname()[1]
    )
    log("client", transport.get_extra_info("peername")[0], transport.get_extra_info("sockname")[0])
    transport.close()
    await peer.lost.wait()
    await moment()
    server.close()


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
async def test_what_cannot_be_watched(log: Log):
    loop = asyncio.get_running_loop()
    with client() as closed:
        pass
    for what, watched in (("closed", closed), ("negative", -1), ("text", "socket"), ("nothing", None)):
        for watch in (loop.add_reader, loop.add_writer):
            log.call(what, "watch", watch, watched, print)


@twin
async def test_switches_that_are_set_as_bytes(log: Log):
    with client() as one:
        for value in (1, 0):
            for level, option in ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.SOL_SOCKET, socket.SO_REUSEADDR)):
                one.setsockopt(level, option, struct.pack("i", value))
                log("set", value, one.getsockopt(level, option))


@twin
async def test_connecting_to_a_path_that_is_empty(log: Log):
    with socket.socket(socket.AF_UNIX) as one:
        one.setblocking(False)
        await log.attempt("connect", "empty", asyncio.get_running_loop().sock_connect(one, ""))
