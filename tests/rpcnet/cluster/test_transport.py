"""The cluster's sockets: one port for both, bounded streams, names, and what is left when it is closed."""

import asyncio
import contextlib
import errno
import gc
import socket
from dataclasses import replace

import pytest

import sim
from rpcnet.address import join_host_port, split_host_port
from rpcnet.cluster.seal.checksummed import Checksummed
from rpcnet.cluster.seal.envelope import Answering, Asking
from rpcnet.cluster.swim.effect import Stats
from rpcnet.cluster.transport import AddressInUse, Transport
from rpcnet.config import ClusterConfig

CONFIG = replace(ClusterConfig.lan(), tcp_timeout=0.3, max_exchange_bytes=1000, max_datagram_bytes=1000, max_members=1)


def sent(request):
    """The bytes of a request on a stream."""
    return Asking(Checksummed(), request, None, 1000).sent


ANSWER = Answering(Checksummed(), 1000).answer(b"answer")


class Receiver:
    """Answers with what it is told to, and notes what comes."""

    def __init__(self, answer=b"answer"):
        self.answer = answer
        self.came = asyncio.Queue()

    def datagram(self, data, source):
        self.came.put_nowait(("datagram", data))

    def request(self, data, source):
        self.came.put_nowait(("request", data))
        return self.answer

    def is_answer(self, data):
        return data == b"answer"

    def answered(self, number, data):
        self.came.put_nowait(("answered", number, data))

    def unanswered(self, number, *, refused):
        self.came.put_nowait(("refused" if refused else "unanswered", number))

    def unopened(self, why, source, *, asked=False):
        self.came.put_nowait(("unopened", why.reason))

    def of_other_family(self, address):
        self.came.put_nowait(("of other family", address))


class Pair:
    """Two transports on one machine."""

    def __init__(self, answer=b"answer", config=CONFIG):
        self.stats = Stats()
        self.here, self.there = Receiver(), Receiver(answer)
        self.one = Transport(self.here, config, self.stats, Checksummed())
        self.two = Transport(self.there, config, self.stats, Checksummed())

    async def __aenter__(self):
        self.address, self.other = await self.one.open("127.0.0.1:0"), await self.two.open("127.0.0.1:0")
        return self

    async def __aexit__(self, *_):
        await self.one.close()
        await self.two.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def heard(self):
        return await asyncio.wait_for(self.here.came.get(), 10)


class Silent(asyncio.Protocol):
    """Accepts, and says nothing."""

    def __init__(self, open_ones):
        self.open_ones = open_ones

    def connection_made(self, transport):
        self.open_ones.append(self)

    def connection_lost(self, exc):
        self.open_ones.remove(self)


@contextlib.asynccontextmanager
async def silent_peer():
    open_ones = []
    server = await asyncio.get_running_loop().create_server(lambda: Silent(open_ones), "127.0.0.1", 0)
    yield join_host_port(*server.sockets[0].getsockname()[:2])
    server.close()
    while open_ones:  # noqa: ASYNC110 - bounded by the test's own limit
        await asyncio.sleep(0.01)


async def close(writer):
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def test_a_datagram_and_an_exchange_pass_over_the_same_address(world):
    async def main():
        async with Pair() as pair:
            pair.one.send(pair.other, b"hello")
            assert await pair.there.came.get() == ("datagram", b"hello")
            pair.one.exchange(7, pair.other, b"question", 5.0)
            assert await pair.heard() == ("answered", 7, b"answer")
            assert await pair.there.came.get() == ("request", b"question")

    world.run(main())


def test_a_refused_connection_is_told_from_silence(world):
    async def main():
        async with Pair() as pair:
            await pair.two.close()
            pair.one.exchange(1, pair.other, b"question", 5.0)
            assert await pair.heard() == ("refused", 1)

    world.run(main())


def test_a_request_that_is_not_answered_is_closed_and_told_so(world):
    async def main():
        async with Pair(answer=None) as pair:
            pair.one.exchange(1, pair.other, b"question", 5.0)
            assert await pair.heard() == ("unanswered", 1)

    world.run(main())


