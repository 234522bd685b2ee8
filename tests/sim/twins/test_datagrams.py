import asyncio
import socket
import time

from tests.sim.twins.twin import Log, moment, twin


class Datagrams(asyncio.DatagramProtocol):
    """Logs what it hears."""

    def __init__(self, log, name):
        self.log, self.name = log, name
        self.count = 0
        self.lost = asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport
        self.log(self.name, "made")

    def datagram_received(self, data, address):
        self.count += 1
        self.log(self.name, "received", data if len(data) < 20 else len(data), address[0])

    def error_received(self, error):
        self.log(self.name, "error", error)

    def connection_lost(self, error):
        self.log(self.name, "lost", error)
        self.lost.set()

    async def heard(self, count):
        while self.count < count:  # noqa: ASYNC110 - as in Peer
            await asyncio.sleep(0.0005)


async def bound(log, name, **where):
    loop = asyncio.get_running_loop()
    return await loop.create_datagram_endpoint(
        lambda: Datagrams(log, name), **(where or {"local_addr": ("127.0.0.1", 0)})
    )


async def closed(*transports):
    for transport in transports:
        transport.close()
    await moment()


@twin
async def test_there_and_back(log: Log):
    one, first = await bound(log, "one")
    two, second = await bound(log, "two")
    one.sendto(b"ping", two.get_extra_info("sockname"))
    await second.heard(1)
    two.sendto(b"pong", one.get_extra_info("sockname"))
    await first.heard(1)
    await closed(one, two)


@twin
async def test_to_nobody_from_a_connected_socket(log: Log):
    nobody, _ = await bound(log, "nobody")
    address = nobody.get_extra_info("sockname")
    await closed(nobody)
    one, _ = await bound(log, "one", remote_addr=address)
    one.sendto(b"x")
    await moment()
    one.sendto(b"y")
    await moment()
    await closed(one)


@twin
async def test_to_nobody_from_a_socket_that_is_not_connected(log: Log):
    nobody, _ = await bound(log, "nobody")
    address = nobody.get_extra_info("sockname")
    await closed(nobody)
    one, _ = await bound(log, "one")
    one.sendto(b"x", address)
    await moment()
    await closed(one)


@twin
async def test_an_oversized_datagram(log: Log):
    one, _ = await bound(log, "one")
    two, second = await bound(log, "two")
    one.sendto(bytes(65_508), two.get_extra_info("sockname"))
    await moment()
    one.sendto(bytes(60_000), two.get_extra_info("sockname"))
    await second.heard(1)
    await closed(one, two)


@twin
async def test_a_datagram_without_bytes(log: Log):
    loop = asyncio.get_running_loop()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
            each.setblocking(False)
        await loop.sock_sendto(one, b"", two.getsockname())
        data, source = await loop.sock_recvfrom(two, 100)
        log("two", data, source == one.getsockname())


@twin
async def test_a_transport_sends_nothing_for_no_bytes(log: Log):
    one, _ = await bound(log, "one")
    two, second = await bound(log, "two")
    one.sendto(b"", two.get_extra_info("sockname"))
    one.sendto(b"after", two.get_extra_info("sockname"))
    await second.heard(1)
    await moment()
    await closed(one, two)


@twin
async def test_a_hundred_that_queued_up_during_a_stall_come_one_a_turn(log: Log):
    loop = asyncio.get_running_loop()
    one, _ = await bound(log, "one")
    two, second = await bound(log, "two")
    for number in range(100):
        one.sendto(b"%d" % number, two.get_extra_info("sockname"))
    time.sleep(0.002)  # noqa: ASYNC251 - the stall
    before, turns = 0, []

    def count():
        nonlocal before
        turns.append(second.count - before)
        before = second.count
        if before < 100:
            loop.call_soon(count)

    loop.call_soon(count)
    await second.heard(100)
    await moment()
    log("two", "most in a turn", max(turns), sum(turns))
    await closed(one, two)


@twin
async def test_a_late_timer_runs_before_most_of_what_is_queued(log: Log):
    loop = asyncio.get_running_loop()
    one, _ = await bound(log, "one")
    two, second = await bound(log, "two")
    loop.call_later(0.001, lambda: log("timer", "heard so far", second.count < 5))
    for number in range(50):
        one.sendto(b"%d" % number, two.get_extra_info("sockname"))
    time.sleep(0.004)  # noqa: ASYNC251 - the stall
    await second.heard(50)
    await closed(one, two)


