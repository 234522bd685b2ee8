"""Ports of one machine: who gets which, however many there are and however often the count has begun again."""

import asyncio
import errno

import pytest

import sim
from sim.network.host import Host
from sim.network.ports import Bound

FIRST, LAST = 32768, 60999


class Holder:
    def __init__(self, port):
        self.local = ("10.0.0.1", port)


def test_a_port_is_taken_as_long_as_one_address_has_it():
    bound = Bound()
    bound["10.0.0.1", 80] = bound["127.0.0.1", 80] = "socket"
    bound["10.0.0.1", 80] = "another"
    bound["/a/path"] = "a Unix socket"
    assert bound.ports == {80: 2}
    del bound["10.0.0.1", 80]
    del bound["/a/path"]
    assert bound.ports == {80: 1}
    bound.clear()
    assert not bound
    assert not bound.ports


def test_a_new_count_meets_no_live_connection():
    host = Host("a", "10.0.0.1")
    first, second, *_ = (host.ephemeral_port() for _ in range(LAST - FIRST))
    assert (first, second) == (FIRST, FIRST + 1)
    host.endpoints[Holder(first)] = None
    assert host.ephemeral_port() == LAST
    assert host.ephemeral_port() == second, "whose connection has ended"


def test_a_connection_meets_no_listener():
    host = Host("a", "10.0.0.1")
    host.listeners["0.0.0.0", FIRST] = object()
    assert host.ephemeral_port() == FIRST + 1


def test_where_all_ports_are_taken_both_errors_are_linuxs():
    host = Host("a", "10.0.0.1")
    for port in range(FIRST, LAST + 1):
        host.listeners["0.0.0.0", port] = object()
    with pytest.raises(OSError, match="no free port") as error:
        host.bind(host.listeners, "0.0.0.0", 0)
    assert error.value.errno == errno.EADDRINUSE
    with pytest.raises(OSError, match="another connection") as error:
        host.ephemeral_port()
    assert error.value.errno == errno.EADDRNOTAVAIL


def test_a_bound_stream_socket_gives_its_port_back():
    host, one, other = Host("a", "10.0.0.1"), object(), object()
    host.reserve(one, "0.0.0.0", 80, True)
    host.reserve(other, "10.0.0.1", 80, True)
    with pytest.raises(OSError, match="in use"):
        host.reserve(object(), "127.0.0.1", 80, False)
    host.release(one, 80)
    host.release(one, 80)
    host.release(other, 80)
    assert not host.reserved


def test_a_free_port_is_found_without_looking_at_all_sockets(monkeypatch):
    """Where each walked through those that were there, 28,232 sockets took a minute."""
    walks = 0

    def walk(self):
        nonlocal walks
        walks += 1
        return iter(self.keys())

    monkeypatch.setattr(Bound, "__iter__", walk)

    async def main():
        loop = asyncio.get_running_loop()
        held = [
            (await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)))[0]
            for _ in range(50)
        ]
        for transport in held:
            transport.close()

    sim.run(main(), seed=1)
    assert walks < 10
