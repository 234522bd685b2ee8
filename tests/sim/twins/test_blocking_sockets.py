"""Sockets that block: what threads of a program do with them, and its event loop where nothing has to be waited for."""

import asyncio
import http.client
import os
import socket
import struct
import tempfile
import threading
import time

from tests.sim.twins.by_hand import log_calls
from tests.sim.twins.twin import A_MOMENT, Log, certificates, moment, twin, unix_path


async def echo(reader, writer):
    while data := await reader.read(2**16):
        writer.write(data)
        await writer.drain()
    writer.close()


@twin
async def test_a_client_in_a_thread(log: Log):
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()

    def client():
        with socket.create_connection(address) as one:
            log("client", one.getblocking(), one.getpeername() == address)
            one.sendall(b"first")
            log("client", one.recv(100), one.send(b"second"), one.recv(3), one.recv(100))
            one.shutdown(socket.SHUT_WR)
            log("client", one.recv(100))

    await asyncio.to_thread(client)
    server.close()


@twin
async def test_a_client_in_a_thread_is_refused(log: Log):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = bound.getsockname()
        await log.attempt("create_connection", "refused", asyncio.to_thread(socket.create_connection, address))
        with socket.socket() as one:
            await log.attempt("connect", "refused", asyncio.to_thread(one.connect, address))
            log("connect_ex", await asyncio.to_thread(one.connect_ex, address) > 0)
        with socket.socket(socket.AF_UNIX) as one:
            await log.attempt("unix", "nobody", asyncio.to_thread(one.connect, unix_path()))


@twin
async def test_a_server_in_a_thread(log: Log):
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        one, address = listening.accept()
        with one, one.makefile("rwb") as file:
            log("server", one.getblocking(), address == one.getpeername())
            for line in file:
                log("server", line)
                file.write(line.upper())
                file.flush()

    thread = threading.Thread(target=serve)
    thread.start()
    await moment()
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    for line in (b"one\n", b"two\n"):
        writer.write(line)
        log("client", await reader.readline())
    writer.write_eof()
    log("client", await reader.read())
    writer.close()
    thread.join()
    listening.close()


@twin
async def test_a_file_keeps_its_socket_open(log: Log):
    one, other = socket.socketpair()
    file, second = one.makefile("rb"), one.makefile("wb")
    one.close()
    other.sendall(b"line\n")
    log("file", file.readline(), file.raw.fileno() == one.fileno(), other.send(b"rest"), one.recv(4))
    file.close()
    log("one", one.fileno() >= 0, other.send(b"x"))
    second.close()
    log("one", one.fileno() >= 0)
    log.call("other", "send", other.send, b"x")
    other.close()


@twin
async def test_a_descriptor_is_closed_under_a_file(log: Log):
    one, other = socket.socketpair()
    file = one.makefile("rb")
    os.close(one.fileno())
    log.call("other", "send", other.send, b"x")
    log.call("file", "read", file.read, 1)
    one.detach()
    file.close()
    other.close()


@twin
async def test_a_file_has_the_time_out_of_its_socket(log: Log):
    one, other = socket.socketpair()
    with one, other, one.makefile("rb") as file:
        one.settimeout(A_MOMENT)
        await log.attempt("file", "times out", asyncio.to_thread(file.readline))


@twin
async def test_a_file_is_sent_in_a_thread(log: Log):
    much = bytes(range(256)) * 2**12
    one, other = socket.socketpair()
    with tempfile.TemporaryFile() as source:
        source.write(much)
        source.flush()

        def send():
            log("one", one.sendfile(source, 10, 20), source.tell(), one.sendfile(source), source.tell())
            one.settimeout(5)
            log("one", one.sendfile(source, len(much) - 3))
            one.close()

        sending = asyncio.ensure_future(asyncio.to_thread(send))
        with other.makefile("rb") as file:
            received = await asyncio.to_thread(file.read)
        await sending
    log("other", received == much[10:30] + much + much[-3:])
    other.close()


@twin
async def test_flags_say_whether_to_wait(log: Log):
    one, other = socket.socketpair()

    def receive():
        log("other", other.recv(7, socket.MSG_WAITALL), other.recv(100, socket.MSG_WAITALL))
        log_calls(log, "other", ended=lambda: other.recv(1, socket.MSG_WAITALL))

    log_calls(log, "now", nothing=lambda: other.recv(1, socket.MSG_DONTWAIT))
    log_calls(log, "now", peeks=lambda: other.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK))
    receiving = asyncio.ensure_future(asyncio.to_thread(receive))
    for data in (b"first", b"second", b"third"):
        await moment()
        one.send(data)
    one.close()
    await receiving
    other.close()


@twin
async def test_what_does_not_wait_sends_until_there_is_no_room(log: Log):
    one, other = socket.socketpair()

    def fill():
        for _ in range(1000):
            one.send(bytes(2**16), socket.MSG_DONTWAIT)

    log_calls(log, "one", send=fill, message=lambda: one.sendmsg([bytes(2**16)], [], socket.MSG_DONTWAIT))
    one.close()
    other.close()


@twin
async def test_https_in_a_thread(log: Log):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        await reader.read()
        writer.close()

    server_context, client_context = certificates()
    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_context)
    port = server.sockets[0].getsockname()[1]

    def get():
        client = http.client.HTTPSConnection("localhost", port, context=client_context, timeout=5)
        client.sock = client_context.wrap_socket(
            socket.create_connection(("127.0.0.1", port)), server_hostname="localhost"
        )
        client.request("GET", "/")
        response = client.getresponse()
        log("client", response.status, response.read())
        client.close()
        log("client", client.sock)

    await asyncio.to_thread(get)
    server.close()


