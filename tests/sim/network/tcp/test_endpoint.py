import asyncio
from functools import partial
from operator import itemgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.network.host import Host
from tests.sim.network.two_nodes import LATENCY, PORT, World, connect, echo, now, sink


def test_connecting_takes_a_round_trip():
    async def client():
        _, writer = await connect()
        took = now()
        writer.close()
        return took

    assert World().run(client, sink) == pytest.approx(2 * LATENCY)


def test_a_host_that_is_up_refuses_where_nobody_listens():
    async def client():
        with pytest.raises(ConnectionRefusedError):
            await connect()
        return now()

    assert World().run(client) == pytest.approx(2 * LATENCY)


@pytest.mark.parametrize("silence", ["crash", "isolate"])
def test_a_host_that_is_down_or_cut_off_is_silent(silence):
    world = World()
    if silence == "crash":
        world.b.crash()
    else:
        world.network.isolate("b")

    async def client():
        with pytest.raises(TimeoutError):
            await connect()
        return now()

    assert world.run(client) == pytest.approx(127.0)


@pytest.mark.parametrize("closed_after", [1.1, 1.9, 2.1, 2.9])
def test_a_listener_that_closes_during_a_handshake_resets_it(closed_after):
    """SYN arrives after one latency, the last acknowledgement, which makes the connection acceptable, after three."""
    world = World()

    async def serve():
        server = await asyncio.start_server(sink, "0.0.0.0", PORT)
        await asyncio.sleep(closed_after * LATENCY)
        server.close()

    async def client():
        reader, writer = await connect()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        return now()

    world.b.start(serve)
    assert world.run(client) == pytest.approx(4 * LATENCY)


def test_a_cancelled_connect_leaves_nothing():
    world = World()
    world.network.isolate("b")

    async def client():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await connect()

    world.run(client, sink)
    assert world.simulation.leaks == []


def test_bytes_arrive_whole_and_in_order_whatever_the_link():
    world = World(latency="lognormal(10ms, 1.5)", loss=0.05)
    data = bytes(range(256)) * 4000

    async def client():
        reader, writer = await connect()

        async def write():
            for i in range(0, len(data), 1000):
                writer.write(data[i : i + 1000])
                await writer.drain()
            writer.write_eof()

        async with asyncio.TaskGroup() as group:
            group.create_task(write())
            got = group.create_task(reader.read())
        writer.close()
        return got.result()

    assert world.run(client, echo) == data


LINKS = (
    {"latency": "uniform(1ms, 50ms)"},
    {"latency": "1ms"},
    {"latency": "20ms", "loss": 0.3},
    {"latency": "uniform(1ms, 50ms)", "bandwidth": "1MB/s"},
)


@given(
    st.integers(0, 2**16),
    st.lists(st.tuples(st.sampled_from([1, 10, 3000, 100_000]), st.sampled_from([0.0, 0.001, 0.03])), max_size=20),
    st.lists(st.tuples(st.floats(0.05, 1.0), st.sampled_from(LINKS)), max_size=4),
    st.sampled_from(["fifo", "random"]),
)
@settings(max_examples=60, deadline=None)
def test_bytes_stay_in_order_when_the_link_changes_while_they_are_under_way(seed, writes, changes, tie_break):
    sent = [bytes([index]) * size for index, (size, _) in enumerate(writes)]
    world = World(seed, tie_break=tie_break, **LINKS[0])
    received = bytearray()

    async def server(reader, writer):
        while data := await reader.read(1 << 16):
            received.extend(data)
        writer.close()

    async def client():
        reader, writer = await asyncio.open_connection("b", PORT)
        for data, (_, pause) in zip(sent, writes, strict=True):
            writer.write(data)
            await asyncio.sleep(pause)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()

    world.run(
        client,
        server,
        [(at, partial(world.network.default_link, **link)) for at, link in sorted(changes, key=itemgetter(0))],
    )
    assert received == b"".join(sent)


@pytest.mark.parametrize("faster", [{"latency": "1ms"}, {"latency": "1ms", "bandwidth": "1GB/s"}])
def test_what_is_sent_over_a_link_that_has_become_faster_waits_for_what_is_under_way(faster):
    world = World(latency="100ms")
    received = []

    async def server(reader, writer):
        while data := await reader.read(100):
            received.append(data)
        writer.close()

    async def client():
        reader, writer = await asyncio.open_connection("b", PORT)
        await asyncio.sleep(1)  # the handshake's last packet is there
        writer.write(b"first")
        await asyncio.sleep(0.01)
        world.network.default_link(**faster)
        writer.write(b"second")
        writer.write_eof()
        await reader.read()
        writer.close()

    world.run(client, server)
    assert b"".join(received) == b"firstsecond"


def test_bandwidth_bounds_the_rate():
    world = World(bandwidth="1MB/s")

    async def client():
        reader, writer = await connect()
        start = now()
        writer.write(bytes(1_000_000))
        writer.write_eof()
        await reader.read()
        writer.close()
        return now() - start

    assert world.run(client, sink) == pytest.approx(1.0 + 2 * LATENCY, rel=0.1)


