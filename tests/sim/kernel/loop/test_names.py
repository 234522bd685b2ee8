import asyncio
import socket

import pytest

import sim


@pytest.fixture
def simulation():
    with sim.Simulation(seed=1) as made:
        yield made


def ask(node, function):
    """Run a coroutine function on a node and return its value."""
    return node.simulation.run_until_complete(node.start(function))


async def infos(host, port=80, **options):
    loop = asyncio.get_running_loop()
    return [info[4] for info in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, **options)]


def test_a_node_has_all_the_addresses_that_it_was_given(simulation):
    simulation.add_node("both", "10.1.0.1", "192.168.7.7", "fd00::1")
    asker = simulation.add_node("asker")
    assert ask(asker, lambda: infos("both")) == [("10.1.0.1", 80), ("192.168.7.7", 80), ("fd00::1", 80, 0, 0)]
    assert ask(asker, lambda: infos("both", family=socket.AF_INET6)) == [("fd00::1", 80, 0, 0)]


def test_a_family_that_a_node_does_not_have(simulation):
    node = simulation.add_node("four")
    with pytest.raises(socket.gaierror, match="no address of that family"):
        ask(node, lambda: infos("four", family=socket.AF_INET6))


def test_no_host_is_every_address_of_both_families(simulation):
    node = simulation.add_node("four")
    assert ask(node, lambda: infos(None, flags=socket.AI_PASSIVE)) == [("0.0.0.0", 80), ("::", 80, 0, 0)]
    assert ask(node, lambda: infos(None)) == [("::1", 80, 0, 0), ("127.0.0.1", 80)]


def test_an_address_belongs_to_one_node(simulation):
    simulation.add_node("one", "10.1.0.1", "fd00::1")
    with pytest.raises(ValueError, match="one's already"):
        simulation.add_node("other", "10.1.0.2", "fd00::1")


@pytest.mark.parametrize("address", ["10.1.0.1", "192.168.7.7", "fd00::1"])
def test_a_server_on_every_address_is_reached_by_each(simulation, address):
    server, client = (
        simulation.add_node("server", "10.1.0.1", "192.168.7.7", "fd00::1"),
        simulation.add_node("client", "10.2.0.1", "fd00::2"),
    )
    seen = []

    async def serve():
        def accept(reader, writer):
            seen.append((writer.get_extra_info("sockname")[0], writer.get_extra_info("peername")[0]))
            writer.close()

        await asyncio.start_server(accept, None, 80)
        await asyncio.Event().wait()

    async def connect():
        reader, writer = await asyncio.open_connection(address, 80)
        await reader.read()
        writer.close()
        return writer.get_extra_info("peername")[0], writer.get_extra_info("sockname")[0]

    server.start(serve)
    own = "fd00::2" if ":" in address else "10.2.0.1"
    assert simulation.run_until_complete(client.start(connect, delay=1)) == (address, own)
    assert seen == [(address, own)]


def test_datagrams_over_ipv6(simulation):
    one, other = simulation.add_node("one", "10.1.0.1", "fd00::1"), simulation.add_node("other", "10.1.0.2", "fd00::2")
    heard = []

    class Hear(asyncio.DatagramProtocol):
        def datagram_received(self, data, address):
            heard.append((data, address[0]))

    async def listen():
        await asyncio.get_running_loop().create_datagram_endpoint(Hear, ("::", 9))
        await asyncio.Event().wait()

    async def send():
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Hear, remote_addr=("fd00::2", 9))
        transport.sendto(b"six")
        await asyncio.sleep(1)
        transport.close()

    other.start(listen)
    simulation.run_until_complete(one.start(send, delay=1))
    assert heard == [(b"six", "fd00::1")]


def test_a_machine_without_ipv6_cannot_reach_one_that_has_nothing_else(simulation):
    simulation.add_node("six", "fd00::1")
    four = simulation.add_node("four")

    async def connect():
        with pytest.raises(OSError, match="has no IPv6 address"):
            await asyncio.open_connection("six", 80)

    ask(four, connect)


def test_happy_eyeballs_take_the_address_that_answers(simulation):
    server, client = (
        simulation.add_node("server", "10.1.0.1", "fd00::1"),
        simulation.add_node("client", "10.2.0.1", "fd00::2"),
    )

    async def serve():
        await asyncio.start_server(lambda reader, writer: writer.close(), "fd00::1", 80)
        await asyncio.Event().wait()

    async def connect():
        _, writer = await asyncio.open_connection("server", 80, happy_eyeballs_delay=0.25)
        writer.close()
        return writer.get_extra_info("peername")[0]

    server.start(serve)
    assert simulation.run_until_complete(client.start(connect, delay=1)) == "fd00::1"


def test_getnameinfo_knows_nodes_and_services(simulation):
    simulation.add_node("server", "10.1.0.1", "fd00::1")
    asker = simulation.add_node("asker")

    async def names():
        look_up = asyncio.get_running_loop().getnameinfo
        return [
            await look_up(("10.1.0.1", 80)),
            await look_up(("fd00::1", 7777, 0, 0)),
            await look_up(("10.1.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV),
            await look_up(("192.0.2.1", 80)),
        ]

    assert ask(asker, names) == [("server", "http"), ("server", "7777"), ("10.1.0.1", "80"), ("192.0.2.1", "http")]
    with pytest.raises(socket.gaierror, match="no node has the address"):
        ask(asker, lambda: asyncio.get_running_loop().getnameinfo(("192.0.2.1", 80), socket.NI_NAMEREQD))