@twin
async def test_much_is_sent_to_a_slow_reader(log: Log):
    much = bytes(range(256)) * 2**15
    one, other = socket.socketpair()

    def send():
        one.sendall(much)
        one.close()

    sending = asyncio.ensure_future(asyncio.to_thread(send))
    await moment()
    log("loop", sending.done())
    received = b""

    def receive():
        nonlocal received
        while data := other.recv(2**16):
            received += data

    await asyncio.to_thread(receive)
    await sending
    log("receiver", received == much)
    other.close()


@twin
async def test_time_outs_of_sockets(log: Log):
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    listening = socket.create_server(("127.0.0.1", 0))
    datagrams = socket.socket(type=socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    for each in (listening, datagrams):
        each.settimeout(A_MOMENT)

    def client():
        with socket.create_connection(server.sockets[0].getsockname(), timeout=A_MOMENT) as one:
            log("client", one.gettimeout() == A_MOMENT)
            log.call("client", "recv", one.recv, 1)

    await asyncio.to_thread(client)
    await log.attempt("accept", "times out", asyncio.to_thread(listening.accept))
    await log.attempt("recvfrom", "times out", asyncio.to_thread(datagrams.recvfrom, 10))
    for each in (listening, datagrams, server):
        each.close()


@twin
async def test_the_time_out_of_sendall_is_for_all_of_it(log: Log):
    """The peer reads now and then: each part is sent in time, and all of them are not."""
    one, other = socket.socketpair()
    one.settimeout(4 * A_MOMENT)
    over = threading.Event()

    def read_slowly():
        while not over.is_set():
            time.sleep(2 * A_MOMENT)
            other.recv(2**17)

    with one, other:
        reading = asyncio.ensure_future(asyncio.to_thread(read_slowly))
        await log.attempt("sendall", "times out", asyncio.to_thread(one.sendall, bytes(2**23)))
        over.set()
        one.shutdown(socket.SHUT_WR)  # it may wait for more
        await reading


@twin
async def test_datagrams_in_a_thread(log: Log):
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
        one.bind(("127.0.0.1", 0))
        waiting = asyncio.ensure_future(asyncio.to_thread(one.recvfrom, 100))
        await moment()
        other.sendto(b"hello", one.getsockname())
        data, source = await waiting
        log("receiver", data, source[1] == other.getsockname()[1])


@twin
async def test_tls_in_threads(log: Log):
    ours, theirs = certificates()
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()

    def serve():
        with ours.wrap_socket(listening, server_side=True) as secured:
            one, _ = secured.accept()
            with one:
                log("server", one.recv(100))
                one.sendall(b"answer")
                log.call("server", "unwraps", one.unwrap)

    def ask():
        with theirs.wrap_socket(socket.create_connection(address), server_hostname="localhost") as one:
            one.sendall(b"question")
            log("client", one.version(), one.recv(100), one.recv(100))

    await asyncio.gather(asyncio.to_thread(serve), asyncio.to_thread(ask))


@twin
async def test_a_library_that_blocks_asks_a_server_of_asyncio(log: Log):
    async def page(reader, writer):
        log("server", (await reader.readuntil(b"\r\n\r\n")).split()[:2])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")
        await writer.drain()
        writer.close()

    def ask():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/here")
        answer = connection.getresponse()
        log("client", answer.status, answer.read())
        connection.close()

    async with await asyncio.start_server(page, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        await asyncio.to_thread(ask)


@twin
async def test_the_loop_itself_where_it_does_not_have_to_wait(log: Log):
    listening = socket.create_server(("127.0.0.1", 0))
    reader, writer = await asyncio.open_connection(*listening.getsockname())
    one, _ = listening.accept()
    writer.write(b"to you")
    log("server", one.recv(100))
    one.sendall(b"to me")
    log("client", await reader.read(100))
    writer.close()
    await moment()
    log("server", one.recv(100))
    with socket.create_connection(listening.getsockname()) as other:
        accepted, _ = listening.accept()
        accepted.sendall(b"x")
        log("other", other.recv(100))
        accepted.close()
    one.close()
    listening.close()


@twin
async def test_the_loop_itself_waits_for_its_thread(log: Log):
    one, other = socket.socketpair()

    def answer():
        data = other.recv(100)
        time.sleep(A_MOMENT)
        other.sendall(data.upper())
        other.close()

    thread = threading.Thread(target=answer)
    thread.start()
    one.sendall(b"question")
    log("loop", one.recv(100), one.recv(100))
    thread.join()
    one.close()


@twin
async def test_options_say_how_long_a_call_waits(log: Log):
    one, other = socket.socketpair()
    short = struct.pack("ll", 0, 50_000)

    def waits():
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, short)
        log("option", one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)[:8])
        log_calls(log, "one", recv=lambda: one.recv(1), read=lambda: os.read(one.fileno(), 1))
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, short)
        log("sent", one.send(bytes(10**7)) < 10**7)
        log_calls(log, "one", send=lambda: one.send(b"x"))
        one.settimeout(0.02)
        log_calls(log, "one", python=lambda: one.recv(1))
        log_calls(log, "one", number=lambda: one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 5))
        log_calls(
            log, "one", much=lambda: one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 10**6))
        )

    with one, other:
        await asyncio.to_thread(waits)


@twin
async def test_a_refusal_that_was_told_breaks_off_the_next_connect(log: Log):
    def connects():
        with socket.socket() as bound, socket.socket() as one:
            bound.bind(("127.0.0.1", 0))
            one.settimeout(1)
            log("connect_ex", *(one.connect_ex(bound.getsockname()) for _ in range(4)))
            log("error", one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            one.setblocking(True)
            log("blocks", *(one.connect_ex(bound.getsockname()) for _ in range(3)))

    await asyncio.to_thread(connects)
