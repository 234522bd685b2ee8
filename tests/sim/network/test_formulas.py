"""Transfer times against closed forms: bytes, round trip, bandwidth, loss.

One way takes L, a wire of B bytes a second S / B for S bytes, a window of W bytes lets W a round trip pass.
"""

import asyncio
import itertools
import math
import socket
import statistics

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import Simulation
from sim.network.link import Link
from sim.network.tcp.defaults import PACKET_BYTES, SEGMENT_BYTES, WINDOW_BYTES
from sim.network.wire import Wire

PORT = 7000


async def by_hand(size):
    """A server whose program reads from the socket itself."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("", PORT)) as listening:
        listening.setblocking(False)
        accepted, _ = await loop.sock_accept(listening)
        accepted.setblocking(False)
        with accepted:
            while size:
                size -= len(await loop.sock_recv(accepted, 1 << 20))
            return loop.time()


async def into_a_buffer(size):
    """One whose transport reads into its protocol's buffer, as asyncio's TLS does."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    class Filled(asyncio.BufferedProtocol):
        left = size

        def connection_made(self, transport):
            self.transport = transport

        def get_buffer(self, hint):
            return bytearray(1 << 20)

        def buffer_updated(self, count):
            self.left -= count
            if not self.left:
                ended.set_result(loop.time())
                self.transport.close()

    async with await loop.create_server(Filled, "0.0.0.0", PORT):
        return await ended


@pytest.mark.parametrize("reading", [by_hand, into_a_buffer])
@pytest.mark.parametrize(("bandwidth", "latency"), [(12.5e6, 0.01), (125e6, 0.01), (12.5e6, 0.001)])
def test_whoever_reads_gets_them_as_fast(reading, bandwidth, latency):
    size = 8_000_000
    expected = transfer(size, latency=latency, bandwidth=bandwidth)["a"]
    with Simulation(1) as simulation:
        simulation.network.default_link(latency=latency, bandwidth=bandwidth)

        async def send():
            reader, writer = await asyncio.open_connection("b", PORT)
            await asyncio.sleep(1)
            began = asyncio.get_running_loop().time()
            writer.write(bytes(size))
            await reader.read()
            writer.close()
            return began

        ended = simulation.add_node("b").start(reading, size)
        began = simulation.add_node("a").start(send, delay=0.001)
        took = simulation.run_until_complete(ended) - simulation.run_until_complete(began)
    assert took == pytest.approx(expected, rel=0.02)


def transfer(size, *, seed=1, graph=None, senders=("a",), change=None, **link):
    """Seconds that `size` bytes take from each sender to b, from the first byte written to the last one read."""
    with Simulation(seed) as simulation:
        if graph is not None:
            simulation.network.graph = graph
        else:
            simulation.network.default_link(**link)
        started, ended = {}, {}

        async def sink(reader, writer):
            sender = (await reader.readexactly(1)).decode()
            left = size - 1
            while left:
                left -= len(await reader.read(1 << 20))
            ended[sender] = asyncio.get_running_loop().time()
            writer.close()

        async def serve():
            async with await asyncio.start_server(sink, "0.0.0.0", PORT) as server:
                await server.serve_forever()

        async def send(name):
            reader, writer = await asyncio.open_connection("b", PORT)
            await asyncio.sleep(1)
            started[name] = asyncio.get_running_loop().time()
            writer.write(name.encode() + bytes(size - 1))
            await reader.read()  # the other end closes
            writer.close()
            await writer.wait_closed()

        simulation.add_node("b").start(serve)
        tasks = [simulation.add_node(name).start(send, name, delay=0.001) for name in senders]
        if change is not None:
            change(simulation.network)
        for task in tasks:
            simulation.run_until_complete(task)
        return {name: ended[name] - started[name] for name in senders}


@pytest.mark.parametrize("size", [1, 1000, 60_000])
@pytest.mark.parametrize("latency", [0.001, 0.05])
def test_what_fits_into_one_write_takes_one_way(size, latency):
    assert transfer(size, latency=latency)["a"] == pytest.approx(latency, rel=0.02)


@pytest.mark.parametrize("bandwidth", [1e5, 1e6, 1e7])
@pytest.mark.parametrize("size", [10_000, 1_000_000])
def test_a_wire_takes_its_time_for_every_byte(size, bandwidth):
    latency = 0.001
    assert transfer(size, latency=latency, bandwidth=bandwidth)["a"] == pytest.approx(
        latency + size / bandwidth, rel=0.02
    )


@pytest.mark.parametrize("latency", [0.02, 0.1])
@pytest.mark.parametrize("windows", [4, 16])
def test_a_long_way_lets_one_window_a_round_trip_pass(latency, windows):
    size = windows * WINDOW_BYTES
    assert transfer(size, latency=latency)["a"] == pytest.approx((windows - 1) * 2 * latency + latency, rel=0.02)