def test_a_peer_that_accepts_and_says_nothing_is_given_up_after_the_timeout(world):
    async def main():
        async with silent_peer() as address, Pair() as pair:
            pair.one.exchange(1, address, b"question", 0.2)
            assert await pair.heard() == ("unanswered", 1)

    world.run(main())


def test_half_a_request_and_silence_is_closed_after_tcp_timeout(world):
    async def main():
        async with Pair() as pair:
            reader, writer = await asyncio.open_connection(*split_host_port(pair.other))
            writer.write(sent(b"whole")[:-1])
            assert await asyncio.wait_for(reader.read(), 10) == b""
            await close(writer)
            assert pair.there.came.empty()

    world.run(main())


@pytest.mark.parametrize("size", [1005, 2**31 - 1])
def test_a_length_over_max_exchange_bytes_is_refused_before_anything_is_kept(world, size):
    async def main():
        async with Pair() as pair:
            reader, writer = await asyncio.open_connection(*split_host_port(pair.other))
            writer.write(sent(b"")[:1] + size.to_bytes(4, "big") + b"x" * 10)
            with contextlib.suppress(ConnectionError):  # closed with bytes unread: a reset is as good as an end
                assert await asyncio.wait_for(reader.read(), 10) == b""
            await close(writer)
            assert await pair.there.came.get() == ("unopened", "malformed")
            assert pair.there.came.empty()

    world.run(main())


def test_streams_beyond_the_limit_close_the_oldest_that_said_nothing(world):
    """The limit counts those that are open: one that ends makes room for another."""

    async def answered(reader, writer):
        writer.write(sent(b"hello"))
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), 10)
        return b""

    async def main():
        async with Pair(config=replace(CONFIG, tcp_timeout=30, max_streams=8)) as pair:
            address = split_host_port(pair.other)
            streams = [await asyncio.open_connection(*address) for _ in range(8)]
            while len(pair.two._streams) < 8:  # noqa: ASYNC110 - bounded by the test's own limit
                await asyncio.sleep(0.01)
            beyond = await asyncio.open_connection(*address)
            assert await answered(*beyond) == ANSWER, "the latest is served"
            assert await answered(*streams[0]) == b"", "the oldest was closed without an answer"
            assert await answered(*streams[-1]) == ANSWER, "those within the limit are served"
            while len(pair.two._streams) >= 7:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            another = await asyncio.open_connection(*address)
            assert await answered(*another) == ANSWER, "there is room again"
            assert await answered(*streams[1]) == ANSWER, "and so nobody had to go"
            for _, writer in [*streams, beyond, another]:
                await close(writer)

    world.run(main())


def test_a_message_may_come_byte_by_byte(world):
    async def main():
        async with Pair() as pair:
            reader, writer = await asyncio.open_connection(*split_host_port(pair.other))
            for byte in sent(b"hello"):
                writer.write(bytes([byte]))
                await asyncio.sleep(0.001)
            assert await asyncio.wait_for(reader.read(), 10) == ANSWER
            await close(writer)

    world.run(main())


def test_a_name_is_looked_up_and_the_datagrams_before_that_are_lost_and_counted():
    async def main():
        async with Pair() as pair:
            _, port = split_host_port(pair.other)
            pair.one.exchange(1, f"localhost:{port}", b"question", 5.0)
            assert await pair.heard() == ("answered", 1, b"answer")
            await pair.there.came.get()
            pair.one.send(f"localhost:{port}", b"known by now")
            assert await pair.there.came.get() == ("datagram", b"known by now")
            pair.one.doubt(f"localhost:{port}")
            pair.one.send(f"localhost:{port}", b"looked up again meanwhile")
            assert await pair.there.came.get() == ("datagram", b"looked up again meanwhile")
            assert pair.stats.unresolved == 0
            pair.two.send("localhost:1", b"lost")
            assert pair.stats.unresolved == 1

    asyncio.run(main())


