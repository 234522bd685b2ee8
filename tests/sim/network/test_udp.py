import asyncio
import itertools

import pytest

from sim import Simulation
from sim.network.fate import datagram_loss
from sim.network.link import Link

PORT = 9000


class Inbox(asyncio.DatagramProtocol):
    def __init__(self):
        self.got, self.times, self.errors = [], [], []

    def connection_made(self, transport):
        self.transport = transport
        self.loop = asyncio.get_running_loop()

    def datagram_received(self, data, addr):
        self.got.append(data)
        self.times.append(self.loop.time())

    def error_received(self, exc):
        self.errors.append(exc)


def exchange(count=1, size=8, every=0.001, seed=1, **link):
    """`count` numbered datagrams from a to b; what b got, and the simulation."""
    simulation = Simulation(seed)
    simulation.network.default_link(**{"latency": 0.01, **link})
    a, b = simulation.add_node("a"), simulation.add_node("b")
    inbox = Inbox()

    async def listen():
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: inbox, ("0.0.0.0", PORT))

    async def send():
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Inbox, ("0.0.0.0", 0))
        for i in range(count):
            transport.sendto(i.to_bytes(4, "big").ljust(size, b"."), ("b", PORT))
            await asyncio.sleep(every)
        transport.close()

    b.start(listen)
    a.start(send)
    simulation.run(until=count * every + 5)
    simulation.nodes["b"].kill()
    simulation.close()
    return inbox, simulation


def numbers(inbox):
    return [int.from_bytes(data[:4], "big") for data in inbox.got]


def test_a_datagram_takes_the_latency():
    inbox, _ = exchange()
    assert inbox.times == [0.01]


@pytest.mark.parametrize("loss", [0.1, 0.5])
def test_loss_loses_its_share(loss):
    inbox, simulation = exchange(4000, loss=loss)
    assert len(inbox.got) / 4000 == pytest.approx(1 - loss, abs=0.03)
    dropped = [e for e in simulation.trace.events() if e.name == "dropped"]
    assert len(dropped) == 4000 - len(inbox.got)
    assert {e.fields["reason"] for e in dropped} == {"loss"}


def test_a_datagram_larger_than_the_mtu_is_lost_with_each_of_its_fragments():
    for size, fragments in ((1472, 1), (1473, 2), (14_000, 10)):
        assert datagram_loss(Link(loss=0.05), size) == pytest.approx(1 - 0.95**fragments)
    inbox, _ = exchange(2000, size=14_000, loss=0.05)
    assert len(inbox.got) / 2000 == pytest.approx(0.95**10, abs=0.04)


def test_duplicates_arrive_twice():
    inbox, _ = exchange(2000, duplicate=0.2)
    assert len(inbox.got) == pytest.approx(2400, abs=80)
    assert len(set(numbers(inbox))) == 2000


def test_reordered_datagrams_are_overtaken():
    in_order, _ = exchange(500)
    assert numbers(in_order) == sorted(numbers(in_order))
    shuffled, _ = exchange(500, reorder=0.2)
    assert sum(a > b for a, b in itertools.pairwise(numbers(shuffled))) > 20


def test_a_corrupt_datagram_has_one_bit_flipped():
    inbox, _ = exchange(1000, corrupt=0.3)
    flipped = 0
    for i, data in zip(range(1000), inbox.got, strict=True):
        wrong = int.from_bytes(data, "big") ^ int.from_bytes(i.to_bytes(4, "big").ljust(8, b"."), "big")
        assert wrong.bit_count() <= 1
        flipped += wrong.bit_count()
    assert flipped == pytest.approx(300, abs=50)


def test_bandwidth_spaces_datagrams_and_its_queue_is_finite():
    inbox, simulation = exchange(300, size=1000, every=0, bandwidth="100kB/s", queue="50kB")
    gaps = [b - a for a, b in itertools.pairwise(inbox.times)]
    assert gaps == pytest.approx([0.01] * len(gaps))
    assert len(inbox.got) == pytest.approx(51, abs=1)
    assert {e.fields["reason"] for e in simulation.trace.events() if e.name == "dropped"} == {"queue_full"}


