"""Which addresses and ports can be bound, and who is reached there."""

import asyncio
import socket
import sys

from tests.sim.twins.by_hand import client
from tests.sim.twins.twin import Log, Peer, moment, twin


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


def a_port_that_ipv4_has_free():
    """Not just one that IPv6 has: on a real machine it may be that of a test beside this one."""
    with socket.socket(socket.AF_INET6) as both:
        both.bind(("::", 0))
        return both.getsockname()[1]


@twin
async def test_an_ipv6_wildcard_accepts_ipv4_too(log: Log):
    loop = asyncio.get_running_loop()
    for only in (False, True):
        who = "IPv6 only" if only else "both"
        with socket.socket(socket.AF_INET6) as listening, client() as one, socket.socket(socket.AF_INET6) as mapped:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
            listening.setblocking(False)
            mapped.setblocking(False)
            port = a_port_that_ipv4_has_free()
            listening.bind(("::", port))
            listening.listen()
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
async def test_a_server_on_all_addresses_has_both_families(log: Log):
    loop = asyncio.get_running_loop()
    for flags in (0, socket.AI_PASSIVE):
        log("names", [info[4] for info in await loop.getaddrinfo(None, 80, type=socket.SOCK_STREAM, flags=flags)])
    server = await asyncio.start_server(lambda _, writer: writer.close(), None, 0)
    for sock in sorted(server.sockets, key=lambda each: each.family):
        address = "127.0.0.1" if sock.family == socket.AF_INET else "::1"
        log("listens", sock.getsockname()[0])
        reader, writer = await asyncio.open_connection(address, sock.getsockname()[1])
        log("connected", writer.get_extra_info("peername")[0], await reader.read())
        writer.close()
    server.close()