@pytest.mark.parametrize("latency", [0.02, 0.1])
@pytest.mark.parametrize("bandwidth", [1e6, 1e7, 1e8])
@pytest.mark.parametrize("size", [300_000, 2_000_000])
def test_a_wire_on_a_long_way_is_kept_busy_by_the_window_or_waits_a_round_trip_for_it(latency, bandwidth, size):
    windows = math.ceil(size / WINDOW_BYTES)
    round_trip = 2 * latency + PACKET_BYTES / bandwidth
    rest = size - (windows - 1) * WINDOW_BYTES
    assert transfer(size, latency=latency, bandwidth=bandwidth)["a"] == pytest.approx(
        (windows - 1) * max(WINDOW_BYTES / bandwidth, round_trip) + latency + rest / bandwidth, rel=0.02
    )


def test_a_loss_that_enough_follow_costs_a_round_trip_else_the_time_out():
    """A write of n packets: the first lost is geometric; three behind it save the time-out for a round trip."""
    latency, loss, packets = 0.01, 0.02, 10
    size = packets * PACKET_BYTES
    trip, timeout = 2 * latency, 0.2 + 2 * latency
    passed = 1 - loss
    early = 1 - passed ** (packets - 3)
    late = passed ** (packets - 3) * (1 - passed**3)
    again = sum(loss**k * passed * (2**k - 1) for k in range(1, 10)) * timeout  # the retransmission is lost as well
    expected = latency + early * (trip + again) + late * (timeout + 2 * again)
    drawn = [transfer(size, seed=seed, latency=latency, loss=loss)["a"] for seed in range(600)]
    error = statistics.stdev(drawn) / math.sqrt(len(drawn))
    assert statistics.fmean(drawn) == pytest.approx(expected, abs=3 * error)
    for share, kind in (
        (passed**packets, lambda t: t == pytest.approx(latency)),
        (early * passed, lambda t: t == pytest.approx(latency + trip)),
        (late, lambda t: t > timeout - trip),
    ):
        seen = sum(map(kind, drawn)) / len(drawn)
        assert seen == pytest.approx(share, abs=3 * math.sqrt(share * (1 - share) / len(drawn)))


def test_a_tail_loss_is_seen_as_soon_as_three_packets_follow():
    latency = 0.01
    times = []
    for seed in range(150):
        with Simulation(seed) as simulation:
            simulation.network.default_link(latency=latency, loss=0.1)
            arrived = []

            async def sink(reader, writer, arrived=arrived):
                while await reader.read(1):
                    arrived.append(asyncio.get_running_loop().time())
                writer.close()

            async def serve(sink=sink):
                async with await asyncio.start_server(sink, "0.0.0.0", PORT) as server:
                    await server.serve_forever()

            async def send():
                _, writer = await asyncio.open_connection("b", PORT)
                await asyncio.sleep(20)
                for _ in range(8):
                    writer.write(b"x")
                    await asyncio.sleep(0.001)
                writer.close()
                await writer.wait_closed()

            simulation.add_node("b").start(serve)
            task = simulation.add_node("a").start(send, delay=0.001)
            simulation.run_until_complete(task)
            simulation.run(until=simulation.now + 100)
            times.append(arrived[3] - arrived[0] if len(arrived) == 8 else None)
    late = [t for t in times if t is not None and t > 0.02]
    # The first four rarely wait for a time-out of 0.22 s, as the others follow within milliseconds.
    assert sum(t < 0.1 for t in late) > 2 * sum(t >= 0.1 for t in late)


def test_flows_share_a_links_bandwidth():
    graph = networkx.Graph()
    for name in ("a", "c", "d"):
        graph.add_edge(name, "switch", latency="1ms")
    graph.add_edge("switch", "b", latency="1ms", bandwidth="1MB/s", queue="10MB")
    alone = transfer(500_000, graph=graph)["a"]
    together = transfer(500_000, graph=graph, senders=("a", "c", "d"))
    assert alone == pytest.approx(0.002 + 0.5, rel=0.02)
    assert max(together.values()) == pytest.approx(0.002 + 1.5, rel=0.02)
    assert min(together.values()) > 2 * alone


@pytest.mark.parametrize("queue", ["10MB", "256KiB", "64KB", "2kB"])
@pytest.mark.parametrize("senders", ["a", "ac", "acdefg"])
def test_no_wire_carries_more_than_its_bandwidth_however_short_its_queue(queue, senders):
    graph = networkx.Graph()
    for name in senders:
        graph.add_edge(name, "switch", latency="1ms")
    graph.add_edge("switch", "b", latency="1ms", bandwidth="1MB/s", queue=queue)
    together = transfer(500_000, graph=graph, senders=tuple(senders))
    assert max(together.values()) == pytest.approx(0.002 + 0.5 * len(senders), rel=0.02)


def test_flows_share_a_links_bandwidth_when_what_lies_between_two_of_them_has_changed():
    graph = networkx.Graph()
    for name in ("a", "c", "d"):
        graph.add_edge(name, "switch", latency="1ms")
    graph.add_edge("switch", "b", latency="1ms", bandwidth="1MB/s", queue="10MB")
    together = transfer(
        500_000,
        graph=graph,
        senders=("a", "c", "d"),
        change=lambda network: network.link("a", "b", latency="12ms"),
    )
    assert max(together.values()) == pytest.approx(0.012 + 1.5, rel=0.02)