def test_a_name_with_two_addresses_is_bound_at_the_first_alone():
    """A stream at the second one would be open to whoever reaches that, and nothing judges it."""

    async def main():
        async with Pair() as pair:
            _, port = split_host_port(pair.address)
        stands_for("both", "127.0.0.1", "127.0.0.2")
        transport = Transport(Receiver(), CONFIG, Stats(), Checksummed())
        assert await transport.open(f"both:{port}") == f"127.0.0.1:{port}"
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.2", port)
        await transport.close()

    asyncio.run(main())


@pytest.mark.parametrize("address", ["[::1]:7", "[2001:db8::1]:7"])
def test_a_datagram_to_the_other_family_is_counted_and_told(world, address):
    async def main():
        async with Pair() as pair:
            pair.one.send(address, b"lost")
            assert await pair.heard() == ("of other family", address)
            assert (pair.stats.unresolved, pair.stats.bytes_sent) == (1, 0)

    world.run(main())


def stands_for(name, *hosts):
    """From now on this loop looks the name up to these addresses."""
    loop = asyncio.get_running_loop()
    real = loop.getaddrinfo

    async def getaddrinfo(host, port, **rest):
        if host != name:
            return await real(host, port, **rest)
        families = {each: socket.AF_INET6 if ":" in each else socket.AF_INET for each in hosts}
        return [(family, socket.SOCK_STREAM, 6, "", (each, port)) for each, family in families.items()]

    loop.getaddrinfo = getaddrinfo


@pytest.mark.parametrize("first", ["::1", "127.0.0.9"])
def test_every_address_of_a_name_is_tried(world, first):
    async def main():
        async with Pair() as pair:
            _, port = split_host_port(pair.other)
            stands_for("service", first, "127.0.0.1")
            pair.one.exchange(1, f"service:{port}", b"question", 5.0)
            assert await pair.heard() == ("answered", 1, b"answer")
            await pair.there.came.get()
            pair.one.send(f"service:{port}", b"to the one that answered")
            assert await pair.there.came.get() == ("datagram", b"to the one that answered")

    world.run(main())


def test_an_address_that_accepts_and_says_nothing_is_passed_over(world):
    async def main():
        async with silent_peer() as address, Pair() as pair:
            await pair.two.close()
            _, port = split_host_port(address)
            await pair.two.open(f"127.0.0.2:{port}")
            stands_for("service", "127.0.0.1", "127.0.0.2")
            pair.one.exchange(1, f"service:{port}", b"question", 5.0)
            assert await pair.heard() == ("answered", 1, b"answer")

    world.run(main())


def test_an_answer_of_no_use_is_told_only_where_there_is_no_better(world):
    async def main():
        async with Pair(answer=b"stranger") as pair:
            _, port = split_host_port(pair.other)
            better = Receiver()
            other = Transport(better, CONFIG, Stats(), Checksummed())
            await other.open(f"127.0.0.2:{port}")
            stands_for("service", "127.0.0.1", "127.0.0.2")
            pair.one.exchange(1, f"service:{port}", b"question", 5.0)
            assert await pair.heard() == ("answered", 1, b"answer")
            await other.close()
            pair.one.exchange(2, f"service:{port}", b"question", 5.0)
            assert await pair.heard() == ("answered", 2, b"stranger")
            await pair.two.close()
            pair.one.exchange(3, f"service:{port}", b"question", 5.0)
            assert await pair.heard() == ("unanswered", 3)

    world.run(main())


@pytest.mark.parametrize("address", ["nowhere.invalid:1", "no address", "host:99999"])
def test_what_cannot_be_looked_up_is_no_answer_and_no_error(world, address):
    async def main():
        async with Pair() as pair:
            pair.one.send(address, b"x")
            pair.one.exchange(1, address, b"question", 20.0)
            assert await asyncio.wait_for(pair.here.came.get(), 30) == ("unanswered", 1)

    world.run(main())