def test_only_a_connected_socket_hears_that_nobody_listens():
    simulation = Simulation(1)
    a = simulation.add_node("a")
    simulation.add_node("b")
    unconnected, connected = Inbox(), Inbox()

    async def main():
        loop = asyncio.get_running_loop()
        one, _ = await loop.create_datagram_endpoint(lambda: unconnected, ("0.0.0.0", 0))
        two, _ = await loop.create_datagram_endpoint(lambda: connected, remote_addr=("b", PORT))
        one.sendto(b"x", ("b", PORT))
        two.sendto(b"x")
        await asyncio.sleep(1)
        one.close()
        two.close()

    simulation.run_until_complete(a.start(main))
    assert unconnected.errors == []
    assert [type(error) for error in connected.errors] == [ConnectionRefusedError]
    simulation.close()


@pytest.mark.parametrize(("there", "back"), [(0.01, 0.01), (0.01, 0.3)])
def test_a_refusal_takes_the_way_back_as_any_packet(there, back):
    """ICMP port unreachable is sent when the datagram arrives, and is delayed by the link from there to here."""
    simulation = Simulation(1)
    simulation.network.default_link(latency=there)
    a = simulation.add_node("a")
    simulation.add_node("b")
    simulation.network.link("b", "a", latency=back, one_way=True)

    async def main():
        loop = asyncio.get_running_loop()
        heard = loop.create_future()
        inbox = Inbox()
        inbox.error_received = lambda error: heard.set_result((type(error), loop.time()))
        transport, _ = await loop.create_datagram_endpoint(lambda: inbox, remote_addr=("b", PORT))
        transport.sendto(b"x")
        error, at = await heard
        assert error is ConnectionRefusedError
        assert at == pytest.approx(there + back)
        transport.close()

    simulation.run_until_complete(a.start(main))
    simulation.close()


def test_a_refusal_whose_way_back_is_cut_is_never_heard():
    simulation = Simulation(1)
    a = simulation.add_node("a")
    simulation.add_node("b")
    simulation.network.partition(["b"], ["a"], one_way=True)
    inbox = Inbox()

    async def main():
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: inbox, remote_addr=("b", PORT))
        transport.sendto(b"x")
        await asyncio.sleep(10)
        transport.close()

    simulation.run_until_complete(a.start(main))
    simulation.close()
    assert inbox.errors == []


@pytest.mark.parametrize("how", ["close", "kill", "crash", "crash and restart", "connect"])
def test_a_datagram_goes_to_who_hears_its_address_when_it_arrives(how):
    """The way to an address is remembered; that of 0 s is heard by the first, that of 1 s is under way meanwhile."""
    simulation = Simulation(1)
    simulation.network.default_link(latency=0.01)
    a, b = simulation.add_node("a"), simulation.add_node("b")
    inboxes = []

    async def listen():
        loop = asyncio.get_running_loop()
        inboxes.append(Inbox())
        first, _ = await loop.create_datagram_endpoint(lambda: inboxes[0], ("0.0.0.0", PORT))
        await asyncio.sleep(1.005 - loop.time())
        if how == "connect":
            first.get_extra_info("socket")._sock.connect(("10.0.0.1", 1))
        elif how == "close":
            first.close()
            await asyncio.sleep(0)
            inboxes.append(Inbox())
            await loop.create_datagram_endpoint(lambda: inboxes[1], ("0.0.0.0", PORT))

    async def listen_again():
        inboxes.append(Inbox())
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: inboxes[-1], ("0.0.0.0", PORT))

    async def send():
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Inbox, ("0.0.0.0", 0))
        for at in (0.0, 0.5, 1.0, 2.0):
            await asyncio.sleep(at - loop.time())
            transport.sendto(b"%d" % (10 * at), ("b", PORT))
        await asyncio.sleep(1)
        transport.close()

    b.start(listen_again if how == "crash and restart" else listen)
    sending = a.start(send)
    simulation.run(until=1.004)
    if how not in {"connect", "close"}:
        getattr(b, how.split()[0])()
    if how == "crash and restart":
        b.restart()
    simulation.run_until_complete(sending)
    by_the_second = [[b"10", b"20"]] if how in {"close", "crash and restart"} else []
    assert [inbox.got for inbox in inboxes] == [[b"0", b"5"], *by_the_second]
    b.kill()
    simulation.close()


