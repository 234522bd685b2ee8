import asyncio
import contextlib
import io
import socket
import tempfile
import time

from tests.sim.twins.twin import Log, Pair, Peer, moment, twin


def _free_port():
    """A port where nobody listens, in the world that runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@twin
async def test_nobody_listens(log: Log):
    await log.attempt("client", "open", asyncio.open_connection("127.0.0.1", _free_port()))


@twin
async def test_a_refused_connection_tells_the_address(log: Log):
    port = _free_port()
    try:
        await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError as error:
        log("client", str(error).replace(str(port), "PORT"))


@twin
async def test_bytes_there_and_back(log: Log):
    async with Pair(log) as (client, server):
        client.transport.write(b"hello")
        await server.received(5)
        server.transport.writelines([b"how ", b"are ", b"you"])
        await client.received(11)
        log("client", bytes(client.data))
        log("server", bytes(server.data))


@twin
async def test_a_hundred_writes_arrive_in_order(log: Log):
    async with Pair(log) as (client, server):
        for number in range(100):
            client.transport.write(bytes([number]) * 500)
        await server.received(50_000)
        log("server", bytes(server.data[::500]) == bytes(range(100)))
        client.transport.close()
        await server.lost.wait()


@twin
async def test_close_with_nothing_unread_is_an_end(log: Log):
    async with Pair(log) as (client, server):
        client.transport.close()
        log("client", "closing", client.transport.is_closing())
        await server.lost.wait()


@twin
async def test_abort_with_nothing_unread_is_an_end_too(log: Log):
    async with Pair(log) as (client, server):
        client.transport.abort()
        await server.lost.wait()


@twin
async def test_close_with_unread_bytes_resets_the_peer(log: Log):
    async with Pair(log) as (client, server):
        server.transport.pause_reading()
        client.transport.write(b"never read")
        await moment()
        server.transport.close()
        await client.lost.wait()


@twin
async def test_abort_with_unread_bytes_resets_the_peer(log: Log):
    async with Pair(log) as (client, server):
        server.transport.pause_reading()
        client.transport.write(b"never read")
        await moment()
        server.transport.abort()
        await client.lost.wait()


@twin
async def test_what_is_written_before_close_arrives(log: Log):
    async with Pair(log) as (client, server):
        client.transport.write(b"x" * 50_000)
        client.transport.close()
        await server.lost.wait()


@twin
async def test_what_is_buffered_at_abort_is_lost(log: Log):
    async with Pair(log) as (client, server):
        server.transport.pause_reading()
        client.transport.write(bytes(30_000_000))
        await moment()
        client.transport.abort()
        log("client", "buffered", client.transport.get_write_buffer_size())
        await client.lost.wait()


@twin
async def test_half_close_and_an_answer(log: Log):
    async with Pair(log, keep_open=True) as (client, server):
        client.transport.write(b"question")
        client.transport.write_eof()
        await server.ended.wait()
        server.transport.write(b"answer")
        await client.received(6)
        server.transport.close()
        await client.ended.wait()
        client.transport.close()
        await server.lost.wait()


@twin
async def test_half_close_is_a_close_where_eof_received_says_nothing(log: Log):
    async with Pair(log) as (client, server):
        client.transport.write_eof()
        await server.lost.wait()
        await client.lost.wait()


@twin
async def test_write_after_write_eof_is_refused(log: Log):
    async with Pair(log, keep_open=True) as (client, server):
        client.transport.write_eof()
        log.call("client", "write", client.transport.write, b"more")
        log.call("client", "write_eof", client.transport.write_eof)
        log("client", client.transport.can_write_eof())
        await server.ended.wait()


@twin
async def test_write_after_close_goes_nowhere(log: Log):
    async with Pair(log) as (client, server):
        client.transport.close()
        log.call("client", "write", client.transport.write, b"x")
        await server.lost.wait()


@twin
async def test_write_to_a_peer_that_has_gone(log: Log):
    async with Pair(log, keep_open=True) as (client, server):
        server.transport.close()
        await client.ended.wait()
        client.transport.write(b"first: answered by a reset")
        await moment()
        client.transport.write(b"second: too late")
        await client.lost.wait()
        for _ in range(7):
            log.call("client", "write", client.transport.write, b"x")


@twin
async def test_eof_with_unread_bytes_gives_them_first(log: Log):
    async with Pair(log) as (client, server):
        server.transport.pause_reading()
        client.transport.write(b"last words")
        client.transport.close()
        await moment()
        log("server", "so far", len(server.data))
        server.transport.resume_reading()
        await server.lost.wait()


@twin
async def test_reset_while_reading_is_paused_is_seen_later(log: Log):
    async with Pair(log) as (client, server):
        server.transport.pause_reading()
        client.transport.pause_reading()
        server.transport.write(b"unread by the client")
        await moment()
        client.transport.close()
        await moment()
        log("server", "still open", not server.lost.is_set())
        server.transport.resume_reading()
        await server.lost.wait()


@twin
async def test_pause_and_resume_reading(log: Log):
    async with Pair(log) as (client, server):
        for paused in (True, True, False, False):
            (server.transport.pause_reading if paused else server.transport.resume_reading)()
            log("server", "reads", server.transport.is_reading())
        server.transport.pause_reading()
        client.transport.write(b"x")
        await moment()
        log("server", len(server.data))
        server.transport.resume_reading()
        await server.received(1)


@twin
async def test_pause_reading_after_close_does_nothing(log: Log):
    async with Pair(log) as (client, _):
        client.transport.close()
        log.call("client", "pause", client.transport.pause_reading)
        log.call("client", "resume", client.transport.resume_reading)
        log("client", client.transport.is_reading())


@twin
async def test_writing_is_paused_by_a_reader_that_does_not_read(log: Log):
    async with Pair(log) as (client, server):
        server.transport.pause_reading()
        client.transport.write(bytes(20_000_000))
        await moment()
        log("client", "buffered", client.transport.get_write_buffer_size() > 65536)
        server.transport.resume_reading()
        await server.received(20_000_000)
        await moment()
        log("client", "buffered", client.transport.get_write_buffer_size())


@twin
async def test_write_buffer_limits(log: Log):
    async with Pair(log) as (client, _):
        log("client", client.transport.get_write_buffer_limits())
        client.transport.set_write_buffer_limits(high=1000)
        log("client", client.transport.get_write_buffer_limits())
        client.transport.set_write_buffer_limits(low=5)
        log("client", client.transport.get_write_buffer_limits())
        log.call("client", "low above high", client.transport.set_write_buffer_limits, 1, 2)


@twin
async def test_drain_waits_for_the_reader(log: Log):
    async def read_later(reader, writer):
        await moment()
        log("server", len(await reader.readexactly(20_000_000)))
        writer.close()

    server = await asyncio.start_server(read_later, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(bytes(20_000_000))
    await writer.drain()
    log("client", "drained", writer.transport.get_write_buffer_size() <= 65536)
    log("client", await reader.read())
    writer.close()
    await writer.wait_closed()
    server.close()


@twin
async def test_readexactly_at_the_end(log: Log):
    async def answer(reader, writer):
        writer.write(b"abc")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        await reader.readexactly(5)
    except asyncio.IncompleteReadError as error:
        log("client", error.partial, error.expected)
    log("client", reader.at_eof())
    writer.close()
    await writer.wait_closed()
    server.close()


@twin
async def test_wait_closed_after_a_reset_raises(log: Log):
    async def vanish(reader, writer):
        await asyncio.sleep(0.002)
        writer.transport.abort()

    server = await asyncio.start_server(vanish, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(bytes(100))
    await log.attempt("client", "read", reader.read())
    writer.close()
    await log.attempt("client", "wait_closed", writer.wait_closed())
    server.close()
    await moment()


@twin
async def test_a_server_that_closes_leaves_its_connections_open(log: Log):
    peers = []

    def accept():
        peers.append(Peer(log, "server"))
        return peers[-1]

    loop = asyncio.get_running_loop()
    server = await loop.create_server(accept, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    transport, _client = await loop.create_connection(lambda: Peer(log, "client"), *address)
    transport.write(b"before")
    await moment()
    log("test", server.is_serving(), len(server.sockets))
    server.close()
    log("test", server.is_serving(), len(server.sockets))
    await log.attempt("late", "open", asyncio.open_connection(*address))
    transport.write(b"after")
    await peers[0].received(11)
    transport.close()
    await peers[0].lost.wait()


@twin
async def test_connections_that_nobody_accepted_are_reset_when_the_server_closes(log: Log):
    loop = asyncio.get_running_loop()
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(5)
    listening.setblocking(False)
    _, client = await loop.create_connection(lambda: Peer(log, "client"), *listening.getsockname())
    listening.close()
    await client.lost.wait()


@twin
async def test_serve_forever_is_cancelled(log: Log):
    server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    task = asyncio.create_task(server.serve_forever())
    await asyncio.sleep(0)
    task.cancel()
    await log.attempt("test", "serve_forever", task)
    log("test", server.is_serving())


@twin
async def test_a_server_that_does_not_serve_yet_refuses(log: Log):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Peer(log, "server"), "127.0.0.1", 0, start_serving=False)
    log("test", server.is_serving())
    address = server.sockets[0].getsockname()
    await log.attempt("early", "open", loop.create_connection(asyncio.Protocol, *address))
    await server.start_serving()
    transport, client = await loop.create_connection(lambda: Peer(log, "client"), *address)
    await moment()
    transport.close()
    await client.lost.wait()
    server.close()
    await moment()


@twin
async def test_a_cancelled_connect_leaves_nothing(log: Log):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Peer(log, "server"), "127.0.0.1", 0)
    task = asyncio.create_task(asyncio.open_connection(*server.sockets[0].getsockname()))
    task.cancel()
    await log.attempt("client", "open", task)
    await moment()
    server.close()


@twin
async def test_names_of_a_connection(log: Log):
    async with Pair(log) as (client, server):
        mine, theirs = client.transport.get_extra_info("sockname"), client.transport.get_extra_info("peername")
        log("client", mine[0], theirs[0], len(mine), isinstance(mine[1], int))
        log("both", mine == server.transport.get_extra_info("peername"))
        log("both", theirs == server.transport.get_extra_info("sockname"))
        log("client", client.transport.get_extra_info("ssl_object"), client.transport.get_extra_info("nothing", 7))


@twin
async def test_the_socket_of_a_transport(log: Log):
    async with Pair(log) as (client, _):
        found = client.transport.get_extra_info("socket")
        log("client", found.family, found.type, found.proto, found.gettimeout(), isinstance(found.fileno(), int))
        log("client", found.getsockname() == client.transport.get_extra_info("sockname"))
        log("client", found.getpeername() == client.transport.get_extra_info("peername"))
        log("client", found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)
        log("client", found.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        log("client", found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
        log("client", found.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


@twin
async def test_the_transport_of_a_closed_connection(log: Log):
    async with Pair(log) as (client, _):
        transport = client.transport
        transport.close()
        await client.lost.wait()
        log("client", transport.is_closing(), transport.get_extra_info("peername")[0])
        transport.close()
        transport.abort()


@twin
async def test_protocols_are_exchanged(log: Log):
    async with Pair(log) as (client, server):
        other = Peer(log, "other")
        client.transport.set_protocol(other)
        log("client", client.transport.get_protocol() is other)
        server.transport.write(b"for the other")
        await other.received(13)
        client.transport.set_protocol(client)


class Buffered(asyncio.BufferedProtocol):
    """Reads seven bytes at a time."""

    def __init__(self, log):
        self.log = log
        self.buffer = bytearray(7)
        self.data = b""
        self.lost = asyncio.Event()

    def get_buffer(self, size_hint):
        return self.buffer

    def buffer_updated(self, count):
        self.data += bytes(self.buffer[:count])

    def eof_received(self):
        self.log("server", "eof", self.data)

    def connection_lost(self, error):
        self.log("server", "lost", error)
        self.lost.set()


@twin
async def test_a_protocol_is_set_on_a_closed_transport(log: Log):
    async with Pair(log) as (client, _):
        client.transport.close()
        await client.lost.wait()
        log.call("client", "set_protocol", client.transport.set_protocol, asyncio.Protocol())


@twin
async def test_a_buffered_protocol(log: Log):
    loop = asyncio.get_running_loop()
    peer = Buffered(log)
    server = await loop.create_server(lambda: peer, "127.0.0.1", 0)
    transport, _client = await loop.create_connection(lambda: Peer(log, "client"), *server.sockets[0].getsockname())
    transport.write(b"the quick brown fox jumps over the lazy dog")
    transport.close()
    await peer.lost.wait()
    server.close()


@twin
async def test_a_buffered_protocol_that_pauses_reads_on_where_it_stopped(log: Log):
    class Pausing(Buffered):
        def connection_made(self, transport):
            self.transport = transport
            self.pauses = asyncio.Event()

        def buffer_updated(self, count):
            super().buffer_updated(count)
            if len(self.data) == 14:
                self.transport.pause_reading()
                self.pauses.set()

    loop = asyncio.get_running_loop()
    peer = Pausing(log)
    server = await loop.create_server(lambda: peer, "127.0.0.1", 0)
    transport, _client = await loop.create_connection(lambda: Peer(log, "client"), *server.sockets[0].getsockname())
    transport.write(b"the quick brown fox jumps over the lazy dog")
    await peer.pauses.wait()
    transport.write(b", and again")
    transport.close()
    await asyncio.sleep(0.05)
    log("server", "paused", peer.data)
    peer.transport.resume_reading()
    await peer.lost.wait()
    server.close()


@twin
async def test_a_buffered_protocol_that_fails_loses_its_connection(log: Log):
    class Broken(Buffered):
        how = ""

        def get_buffer(self, size_hint):
            if self.how == "get_buffer":
                raise ZeroDivisionError("of the protocol")
            return bytearray(0) if self.how == "no room" else self.buffer

        def buffer_updated(self, count):
            raise ZeroDivisionError("of the protocol")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log("handler", context["message"], context["exception"]))
    for how in ("get_buffer", "no room", "buffer_updated"):
        peer = Broken(log)
        peer.how = how
        server = await loop.create_server(lambda peer=peer: peer, "127.0.0.1", 0)
        transport, client = await loop.create_connection(lambda: Peer(log, "client"), *server.sockets[0].getsockname())
        transport.write(b"x")
        await client.lost.wait()
        await peer.lost.wait()
        server.close()


@twin
async def test_a_protocol_that_raises_in_data_received_loses_its_connection(log: Log):
    class Broken(Peer):
        def data_received(self, data):
            raise ZeroDivisionError("of the protocol")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log("handler", context["message"], context["exception"]))
    peer = Broken(log, "server")
    server = await loop.create_server(lambda: peer, "127.0.0.1", 0)
    transport, client = await loop.create_connection(lambda: Peer(log, "client"), *server.sockets[0].getsockname())
    transport.write(b"x")
    await client.lost.wait()
    await peer.lost.wait()
    server.close()


@twin
async def test_a_protocol_that_raises_in_connection_made_is_called_on(log: Log):
    class Broken(Peer):
        def connection_made(self, transport):
            super().connection_made(transport)
            raise ZeroDivisionError("of the protocol")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log("handler", context["exception"]))
    peer = Broken(log, "server")
    server = await loop.create_server(lambda: peer, "127.0.0.1", 0)
    transport, _client = await loop.create_connection(lambda: Peer(log, "client"), *server.sockets[0].getsockname())
    transport.write(b"x")
    await peer.received(1)
    transport.close()
    await peer.lost.wait()
    server.close()


@twin
async def test_an_unhandled_exception_of_a_stream_handler(log: Log):
    async def fail(reader, writer):
        raise ZeroDivisionError("of the handler")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log("handler", context["message"], context["exception"]))
    server = await asyncio.start_server(fail, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    log("client", await reader.read())
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    server.close()
    await moment()


@twin
async def test_bytes_wait_while_the_loop_is_blocked(log: Log):
    async with Pair(log) as (client, server):
        client.transport.write(b"one")
        await asyncio.sleep(0)
        time.sleep(0.003)  # noqa: ASYNC251 - that is what it is about
        client.transport.write(b"two")
        await server.received(6)
        log("server", bytes(server.data))


@twin
async def test_write_takes_bytes_only(log: Log):
    async with Pair(log) as (client, server):
        log.call("client", "text", client.transport.write, "text")
        log.call("client", "nothing", client.transport.write, b"")
        log.call("client", "view", client.transport.write, memoryview(b"view"))
        log.call("client", "bytearray", client.transport.write, bytearray(b"array"))
        await server.received(9)


@twin
async def test_sendfile_falls_back(log: Log):
    import tempfile

    async with Pair(log) as (client, server):
        with tempfile.TemporaryFile() as file:
            file.write(b"f" * 100_000)
            file.seek(10)
            sent = await asyncio.get_running_loop().sendfile(client.transport, file, 10, None)
            log("client", sent)
        await server.received(99_990)


@twin
async def test_sendfile_without_falling_back(log: Log):
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789" * 1000)
        file.flush()
        async with Pair(log) as (client, server):
            for options in ({}, {"offset": 5}, {"offset": 5, "count": 10}):
                before = len(server.data)
                sent = await loop.sendfile(client.transport, file, fallback=False, **options)
                await server.received(before + sent)
                log("client", sent, file.tell(), bytes(server.data[-5:]))
            for what in (io.BytesIO(b"no file"), object()):
                await log.attempt("client", "no file", loop.sendfile(client.transport, what, fallback=False))


@twin
async def test_a_megabyte_that_nobody_has_read_yet_drains(log: Log):
    accepted = asyncio.Queue()
    server = await asyncio.start_server(lambda *ends: accepted.put_nowait(ends), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    _, sender = await accepted.get()
    sender.write(bytes(1 << 20))
    await asyncio.wait_for(sender.drain(), 5)
    log("drained", len(await reader.readexactly(1 << 20)))
    sender.write(bytes(8 << 20))
    try:
        await asyncio.wait_for(sender.drain(), 0.2)
    except TimeoutError:
        log("eight", "do not")
    writer.close()
    sender.transport.abort()
    server.close()
    await moment()