def test_closing_ends_exchanges_and_lookups_that_are_under_way(world):
    async def main():
        async with silent_peer() as address, Pair() as pair:
            for number in range(3):
                pair.one.exchange(number, address, b"question", 30.0)
            pair.one.send("localhost:1", b"x")
            await asyncio.sleep(0.05)
            await pair.one.close()
            assert pair.here.came.empty(), "nobody is told any more"
            pair.one.send(pair.other, b"x")

    world.run(main())


@pytest.mark.parametrize("turns", range(6))
def test_a_connection_that_comes_while_it_closes_is_closed_too(turns, recwarn):
    """asyncio loses a socket that is accepted in the turn before the server is closed (CPython gh-109564)."""

    async def main():
        transport = Transport(Receiver(), CONFIG, Stats(), Checksummed())
        address = await transport.open("127.0.0.1:0")
        with socket.create_connection(split_host_port(address)):
            for _ in range(turns):
                await asyncio.sleep(0)
            await transport.close()

    asyncio.run(main())
    gc.collect()
    assert [warning for warning in recwarn if issubclass(warning.category, ResourceWarning)] == []


def test_a_port_whose_twin_is_taken_is_one_clear_error_and_holds_nothing():
    async def main():
        loop = asyncio.get_running_loop()
        udp, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.77.0.1", 0))
        port = udp.get_extra_info("sockname")[1]
        transport = Transport(Receiver(), CONFIG, Stats(), Checksummed())
        with pytest.raises(AddressInUse, match=f"127.77.0.1:{port}"):
            await transport.open(f"127.77.0.1:{port}")
        udp.close()
        await asyncio.sleep(0)
        assert await transport.open(f"127.77.0.1:{port}") == f"127.77.0.1:{port}"
        await transport.close()

    asyncio.run(main())


def test_a_bind_that_fails_otherwise_keeps_its_own_error(world):
    async def main():
        for port in (0, 7000):
            with pytest.raises(OSError, match=f"cannot bind 192.0.2.1:{port} for the cluster") as raised:
                await Transport(Receiver(), CONFIG, Stats(), Checksummed()).open(f"192.0.2.1:{port}")
            assert raised.value.errno == errno.EADDRNOTAVAIL
            assert not isinstance(raised.value, AddressInUse)

    world.run(main())


def test_a_name_that_is_not_found_is_an_error_of_looking_up():
    import sim

    async def main():
        with pytest.raises(socket.gaierror, match="cannot bind nowhere:7000 for the cluster") as raised:
            await Transport(Receiver(), CONFIG, Stats(), Checksummed()).open("nowhere:7000")
        assert raised.value.errno == socket.EAI_NONAME

    sim.run(main(), seed=1)


def test_it_works_over_ipv6_where_there_is_any():
    async def main():
        stats = Stats()
        one, two = (Transport(Receiver(), CONFIG, stats, Checksummed()) for _ in range(2))
        try:
            await one.open("[::1]:0")
        except OSError:
            pytest.skip("no IPv6 here")
        address = await two.open("[::1]:0")
        one.send(address, b"hello")
        assert await asyncio.wait_for(two._receiver.came.get(), 10) == ("datagram", b"hello")
        await one.close()
        await two.close()

    asyncio.run(main())


def test_hundreds_that_connect_at_one_moment_all_come_in_at_once():
    """A full accept queue drops the first packet of a stream, and TCP sends it again after a second."""
    with sim.Simulation(seed=1) as simulation:
        simulation.network.default_link(latency="1ms")
        seed, others = simulation.add_node("seed"), simulation.add_node("others")

        async def serve():
            transport = Transport(Receiver(), CONFIG, Stats(), Checksummed())
            await transport.open(f"{seed.host.ip}:7946")
            await asyncio.Event().wait()

        async def connect():
            await asyncio.sleep(1)
            streams = await asyncio.gather(*(asyncio.open_connection(seed.host.ip, 7946) for _ in range(250)))
            took = asyncio.get_running_loop().time() - 1
            for _, writer in streams:
                writer.close()
            return took

        seed.start(serve)
        assert simulation.run_until_complete(others.start(connect)) < 0.1