def test_a_datagram_that_is_too_long_is_an_error():
    simulation = Simulation(1)
    inbox = Inbox()

    async def main():
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: inbox, ("0.0.0.0", 0))
        transport.sendto(bytes(65_508), ("a", PORT))
        transport.sendto(bytes(65_507), ("a", PORT))
        transport.close()

    simulation.run_until_complete(simulation.add_node("a").start(main))
    assert [error.errno for error in inbox.errors] == [90]
    simulation.close()


def test_what_datagram_received_raises_goes_to_the_exception_handler_and_the_node_goes_on():
    class Fails(Inbox):
        def datagram_received(self, data, addr):
            super().datagram_received(data, addr)
            raise ValueError("mine")

    simulation = Simulation(1)
    inbox, seen = Fails(), []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: seen.append(str(context["exception"])))
        transport, _ = await loop.create_datagram_endpoint(lambda: inbox, ("0.0.0.0", PORT))
        for _ in range(3):
            transport.sendto(b"x", ("a", PORT))
            await asyncio.sleep(1)
        transport.close()

    simulation.run_until_complete(simulation.add_node("a").start(main))
    simulation.close()
    assert len(inbox.got) == 3
    assert seen == ["mine"] * 3


def test_a_received_event_is_caused_by_its_sent_event():
    _, simulation = exchange(3)
    events = {e.line: e for e in simulation.trace.events()}
    received = [e for e in events.values() if e.name == "received"]
    assert [events[e.cause].name for e in received] == ["sent"] * 3
    assert [e.fields["from"] for e in received] == ["a"] * 3


class Named(Inbox):
    """Keeps who sent as well."""

    def datagram_received(self, data, addr):
        self.got.append((data, addr))


def heard_by(bound, to, **options):
    """Who hears one datagram that the first node sends, and from whom. `bound`: what each is bound to, by name."""
    inboxes = {name: Named() for name in bound}

    async def main(name):
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: inboxes[name], (bound[name], PORT), **options)
        await asyncio.sleep(1)
        if name == next(iter(bound)):
            transport.sendto(b"x", (to, PORT))
        await asyncio.sleep(1)
        transport.close()

    with Simulation() as simulation:
        for name in bound:
            simulation.add_node(name).start(main, name)
        simulation.run()
    return {name: [source for _, source in inbox.got] for name, inbox in inboxes.items() if inbox.got}


def test_what_is_sent_to_all_is_heard_by_all_that_are_bound_to_no_address():
    bound = {"a": "0.0.0.0", "b": "0.0.0.0", "c": "10.0.0.3", "d": "::"}
    for to in ("255.255.255.255", "10.255.255.255"):
        heard = heard_by(bound, to, allow_broadcast=True)
        source = ("10.0.0.1", PORT)
        assert heard == {"a": [source], "b": [source], "d": [("::ffff:10.0.0.1", PORT, 0, 0)]}
        assert heard_by(bound, to) == {}


def test_an_ipv6_wildcard_and_ipv4_hear_each_other_over_the_network():
    assert heard_by({"a": "0.0.0.0", "b": "::"}, "10.0.0.2") == {"b": [("::ffff:10.0.0.1", PORT, 0, 0)]}
    assert heard_by({"a": "::", "b": "0.0.0.0"}, "::ffff:10.0.0.2") == {"b": [("10.0.0.1", PORT)]}
