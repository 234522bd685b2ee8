"""Packets that are held back or read late: in order, complete, and free for those whose packets are not."""

import asyncio
import socket

import pytest

from sim.kernel.simulation import Simulation
from sim.network.host import RECEIVE_BUFFER_BYTES

PORT = 5000


@pytest.fixture
def simulation():
    with Simulation(1) as made:
        made.network.default_link(latency="10ms")
        yield made


class Heard(asyncio.DatagramProtocol):
    def __init__(self):
        self.at = []

    def datagram_received(self, data, addr):
        self.at.append((round(asyncio.get_running_loop().time(), 6), data))


async def listen(heard):
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: heard, local_addr=("0.0.0.0", PORT)
    )
    try:
        await asyncio.sleep(100)
    finally:
        transport.close()


async def shout(to, count=5, every=0.1, size=1):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(to, PORT))
    for number in range(count):
        transport.sendto(b"%d" % number * size)
        if every:
            await asyncio.sleep(every)
    transport.close()


def hearing(simulation, *senders):
    """Node `b` listens, the others talk to it."""
    heard = Heard()
    simulation.add_node("b").start(listen, heard)
    for name in senders:
        simulation.add_node(name).start(shout, "b", delay=0.05)
    return heard


def test_held_datagrams_arrive_in_order_when_the_hold_ends(simulation):
    heard = hearing(simulation, "a", "c")
    simulation.run(until=0.2)
    simulation.network.hold("a", "b", name="h")
    simulation.run(until=1.0)
    before = list(heard.at)
    assert [d for _, d in before] == [b"0", b"0", b"1", b"1", b"2", b"3", b"4"]
    assert simulation.network.heal("h")
    simulation.run(until=1.1)
    assert heard.at[len(before) :] == [(1.0, b"2"), (1.0, b"3"), (1.0, b"4")]
    assert not simulation.network.heal("h")


def test_a_datagram_is_read_late_and_in_order_and_timers_are_on_time(simulation):
    heard = hearing(simulation, "a")
    ticks = []

    async def tick():
        for _ in range(10):
            await asyncio.sleep(0.1)
            ticks.append(round(asyncio.get_running_loop().time(), 6))

    simulation.nodes["b"].start(tick)
    simulation.network.slow_receive("b", "uniform(0.5s, 1.5s)", name="s")
    simulation.run(until=5.0)
    assert ticks == [round(0.1 * n, 6) for n in range(1, 11)]
    assert [d for _, d in heard.at] == [b"0", b"1", b"2", b"3", b"4"]
    delays = [at - (0.06 + 0.1 * n) for n, (at, _) in enumerate(heard.at)]
    assert min(delays) >= 0.5 - 1e-6
    assert max(delays) <= 1.5 + 1e-6
    assert len({round(delay, 3) for delay in delays}) > 1


def test_what_waits_to_be_read_is_read_at_once_when_the_slowness_ends(simulation):
    heard = hearing(simulation, "a")
    simulation.network.slow_receive("b", "10s", name="s")
    simulation.run(until=0.3)
    assert heard.at == []
    simulation.network.heal("s")
    simulation.run(until=1.0)
    assert [d for _, d in heard.at] == [b"0", b"1", b"2", b"3", b"4"]
    assert heard.at[2][0] == 0.3
    assert heard.at[3][0] == pytest.approx(0.36)


def test_a_late_reader_loses_datagrams_once_its_buffer_is_full(simulation):
    heard = Heard()
    simulation.add_node("b").start(listen, heard)
    simulation.add_node("a").start(shout, "b", 100, 0, 10_000, delay=0.1)
    simulation.network.slow_receive("b", 1.0)
    simulation.run(until=3.0)
    assert 0 < len(heard.at) <= RECEIVE_BUFFER_BYTES // 10_000
    dropped = [e for e in simulation.trace.events() if e.name == "dropped"]
    assert {e.fields["reason"] for e in dropped} == {"buffer_full"}
    assert len(dropped) == 100 - len(heard.at)


async def echo(port=PORT):
    async def serve(reader, writer):
        try:
            while data := await reader.read(100):
                writer.write(data)
        finally:
            writer.close()

    async with await asyncio.start_server(serve, "0.0.0.0", port) as server:
        await server.serve_forever()


async def talk(log, words=3):
    loop = asyncio.get_running_loop()
    began = loop.time()
    reader, writer = await asyncio.open_connection("b", PORT)
    log.append(("connected", round(loop.time() - began, 6)))
    for number in range(words):
        sent = loop.time()
        writer.write(b"%d" % number)
        answer = await reader.read(100)
        log.append((answer, round(loop.time() - sent, 6)))
        await asyncio.sleep(0.2)
    writer.close()


@pytest.mark.parametrize(("one", "other"), [("a", "b"), ("b", "a")])
def test_a_hold_of_either_direction_holds_up_a_connect_until_it_ends(simulation, one, other):
    log = []
    simulation.add_node("b").start(echo)
    simulation.add_node("a").start(talk, log)
    simulation.network.hold(one, other, name="h")
    simulation.run(until=2.5)
    assert log == []
    simulation.network.heal("h")
    simulation.run(until=5.0)
    assert log[0][0] == "connected"
    assert 2.5 <= log[0][1] <= 2.53
    assert [word for word, _ in log[1:]] == [b"0", b"1", b"2"]


