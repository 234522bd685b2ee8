import asyncio
import gc
import ssl

import pytest

from tests.sim.twins.twin import Log, Pair, Peer, certificates, moment, twin

# asyncio leaves transports and sockets behind where a handshake fails, and they say so when they are collected.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture(autouse=True)
def left_behind():
    """Collect it here, where its warnings are expected."""
    yield
    gc.collect()


def tls():
    server, client = certificates()
    return {"server": server, "client": client}


@twin
async def test_there_and_back(log: Log):
    async with Pair(log, **tls()) as (client, server):
        client.transport.write(b"hello")
        await server.received(5)
        server.transport.write(b"x" * 100_000)
        await client.received(100_000)


@twin
async def test_close_ends_both(log: Log):
    async with Pair(log, **tls()) as (client, server):
        client.transport.write(b"last words")
        client.transport.close()
        await server.lost.wait()
        await client.lost.wait()


@twin
async def test_abort_ends_both(log: Log):
    async with Pair(log, **tls()) as (client, server):
        client.transport.abort()
        await server.lost.wait()
        await client.lost.wait()


@twin
async def test_what_tls_tells_of_itself(log: Log):
    async with Pair(log, **tls()) as (client, server):
        for name, end in (("client", client), ("server", server)):
            found = end.transport.get_extra_info("ssl_object")
            log(name, type(found).__name__, found.version(), found.server_hostname)
            log(name, end.transport.get_extra_info("cipher")[1], end.transport.get_extra_info("compression"))
            log(name, end.transport.get_extra_info("sslcontext") is tls()[name])
            log(name, sorted(end.transport.get_extra_info("peercert") or ()))
            log(name, end.transport.get_extra_info("peername")[0], end.transport.can_write_eof())
            log.call(name, "write_eof", end.transport.write_eof)


async def refuse(log, **options):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log("handler", context["message"]))
    server = await loop.create_server(lambda: Peer(log, "server"), "127.0.0.1", 0, ssl=certificates()[0])
    await log.attempt(
        "client",
        "open",
        loop.create_connection(lambda: Peer(log, "client"), *server.sockets[0].getsockname(), **options),
    )
    await moment()
    server.close()


@twin
async def test_a_wrong_name(log: Log):
    await refuse(log, ssl=certificates()[1], server_hostname="elsewhere")


@twin
async def test_an_authority_that_is_not_trusted(log: Log):
    await refuse(log, ssl=ssl.create_default_context(), server_hostname="localhost")


@twin
async def test_no_name_where_one_is_needed(log: Log):
    await refuse(log, ssl=certificates()[1], server_hostname="")


@twin
async def test_arguments_of_tls_that_make_no_sense(log: Log):
    loop = asyncio.get_running_loop()
    connect = loop.create_connection
    await log.attempt("test", "name alone", connect(asyncio.Protocol, "127.0.0.1", 1, server_hostname="x"))
    await log.attempt("test", "time-out alone", connect(asyncio.Protocol, "127.0.0.1", 1, ssl_handshake_timeout=1))
    await log.attempt("test", "no address", connect(asyncio.Protocol))
    await log.attempt("test", "True", loop.create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=True))


@twin
async def test_a_client_that_speaks_plain_to_a_tls_server(log: Log):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log("handler", context["message"]))
    server = await loop.create_server(lambda: Peer(log, "server"), "127.0.0.1", 0, ssl=certificates()[0])
    transport, client = await loop.create_connection(lambda: Peer(log, "client"), *server.sockets[0].getsockname())
    transport.write(b"GET / HTTP/1.0\r\n\r\n")
    await client.lost.wait()
    server.close()


@twin
async def test_a_server_that_never_answers_a_handshake(log: Log):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log("handler", context["message"]))
    server = await loop.create_server(asyncio.Protocol, "127.0.0.1", 0)
    await log.attempt(
        "client",
        "open",
        loop.create_connection(
            lambda: Peer(log, "client"),
            *server.sockets[0].getsockname(),
            ssl=certificates()[1],
            server_hostname="localhost",
            ssl_handshake_timeout=0.02,
        ),
    )
    server.close()
    await moment()


@twin
async def test_start_tls_on_both_sides(log: Log):
    accepting, asking = certificates()

    async def serve(reader, writer):
        log("server", await reader.readline())
        writer.write(b"go ahead\n")
        await writer.drain()
        await writer.start_tls(accepting)
        log("server", await reader.readline(), writer.get_extra_info("ssl_object").version())
        writer.write(b"secret answer\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"starttls\n")
    log("client", await reader.readline())
    await writer.start_tls(asking, server_hostname="localhost")
    writer.write(b"secret question\n")
    log("client", await reader.readline(), await reader.read())
    writer.close()
    await writer.wait_closed()
    server.close()
    await moment()


@twin
async def test_start_tls_wants_a_context(log: Log):
    async with Pair(log) as (client, _):
        loop = asyncio.get_running_loop()
        await log.attempt("client", "start_tls", loop.start_tls(client.transport, client, None))