def test_a_changed_bandwidth_is_that_of_the_link_for_everybody():
    graph = networkx.Graph()
    graph.add_edge("a", "b", latency="1ms", bandwidth="1MB/s", queue="10MB")
    graph.add_edge("b", "c", latency="1ms", bandwidth="1MB/s", queue="10MB")
    together = transfer(
        100_000,
        graph=graph,
        senders=("a", "c"),
        change=lambda network: (
            network.link("c", "b", bandwidth="100kB/s"),
            network.path(network.hosts["c"], network.hosts["b"]),
            network.path(network.hosts["c"], network.hosts["a"]),
        ),
    )
    assert together["c"] == pytest.approx(0.001 + 1.0, rel=0.02)
    assert together["a"] == pytest.approx(0.001 + 0.1, rel=0.02)


def test_a_loss_costs_what_is_typical_where_the_mean_latency_is_infinite():
    drawn = [transfer(1000, seed=seed, latency="pareto(1ms, 1)", loss=0.3)["a"] for seed in range(40)]
    lost = [seconds for seconds in drawn if seconds > 0.2]
    assert lost
    # The median of that distribution is 2 ms, the round trip 4 ms: so long from the loss on.
    assert min(lost) == pytest.approx(0.204, abs=0.01)
    assert max(lost) < math.inf


packets = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from([0.0, 0.3, 5.0]), st.integers(1, 500)), min_size=1, max_size=60
)


@given(packets)
def test_a_wire_carries_one_packet_at_a_time_and_nobody_waits_for_what_comes_later_than_it_leaves(sent):
    """Each is sent so long after the one before and comes to the wire so much later; 1000 bytes take a second."""
    wire = Wire().set(Link(bandwidth=1000.0, queue=math.inf))
    now, passed = 0.0, []
    for gap, way, size in sent:
        now += gap
        left = wire.take(now, now + way, size, None)
        first = left - size / 1000
        assert first >= now + way - 1e-9
        # Until then it was taken, or the room was too short.
        for begin, end in itertools.pairwise([now + way, *sorted(t for span in passed for t in span), first]):
            if now + way <= begin and end <= first and not any(a < (begin + end) / 2 < b for a, b in passed):
                assert end - begin < size / 1000 + 1e-9
        passed.append((first, left))
    for (_, end), (begin, _) in itertools.pairwise(sorted(passed)):
        assert begin >= end - 1e-9


def test_who_is_near_to_a_wire_does_not_wait_for_what_is_still_on_its_way_to_it():
    graph = networkx.Graph()
    graph.add_edge("c", "switch", latency="500ms")
    graph.add_edge("a", "switch", latency="1ms")
    graph.add_edge("switch", "b", latency="1ms", bandwidth="1MB/s", queue="10MB")
    together = transfer(100_000, graph=graph, senders=("c", "a"))
    assert together["a"] == pytest.approx(0.002 + 0.1, rel=0.02)
    assert together["c"] == pytest.approx(0.501 + 0.1, rel=0.02)


def test_a_route_is_as_fast_as_its_narrowest_wire():
    graph = networkx.Graph()
    graph.add_edge("a", "x", latency="5ms", bandwidth="10MB/s", queue="10MB")
    graph.add_edge("x", "b", latency="5ms", bandwidth="1MB/s", queue="10MB")
    # Each segment passes one wire after the other: the first of them waits for the fast one once.
    expected = 0.01 + 1.0 + SEGMENT_BYTES / 1e7
    assert transfer(1_000_000, graph=graph)["a"] == pytest.approx(expected, rel=0.02)


def test_each_of_several_lost_writes_is_seen_once_three_packets_follow_it():
    with Simulation(1) as simulation:
        network = simulation.network
        network.default_link(latency=0.01, loss=1e-6)
        got = []

        async def sink(reader, writer):
            while await reader.read(1):
                got.append(asyncio.get_running_loop().time())
            writer.close()

        async def serve():
            async with await asyncio.start_server(sink, "0.0.0.0", PORT) as server:
                await server.serve_forever()

        async def send():
            _, writer = await asyncio.open_connection("b", PORT)
            await asyncio.sleep(1)
            start = asyncio.get_running_loop().time()
            network.link("a", "b", loss=0.999, name="bad")
            for number in range(6):
                writer.write(b"x")
                if number == 1:
                    network.heal("bad")
            await asyncio.sleep(10)
            writer.close()
            await writer.wait_closed()
            return start

        simulation.add_node("b").start(serve)
        start = simulation.run_until_complete(simulation.add_node("a").start(send, delay=0.001))
        assert len(got) == 6
        # One way for the third packet behind it, and a round trip: far below the time-out of 0.22 s.
        assert [when - start for when in got] == pytest.approx([0.03] * 6)