@twin
async def test_names_of_a_datagram_endpoint(log: Log):
    one, _ = await bound(log, "one")
    two, _ = await bound(log, "two", remote_addr=one.get_extra_info("sockname"))
    log("one", one.get_extra_info("peername"), one.get_extra_info("sockname")[0])
    log("two", two.get_extra_info("peername") == one.get_extra_info("sockname"), two.get_extra_info("sockname")[0])
    log("two", two.get_extra_info("socket").type, two.get_extra_info("socket").family)
    log("two", one.get_extra_info("nothing", "default"))
    await closed(one, two)


@twin
async def test_a_connected_socket_hears_its_peer_only(log: Log):
    one, _ = await bound(log, "one")
    two, second = await bound(log, "two", remote_addr=one.get_extra_info("sockname"))
    three, _ = await bound(log, "three")
    three.sendto(b"not for you", two.get_extra_info("sockname"))
    await moment()
    one.sendto(b"for you", two.get_extra_info("sockname"))
    await second.heard(1)
    await closed(one, two, three)


@twin
async def test_a_connected_endpoint_sends_to_its_peer_only(log: Log):
    one, first = await bound(log, "one")
    two, _ = await bound(log, "two", remote_addr=one.get_extra_info("sockname"))
    log.call("two", "elsewhere", two.sendto, b"x", ("127.0.0.1", 1))
    log.call("two", "its peer", two.sendto, b"y", one.get_extra_info("sockname"))
    await first.heard(1)
    await closed(one, two)


@twin
async def test_sending_after_close(log: Log):
    one, first = await bound(log, "one")
    two, second = await bound(log, "two")
    one.close()
    log("one", one.is_closing())
    log.call("one", "sendto", one.sendto, b"late", two.get_extra_info("sockname"))
    await first.lost.wait()
    await moment()
    log("two", second.count)
    await closed(two)


@twin
async def test_abort_of_a_datagram_endpoint(log: Log):
    one, first = await bound(log, "one")
    one.abort()
    one.abort()
    await first.lost.wait()


@twin
async def test_a_taken_port(log: Log):
    one, _ = await bound(log, "one")
    await log.attempt("two", "bind", bound(log, "two", local_addr=one.get_extra_info("sockname")))
    await closed(one)
    again = await log.attempt("three", "bind", bound(log, "three", local_addr=one.get_extra_info("sockname")))
    await closed(again[0])


@twin
async def test_a_wildcard_hears_on_every_address(log: Log):
    one, first = await bound(log, "one", local_addr=("0.0.0.0", 0))
    port = one.get_extra_info("sockname")[1]
    log("one", one.get_extra_info("sockname")[0])
    two, _ = await bound(log, "two")
    for address in ("127.0.0.1", "127.0.0.2"):
        two.sendto(b"x", (address, port))
    await first.heard(2)
    await closed(one, two)


@twin
async def test_arguments_of_an_endpoint_that_make_no_sense(log: Log):
    loop = asyncio.get_running_loop()
    make = loop.create_datagram_endpoint
    await log.attempt("test", "nothing", make(asyncio.DatagramProtocol))
    await log.attempt("test", "no tuple", make(asyncio.DatagramProtocol, local_addr="127.0.0.1"))
    await log.attempt(
        "test", "two families", make(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0), remote_addr=("::1", 1))
    )
    await log.attempt("test", "not ours", make(asyncio.DatagramProtocol, local_addr=("192.0.2.1", 0)))
    with socket.socket() as stream:
        stream.setblocking(False)
        await log.attempt("test", "a stream", make(asyncio.DatagramProtocol, sock=stream))


@twin
async def test_an_endpoint_on_a_socket_of_ones_own(log: Log):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.bind(("127.0.0.1", 0))
    one, first = await bound(log, "one", sock=sock)
    log("one", one.get_extra_info("sockname") == sock.getsockname())
    log("one", one.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST))
    two, _ = await bound(log, "two")
    two.sendto(b"x", sock.getsockname())
    await first.heard(1)
    await closed(one, two)


