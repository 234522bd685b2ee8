"""Names of hosts and services: getaddrinfo, getnameinfo, and a look-up of the program's own."""

import asyncio
import socket
from unittest import mock

from tests.sim.twins.twin import Log, Peer, moment, twin


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
async def test_what_is_patched_into_the_socket_module_is_asked(log: Log):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Peer(log, "server"), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    def look_up(host, asked_port, *more):
        log("asked", host, asked_port == port, [int(each) for each in more])
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    with mock.patch("socket.getaddrinfo", look_up):
        transport, _ = await loop.create_connection(asyncio.Protocol, "api.example.com", port)
        transport.close()
        await moment()
    refusal = OSError(99, "patched")
    for options in ({"side_effect": refusal}, {"autospec": True, "side_effect": refusal}):
        with mock.patch("socket.socket.connect", **options):
            await log.attempt("connect", sorted(options), loop.create_connection(asyncio.Protocol, "127.0.0.1", port))
    server.close()
