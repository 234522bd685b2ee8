"""TLS over sockets of one's own: wrapped without a handshake, then driven by hand, as tornado does."""

import asyncio
import socket
import ssl

from tests.sim.twins.by_hand import client, listener, log_calls
from tests.sim.twins.twin import Log, certificates, moment, twin


async def until_done(sock, call, *arguments):
    """Call it again and again as the loop says that the socket can be read, or written to."""
    loop = asyncio.get_running_loop()
    while True:
        ready = asyncio.Event()
        try:
            return call(*arguments)
        except ssl.SSLWantReadError:
            loop.add_reader(sock.fileno(), ready.set)
            await ready.wait()
            loop.remove_reader(sock.fileno())
        except ssl.SSLWantWriteError:
            loop.add_writer(sock.fileno(), ready.set)
            await ready.wait()
            loop.remove_writer(sock.fileno())


async def wrapped(name="localhost", context=None):
    """Two ends of a connection, wrapped and without a handshake."""
    with listener() as listening:
        one = client()
        await asyncio.get_running_loop().sock_connect(one, listening.getsockname())
        other, _ = listening.accept()
    other.setblocking(False)
    server, trusting = certificates()
    return (
        (context or trusting).wrap_socket(one, server_hostname=name, do_handshake_on_connect=False),
        server.wrap_socket(other, server_side=True, do_handshake_on_connect=False),
    )


async def secured():
    ends = await wrapped()
    await asyncio.gather(*(until_done(each, each.do_handshake) for each in ends))
    return ends


async def received(sock, count):
    data = bytearray()
    while len(data) < count:
        data += await until_done(sock, sock.recv, min(65_536, count - len(data)))
    return bytes(data)


@twin
async def test_a_handshake_and_bytes_both_ways(log: Log):
    one, other = await secured()
    for name, end in (("one", one), ("other", other)):
        log(name, isinstance(end, ssl.SSLSocket), end.version(), end.cipher()[1], end.gettimeout(), end.type)
        log(name, sorted(end.getpeercert() or ()), end.server_side, end.pending(), end.selected_alpn_protocol())
        log_calls(log, name, nothing=lambda: end.recv(1))  # noqa: B023
    log("one", one.send(b"hello"), one.getpeername() == other.getsockname())
    log("other", await received(other, 2), other.pending(), await received(other, 3))
    await until_done(other, other.sendall, b"back")
    buffer = bytearray(10)
    log("one", await until_done(one, one.recv_into, buffer), buffer)
    one.close()
    log("other", await until_done(other, other.recv, 10))
    other.close()
    log_calls(log, "other", name=other.getsockname, number=other.fileno)


@twin
async def test_the_first_step_of_a_handshake_wants_to_read(log: Log):
    one, other = await wrapped()
    log_calls(log, "other", early=other.do_handshake)
    log_calls(log, "one", step=one.do_handshake, same=one.do_handshake)
    log_calls(log, "one", blocks=lambda: one.context is certificates()[1])
    for each in (one, other):
        each.close()


@twin
async def test_much_is_written_until_there_is_no_room(log: Log):
    one, other = await secured()
    much = bytes(range(256)) * 20_000  # more than the 4 MB or so that fit into the buffers of loopback
    writing = asyncio.create_task(until_done(one, one.send, much))
    await moment()
    log("one", writing.done())
    got = await received(other, len(much))
    log("other", got == much)
    log("one", await writing == len(much))
    one.close()
    other.close()


@twin
async def test_what_is_left_of_the_records_stays_readable(log: Log):
    loop = asyncio.get_running_loop()
    one, other = await secured()
    for _ in range(3):
        one.send(b"record")
    await moment()
    readable = asyncio.Event()
    for _ in range(3):
        loop.add_reader(other.fileno(), readable.set)
        await readable.wait()
        log("other", other.recv(100))
        loop.remove_reader(other.fileno())
        readable.clear()
    log_calls(log, "other", no_more=lambda: other.recv(100))
    one.close()
    other.close()


@twin
async def test_both_ends_take_tls_off(log: Log):
    one, other = await secured()
    log_calls(log, "one", alone=one.unwrap)
    plain = await asyncio.gather(*(until_done(each, each.unwrap) for each in (other, one)), return_exceptions=True)
    log("both", [type(each).__name__ for each in plain])
    one.close()
    other.close()


@twin
async def test_a_certificate_that_is_not_trusted_by_hand(log: Log):
    one, other = await wrapped(context=ssl.create_default_context())
    ends = await asyncio.gather(*(until_done(e, e.do_handshake) for e in (one, other)), return_exceptions=True)
    log("both", *ends)
    log("one", ends[0].verify_code)
    one.close()
    other.close()


@twin
async def test_a_peer_that_goes_in_the_middle_of_a_handshake(log: Log):
    one, other = await wrapped()
    log_calls(log, "one", step=one.do_handshake)
    other.close()
    await moment()
    log_calls(log, "one", over=one.do_handshake)
    one.close()


@twin
async def test_sockets_that_are_wrapped_before_they_connect(log: Log):
    loop = asyncio.get_running_loop()
    server, trusting = certificates()
    with server.wrap_socket(listener(), server_side=True, do_handshake_on_connect=False) as listening:
        log("listener", listening.getsockname()[0], listening.gettimeout(), isinstance(listening, ssl.SSLSocket))
        log_calls(log, "listener", none=listening.accept)
        one = client()
        await loop.sock_connect(one, listening.getsockname())
        await moment()
        other, address = listening.accept()
        log("other", address == one.getsockname(), isinstance(other, ssl.SSLSocket))
        other.setblocking(False)
        one = trusting.wrap_socket(one, server_hostname="localhost", do_handshake_on_connect=False)
        await asyncio.gather(*(until_done(each, each.do_handshake) for each in (one, other)))
        one.send(b"x")
        log("other", await received(other, 1))
        one.close()
        other.close()
    with trusting.wrap_socket(client(), server_hostname="localhost") as unconnected:
        log_calls(log, "unconnected", send=lambda: unconnected.send(b"x"), handshake=unconnected.do_handshake)


@twin
async def test_what_cannot_be_wrapped(log: Log):
    _, trusting = certificates()
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        log_calls(log, "datagrams", wrap=lambda: trusting.wrap_socket(datagrams, server_hostname="x"))
    with listener() as listening:
        one = client()
        await asyncio.get_running_loop().sock_connect(one, listening.getsockname())
        log_calls(log, "one", at_once=lambda: trusting.wrap_socket(one, server_hostname="localhost"))
    with client() as one:
        log_calls(log, "one", no_name=lambda: trusting.wrap_socket(one))


@twin
async def test_a_buffer_can_be_resized_after_an_error(log: Log):
    one, other = await secured()
    much = bytearray(bytes(range(256)) * 20_000)
    try:
        one.send(much)
    except ssl.SSLWantWriteError as error:
        much.append(1)
        log("one", type(error).__name__, len(much))
    one.close()
    other.close()


@twin
async def test_the_loop_does_not_read_and_write_what_is_wrapped(log: Log):
    loop = asyncio.get_running_loop()
    one, other = await secured()
    for call in (
        lambda: loop.sock_recv(one, 10),
        lambda: loop.sock_recv_into(one, bytearray(10)),
        lambda: loop.sock_sendall(one, b"x"),
        lambda: loop.sock_connect(one, one.getpeername()),
        lambda: loop.sock_accept(one),
    ):
        try:
            await call()
        except TypeError as error:
            log("one", str(error))
    other.close()
    one.close()