@twin
async def test_a_protocol_that_raises_in_datagram_received(log: Log):
    class Broken(Datagrams):
        def datagram_received(self, data, address):
            super().datagram_received(data, address)
            raise ZeroDivisionError("of the protocol")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: log("handler", context["exception"]))
    one, first = await loop.create_datagram_endpoint(lambda: Broken(log, "one"), ("127.0.0.1", 0))
    two, _ = await bound(log, "two")
    two.sendto(b"x", one.get_extra_info("sockname"))
    await first.heard(1)
    two.sendto(b"y", one.get_extra_info("sockname"))
    await first.heard(2)
    await closed(one, two)


@twin
async def test_a_refusal_is_told_to_the_next_call_once(log: Log):
    with socket.socket(type=socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        address = gone.getsockname()
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.setblocking(False)
        one.connect(address)
        for call in (lambda: one.send(b"x"), lambda: one.recv(1)):
            for _ in range(4):
                log.call("one", "call", call)
        log("one", one.send(b"x"), *(one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for _ in range(2)))
    transport, _ = await bound(log, "endpoint", remote_addr=address)
    for _ in range(3):
        transport.sendto(b"x")
    await moment()
    await closed(transport)


@twin
async def test_to_send_to_all_has_to_be_allowed(log: Log):
    one, _ = await bound(log, "one")
    for ip in ("255.255.255.255", "127.255.255.255"):
        one.sendto(b"x", (ip, 9))
    log("one", one.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST))
    two, _ = await bound(log, "two", local_addr=("127.0.0.1", 0), allow_broadcast=True)
    wild, everything = await bound(log, "wild", local_addr=("0.0.0.0", 0))
    two.sendto(b"to all", ("127.255.255.255", wild.get_extra_info("sockname")[1]))
    await everything.heard(1)
    log("two", two.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST))
    await closed(one, two, wild)


@twin
async def test_addresses_that_cannot_be_sent_to(log: Log):
    one, _ = await bound(log, "one")
    for address in (("127.0.0.1", 0), ("::1", 9), ("nobody.invalid", 9)):
        one.sendto(b"x", address)
    await closed(one)


@twin
async def test_an_ipv6_wildcard_hears_ipv4_too(log: Log):
    both, everything = await bound(log, "both", local_addr=("::", 0))
    port = both.get_extra_info("sockname")[1]
    four, first = await bound(log, "four")
    six, second = await bound(log, "six", local_addr=("::1", 0))
    four.sendto(b"four", ("127.0.0.1", port))
    await everything.heard(1)
    both.sendto(b"back", ("::ffff:127.0.0.1", four.get_extra_info("sockname")[1]))
    await first.heard(1)
    six.sendto(b"six", ("::1", port))
    await everything.heard(2)
    both.sendto(b"back", six.get_extra_info("sockname"))
    await second.heard(1)
    both.sendto(b"x", ("127.0.0.1", port))
    for address in (("127.0.0.1", port), ("0.0.0.0", port), ("::", port)):
        await log.attempt("taken", address[0], bound(log, "never", local_addr=address))
    await closed(both, four, six)
    again, _ = await bound(log, "again", local_addr=("0.0.0.0", port))
    await closed(again)


@twin
async def test_the_length_of_what_was_cut(log: Log):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        for _ in range(6):
            one.sendto(b"twotwo", one.getsockname())
        await moment()
        one.setblocking(False)
        found = one.recv(3, socket.MSG_TRUNC)
        log("recv", found[:3], len(found))
        log("peek", len(one.recv(3, socket.MSG_TRUNC | socket.MSG_PEEK)), len(one.recvfrom(3, socket.MSG_TRUNC)[0]))
        room = bytearray(8)
        log("into", one.recv_into(room, 4, socket.MSG_TRUNC), room)
        room = bytearray(3)
        log("into", one.recv_into(room, 0, socket.MSG_TRUNC), room)
        found, _, flags, _ = one.recvmsg(3, 0, socket.MSG_TRUNC)
        log("message", found[:3], len(found), flags)
        log("messages", one.recvmsg_into([room], 0, socket.MSG_TRUNC)[0], room)