def test_a_held_stream_goes_on_where_it_stopped(simulation):
    log = []
    simulation.add_node("b").start(echo)
    task = simulation.add_node("a").start(talk, log, 6)
    simulation.run(until=0.3)
    simulation.network.hold("b", "a", name="h")
    simulation.run(until=3.0)
    simulation.network.heal("h")
    simulation.run_until_complete(task)
    assert [word for word, _ in log[1:]] == [b"%d" % n for n in range(6)]
    waits = [seconds for _, seconds in log[1:]]
    assert sum(seconds > 1 for seconds in waits) == 1
    assert max(waits) > 2.5


def test_a_late_reader_accepts_late_but_a_connect_is_the_system_s(simulation):
    log = []
    simulation.add_node("b").start(echo)
    task = simulation.add_node("a").start(talk, log)
    simulation.network.slow_receive("b", "0.5s")
    simulation.run_until_complete(task)
    assert log[0] == ("connected", 0.02)
    assert all(seconds >= 0.52 for _, seconds in log[1:])


def test_a_bulk_transfer_to_a_late_reader_arrives_whole(simulation):
    total = 2_000_000
    got = []

    async def sink():
        async def serve(reader, writer):
            got.append(await reader.read())
            writer.close()

        async with await asyncio.start_server(serve, "0.0.0.0", PORT) as server:
            await server.serve_forever()

    async def send():
        _, writer = await asyncio.open_connection("b", PORT)
        writer.write(bytes(range(250)) * (total // 250))
        writer.close()
        await writer.wait_closed()

    simulation.add_node("b").start(sink)
    simulation.network.slow_receive("b", "uniform(0.1s, 0.3s)", name="s")
    simulation.add_node("a").start(send)
    simulation.run(until=0.8)
    assert got == []  # the window of 256 KiB waits for a reader that is late
    simulation.run(until=30.0)
    assert got == [bytes(range(250)) * (total // 250)]


def test_what_was_held_for_a_machine_that_has_died_meanwhile_is_answered_as_any_packet_is(simulation):
    log = []

    async def client():
        _, writer = await asyncio.open_connection("b", PORT)
        while True:
            await asyncio.sleep(0.1)
            try:
                writer.write(b"x")
                await writer.drain()
            except ConnectionResetError:
                log.append(round(asyncio.get_running_loop().time(), 1))
                return

    simulation.add_node("b").start(echo)
    simulation.add_node("a").start(client)
    simulation.run(until=0.5)
    simulation.network.hold("a", "b", name="h")
    simulation.run(until=1.0)
    simulation.nodes["b"].crash()
    simulation.nodes["b"].restart()
    simulation.run(until=1.5)
    assert log == []
    simulation.network.heal("h")
    simulation.run(until=3.0)
    assert log in ([1.5], [1.6])


def test_a_reset_is_found_at_both_ends_and_nowhere_else(simulation):
    log = {}

    async def wait(name, to):
        reader, writer = await asyncio.open_connection(to, PORT)
        try:
            await reader.read(1)
            log[name] = "eof"
        except OSError as error:
            log[name] = type(error).__name__
        writer.close()

    async def accept(name):
        async def serve(reader, writer):
            try:
                await reader.read(1)
            except OSError as error:
                log[name] = type(error).__name__
            writer.close()

        async with await asyncio.start_server(serve, "0.0.0.0", PORT) as server:
            await server.serve_forever()

    for name in "bd":
        simulation.add_node(name).start(accept, name)
    simulation.add_node("a").start(wait, "a", "b")
    simulation.add_node("c").start(wait, "c", "d")
    simulation.run(until=1.0)
    assert simulation.nodes["b"].reset()
    simulation.run(until=2.0)
    assert log == {"a": "ConnectionResetError", "b": "ConnectionResetError"}
    simulation.nodes["c"].reset()
    simulation.run(until=3.0)
    assert log["c"] == log["d"] == "ConnectionResetError"


def test_a_machine_without_connections_has_none_to_reset(simulation):
    assert not simulation.add_node("a").reset()


def test_a_machine_has_an_inbox_only_while_there_is_a_rule(simulation):
    b = simulation.add_node("b")
    b.start(echo)
    b.start(listen, Heard())
    a = simulation.add_node("a")
    a.start(talk, [], 50)
    simulation.run(until=0.1)
    assert (a.host.inbox, b.host.inbox) == (None, None)
    simulation.network.hold("a", "b", name="h")
    simulation.network.slow_receive("a", "1s", name="s")
    assert a.host.inbox is not None
    assert b.host.inbox is not None
    simulation.network.heal()
    simulation.run(until=0.2)
    assert (a.host.inbox, b.host.inbox) == (None, None)
    simulation.run(until=15)


@pytest.mark.parametrize("rule", ["hold", "slow_receive"])
def test_a_socket_that_hears_both_families_is_let_go_of_once(simulation, rule):
    """It stands under two addresses."""
    heard = Heard()

    async def listen_on_both():
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::", PORT))
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: heard, sock=sock)
        await asyncio.sleep(100)

    simulation.add_node("b").start(listen_on_both)
    simulation.add_node("a").start(shout, "b", delay=1.0)
    network = simulation.network
    name = network.hold("a", "b") if rule == "hold" else network.slow_receive("b", "20ms")
    simulation.run(until=3.0)
    network.heal(name)
    simulation.run(until=5.0)
    assert len(heard.at) == 5