def test_the_window_bounds_the_rate_to_one_window_a_round_trip():
    world = World(latency=0.1)
    size = 256 * 1024 * 10

    async def client():
        reader, writer = await connect()
        start = now()
        writer.write(bytes(size))
        writer.write_eof()
        await reader.read()
        writer.close()
        return now() - start

    assert world.run(client, sink) == pytest.approx(10 * 0.2, rel=0.15)


def test_a_reader_that_does_not_read_stops_its_writer():
    world = World()
    written = []

    async def idle(reader, writer):
        await asyncio.sleep(50)
        writer.close()

    async def client():
        _, writer = await connect()
        try:
            for _ in range(10_000):
                writer.write(bytes(64 * 1024))
                await asyncio.wait_for(writer.drain(), 10)
                written.append(64 * 1024)
        except TimeoutError:
            return sum(written)
        finally:
            writer.transport.abort()

    stopped_at = world.run(client, idle)
    # The reader's stream limit twice, the window, the send buffer and the transport's high-water mark.
    assert 256 * 1024 < stopped_at < 1024 * 1024


def test_half_close_lets_the_other_direction_go_on():
    async def server(reader, writer):
        got = await reader.read()
        await asyncio.sleep(1)
        writer.write(got.upper())
        writer.close()

    async def client():
        reader, writer = await connect()
        writer.write(b"hello")
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer

    assert World().run(client, server) == b"HELLO"


def test_closing_with_unread_bytes_is_a_reset():
    async def server(reader, writer):
        await asyncio.sleep(1)
        writer.transport.pause_reading()
        await asyncio.sleep(1)
        writer.close()

    async def client():
        reader, writer = await connect()
        await asyncio.sleep(1.5)
        writer.write(b"never read")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        return now()

    assert World().run(client, server) == pytest.approx(2 + 4 * LATENCY, abs=0.005)


def test_writing_to_a_closed_connection_ends_in_a_reset():
    async def server(reader, writer):
        writer.close()

    async def client():
        reader, writer = await connect()
        assert await reader.read() == b""
        writer.write(b"x")
        await asyncio.sleep(1)
        writer.write(b"y")
        with pytest.raises(ConnectionResetError):
            await writer.drain()

    World().run(client, server)


def test_a_machine_that_came_back_resets_connections_of_before():
    world = World()

    async def client():
        reader, writer = await connect()
        await asyncio.sleep(10)
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await reader.read(100)
        writer.close()
        return now()

    at = [(1.0, world.b.crash), (5.0, world.b.restart)]
    assert world.run(client, echo, at=at) == pytest.approx(10 + 4 * LATENCY, abs=0.01)


def test_port_zero_and_a_taken_port():
    world = World()

    async def client():
        server = await asyncio.start_server(sink, "0.0.0.0", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            await asyncio.start_server(sink, "0.0.0.0", port)
        with pytest.raises(OSError, match=r"has no address|could not bind"):
            await asyncio.start_server(sink, "10.9.9.9", 0)
        server.close()
        again = await asyncio.start_server(sink, "0.0.0.0", port)
        again.close()
        return port

    assert world.run(client) >= 32768


def test_names_of_the_ends():
    world = World()
    seen = []

    async def server(reader, writer):
        seen.append((writer.get_extra_info("sockname"), writer.get_extra_info("peername")))
        writer.close()

    async def client():
        reader, writer = await connect()
        await reader.read()
        seen.append((writer.get_extra_info("peername"), writer.get_extra_info("sockname")))
        writer.close()

    world.run(client, server)
    assert seen[0] == seen[1]
    assert seen[0][0] == (world.b.host.ip, PORT)


def test_ports_that_stream_sockets_are_bound_to_are_nobody_else_s():
    host = Host("a", "10.0.0.1")
    for port in (32768, 32769, 32771):
        host.reserve(object(), "0.0.0.0", port, False)
    assert [host.ephemeral_port(), host.ephemeral_port()] == [32770, 32772]
    host.reserve(object(), "0.0.0.0", 32773, True)
    assert host.bind(host.listeners, "0.0.0.0", 0) == ("0.0.0.0", 32774)
    host.reserve(object(), "0.0.0.0", 32775, False)
    assert host.bind(host.datagram_sockets, "0.0.0.0", 0) == ("0.0.0.0", 32775)


@pytest.mark.parametrize("pause", [0.0, 1e-6, 1e-4])
def test_bytes_stay_in_order_on_one_machine_whether_they_took_time_or_not(pause):
    """What is written in one moment is there at once up to a limit; the rest takes a while, and what follows waits."""

    async def serve():
        async with await asyncio.start_server(take, "127.0.0.1", PORT) as server:
            await server.serve_forever()

    async def take(reader, writer):
        taken.set_result(await reader.read(-1))
        writer.close()

    async def client():
        nonlocal taken
        taken = asyncio.get_running_loop().create_future()
        _, writer = await asyncio.open_connection("127.0.0.1", PORT)
        for n in range(400):
            writer.write(n.to_bytes(2, "big"))
            if n % 150 == 149:
                await asyncio.sleep(pause)
        writer.close()
        return await taken

    taken = None
    world = World()
    world.a.start(serve)
    assert world.run(client) == b"".join(n.to_bytes(2, "big") for n in range(400))
