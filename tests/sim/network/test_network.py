import asyncio

import networkx
import pytest

from sim import Simulation
from sim.network import QuantityError, UnknownNode
from sim.network.presets import PRESETS

PORT = 9000


class Echo(asyncio.DatagramProtocol):
    def __init__(self):
        self.waiting = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        if data == b"ping":
            self.transport.sendto(b"pong", addr)
        elif self.waiting and not self.waiting.done():
            self.waiting.set_result(asyncio.get_running_loop().time())


class Mesh:
    """Nodes that can be asked how long a ping from one to another takes."""

    def __init__(self, simulation, *names, graph=None, **link):
        self.simulation = simulation
        if graph is not None:
            self.simulation.network.graph = graph
        else:
            self.simulation.network.default_link(**{"latency": 0.01, **link})
        self.network = self.simulation.network
        self.protocols = {}
        for name in names:
            self.protocols[name] = Echo()
            self.simulation.add_node(name).start(self.listen, name)
        self.simulation.run(until=0.1)

    async def listen(self, name):
        await asyncio.get_running_loop().create_datagram_endpoint(lambda: self.protocols[name], ("0.0.0.0", PORT))

    def ping(self, a, b):
        """Seconds there and back; None = no answer within 5 s."""

        async def main():
            loop = asyncio.get_running_loop()
            protocol, start = self.protocols[a], loop.time()
            protocol.waiting = loop.create_future()
            protocol.transport.sendto(b"ping", (b, PORT))
            done, _ = await asyncio.wait([protocol.waiting], timeout=5)
            return protocol.waiting.result() - start if done else None

        return self.simulation.run_until_complete(self.simulation.nodes[a].start(main))

    def one_way(self, a, b):
        """Whether something from a reaches b."""
        before = len([e for e in self.simulation.trace.events() if e.name == "received" and e.node == b])
        self.ping(a, b)
        return len([e for e in self.simulation.trace.events() if e.name == "received" and e.node == b]) > before


@pytest.fixture
def mesh():
    """Makes meshes, and closes them."""
    made = []

    def make(*names, **options):
        simulation = Simulation(1)
        made.append(simulation)
        return Mesh(simulation, *names, **options)

    yield make
    for simulation in made:
        simulation.close()


def test_a_partition_cuts_its_groups_and_nobody_else(mesh):
    net = mesh("a", "b", "c")
    net.network.partition(["a"], ["b"], name="split")
    assert net.ping("a", "b") is None
    assert net.ping("b", "a") is None
    assert net.ping("a", "c") == pytest.approx(0.02)
    assert net.ping("c", "b") == pytest.approx(0.02)
    assert net.network.heal("split")
    assert net.ping("a", "b") == pytest.approx(0.02)
    assert not net.network.heal("split")


def test_a_one_way_cut_is_one_way(mesh):
    net = mesh("a", "b")
    net.network.partition(["a"], ["b"], one_way=True)
    assert not net.one_way("a", "b")
    assert net.one_way("b", "a")


def test_isolate_cuts_one_from_all(mesh):
    net = mesh("a", "b", "c")
    net.network.isolate("a")
    assert net.ping("a", "b") is None
    assert net.ping("c", "a") is None
    assert net.ping("b", "c") is not None
    net.network.heal()
    assert net.ping("a", "b") is not None


def test_overlapping_cuts_heal_one_by_one(mesh):
    net = mesh("a", "b")
    net.network.partition(["a"], ["b"], name="one")
    net.network.isolate("b", name="two")
    net.network.heal("one")
    assert net.ping("a", "b") is None
    net.network.heal("two")
    assert net.ping("a", "b") is not None


def test_a_link_can_be_changed_both_ways_or_one_way(mesh):
    net = mesh("a", "b", "c")
    net.network.link("a", "b", latency="200ms", name="slow")
    assert net.ping("a", "b") == pytest.approx(0.4)
    assert net.ping("a", "c") == pytest.approx(0.02)
    net.network.heal("slow")
    net.network.link("a", "b", latency="200ms", one_way=True)
    assert net.ping("a", "b") == pytest.approx(0.21)


def test_a_link_that_loses_everything_is_cut(mesh):
    net = mesh("a", "b")
    net.network.link("a", "b", loss="100%")
    assert net.ping("a", "b") is None


def test_latencies_of_a_route_add_up_and_routes_take_the_shortest_way(mesh):
    graph = networkx.Graph()
    graph.add_edge("a", "switch", latency="10ms")
    graph.add_edge("switch", "b", latency="20ms")
    graph.add_edge("a", "b", latency="100ms")
    net = mesh("a", "b", graph=graph)
    assert net.ping("a", "b") == pytest.approx(0.06)


def test_any_networkx_generator_is_a_topology(mesh):
    graph = networkx.relabel_nodes(networkx.cycle_graph(4), dict(enumerate("abcd")))
    networkx.set_edge_attributes(graph, "5ms", "latency")
    net = mesh("a", "b", "c", graph=graph)
    assert net.ping("a", "b") == pytest.approx(0.01)
    assert net.ping("a", "c") == pytest.approx(0.02)


def test_a_graph_that_is_not_connected_is_refused_at_the_start(mesh):
    graph = networkx.Graph()
    graph.add_nodes_from("ab")
    with pytest.raises(ValueError, match="not connected: there is no way from 'a' to 'b'"):
        mesh("a", "b", graph=graph)


def test_a_graph_without_one_of_the_nodes_is_refused(mesh):
    graph = networkx.Graph([("a", "x")])
    with pytest.raises(ValueError, match="no node 'b'"):
        mesh("a", "b", graph=graph)


def test_edge_data_that_makes_no_sense_names_the_edge(mesh):
    graph = networkx.Graph()
    graph.add_edge("a", "b", latency="10")
    with pytest.raises(QuantityError, match=r"edge a – b: latency: .*write it like"):
        mesh("a", "b", graph=graph)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"latncy": "1ms"}, "unknown link setting 'latncy'; did you mean 'latency'"),
        ({"loss": 1.5}, "loss: a probability is between 0 and 1"),
        ({"preset": "lann"}, "unknown preset 'lann'; allowed: loopback, lan"),
        ({"latency": -1.0}, "latency: .*at least 0"),
    ],
)
def test_link_settings_that_make_no_sense_are_refused(mesh, settings, words):
    net = mesh("a", "b")
    with pytest.raises(QuantityError, match=words):
        net.network.default_link(**settings)


def test_unknown_nodes_are_named(mesh):
    net = mesh("a", "b")
    with pytest.raises(UnknownNode, match="there is no node 'z'; there are: a, b"):
        net.network.partition(["a"], ["z"])
    with pytest.raises(ValueError, match="'a' is in two groups"):
        net.network.partition(["a"], ["a", "b"])


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_works_and_names_its_source(mesh, preset):
    assert len(PRESETS[preset].source) > 20
    net = mesh("a", "b", preset=preset, latency=PRESETS[preset].settings["latency"])
    assert net.ping("a", "b") is None or net.ping("a", "b") > 0
