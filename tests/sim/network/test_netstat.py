"""simulation.network.sockets(): what each socket of the network is doing, as netstat shows it."""

import asyncio
import socket

import pytest

from sim import Simulation
from sim.network.netstat import SocketRow, Sockets

PORT = 7000
SERVER, CLIENT = "10.0.0.1", "10.0.0.2"


@pytest.fixture
def simulation():
    with Simulation(1) as simulation:
        simulation.network.default_link(latency=0.01)
        simulation.add_node("server")
        simulation.add_node("client")
        yield simulation


def states(simulation, node=None):
    rows = simulation.network.sockets()
    return [row.state for row in rows if row.protocol == "tcp" and node in (None, row.node)]


async def listen(handle=None, **options):
    async def nothing(reader, writer):
        try:
            await asyncio.sleep(1000)
        finally:
            writer.close()

    async with await asyncio.start_server(handle or nothing, "0.0.0.0", PORT, **options):
        await asyncio.sleep(1000)


async def connect(then=None):
    reader, writer = await asyncio.open_connection("server", PORT)
    try:
        if then is not None:
            await then(reader, writer)
        await asyncio.sleep(1000)
    finally:
        writer.close()


def test_no_sockets_are_an_empty_table(simulation):
    assert simulation.network.sockets() == ()
    assert str(simulation.network.sockets()).split() == list(SocketRow.__struct_fields__)


def test_both_ends_of_a_connection_are_established(simulation):
    simulation.nodes["server"].start(listen)
    simulation.nodes["client"].start(connect)
    simulation.run(0.015)
    assert states(simulation) == ["LISTEN", "SYN_SENT"]
    simulation.run(0.025)
    # The client knows already, its last acknowledgement is under way.
    assert states(simulation) == ["LISTEN", "SYN_RECV", "ESTABLISHED"]
    simulation.run(1)
    rows = simulation.network.sockets()
    port = rows[2].address.partition(":")[2]
    assert rows == (
        SocketRow("server", "tcp", f"0.0.0.0:{PORT}", "*", "LISTEN", 0, 0),
        SocketRow("server", "tcp", f"{SERVER}:{PORT}", f"{CLIENT}:{port}", "ESTABLISHED", 0, 0),
        SocketRow("client", "tcp", f"{CLIENT}:{port}", f"{SERVER}:{PORT}", "ESTABLISHED", 0, 0),
    )
    lines = str(rows).splitlines()
    assert lines[1].split() == ["server", "tcp", f"0.0.0.0:{PORT}", "*", "LISTEN", "0", "0"]
    assert len({line.find("ESTABLISHED") for line in lines[2:]}) == 1


def test_bytes_that_wait_are_counted_where_they_wait(simulation):
    async def write(reader, writer):
        await asyncio.sleep(1)
        writer.write(bytes(300_000))

    simulation.nodes["server"].start(listen)
    simulation.nodes["client"].start(connect, write)
    simulation.run(1)
    simulation.nodes["server"].pause(5)
    simulation.run(1.025)
    client = simulation.network.sockets()[-1]
    assert (client.node, client.unsent) == ("client", 256 * 1024)
    simulation.run(2)
    server = next(row for row in simulation.network.sockets() if row.unread)
    assert (server.node, server.state, server.unread) == ("server", "ESTABLISHED", 256 * 1024)
    simulation.nodes["server"].resume()
    simulation.run(4)
    # asyncio's reader has a limit of its own: what it does not take waits in the transport below it.
    assert sum(row.unsent for row in simulation.network.sockets()) < 256 * 1024


def test_a_connection_that_one_side_closed_is_half_there(simulation):
    async def close(reader, writer):
        writer.close()
        await writer.wait_closed()

    simulation.nodes["server"].start(listen)
    simulation.nodes["client"].start(connect, close)
    simulation.run(0.025)
    assert states(simulation, "client") == ["FIN_WAIT1"]
    simulation.run(1)
    assert states(simulation, "server") == ["LISTEN", "CLOSE_WAIT"]
    assert states(simulation, "client") == ["FIN_WAIT2"]


def test_a_machine_without_power_leaves_a_connection_half_open(simulation):
    simulation.nodes["server"].start(listen)
    simulation.nodes["client"].start(connect)
    simulation.run(1)
    simulation.nodes["server"].crash()
    assert states(simulation, "server") == []
    assert states(simulation, "client") == ["ESTABLISHED"]


def test_a_reset_connection_is_closed_until_its_program_lets_go(simulation):
    async def by_hand():
        loop = asyncio.get_running_loop()
        with socket.create_server(("", PORT)) as listening:
            listening.setblocking(False)
            accepted, _ = await loop.sock_accept(listening)
            with accepted:
                await asyncio.sleep(1000)

    simulation.nodes["server"].start(by_hand)
    simulation.nodes["client"].start(connect)
    simulation.run(1)
    simulation.nodes["client"].reset()
    simulation.run(2)
    assert states(simulation, "server") == ["LISTEN", "CLOSE"]
    assert states(simulation, "client") == []


def test_connections_to_be_accepted_are_counted_at_the_listener(simulation):
    async def never_accepts():
        with socket.create_server(("", PORT)):
            await asyncio.sleep(1000)

    simulation.nodes["server"].start(never_accepts)
    for _ in range(3):
        simulation.nodes["client"].start(connect)
    simulation.run(1)
    listening = simulation.network.sockets()[0]
    assert (listening.state, listening.unread) == ("LISTEN", 3)
    assert states(simulation, "server")[1:] == states(simulation, "client") == ["ESTABLISHED"] * 3


def test_a_connect_that_is_given_up_leaves_nothing(simulation):
    async def impatient():
        try:
            async with asyncio.timeout(1):
                await asyncio.open_connection("server", PORT)
        except TimeoutError:
            await asyncio.sleep(1000)

    simulation.network.isolate("server")
    simulation.nodes["client"].start(impatient)
    simulation.run(0.5)
    assert states(simulation) == ["SYN_SENT"]
    simulation.run(2)
    assert simulation.network.sockets() == ()


def test_datagrams_and_unix_sockets_are_shown_too(simulation):
    async def wait_for_datagrams():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
            bound.bind(("0.0.0.0", PORT))
            async with await asyncio.start_unix_server(lambda *_: None, "/run/x"):
                await asyncio.sleep(1000)

    async def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connected:
            connected.connect((SERVER, PORT))
            connected.send(b"four")
            connected.send(b"five!")
            await asyncio.sleep(1000)

    simulation.nodes["server"].start(wait_for_datagrams)
    simulation.nodes["client"].start(send, delay=0.1)
    simulation.run(1)
    unix, bound, connected = simulation.network.sockets()
    assert unix == SocketRow("server", "unix", "/run/x", "*", "LISTEN", 0, 0)
    assert bound == SocketRow("server", "udp", f"0.0.0.0:{PORT}", "*", "", 9, 0)
    assert (connected.peer, connected.state) == (f"{SERVER}:{PORT}", "ESTABLISHED")
    assert "-" in str(Sockets((bound,))).split()


def test_a_socket_of_both_families_is_one_row(simulation):
    async def dual():
        with socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True):
            await asyncio.sleep(1000)

    simulation.add_node("six", "fd00::1", "10.0.0.9").start(dual)
    simulation.run(1)
    assert [(row.address, row.state) for row in simulation.network.sockets()] == [(f"[::]:{PORT}", "LISTEN")]
