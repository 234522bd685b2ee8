import asyncio
import copy
import gc
import pickle
import weakref

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


def triangle(kind=networkx.Graph):
    """a – b directly, or by c, which takes longer."""
    graph = kind()
    both = ("ab", "ac", "cb") if kind is networkx.Graph else ("ab", "ba", "ac", "ca", "cb", "bc")
    for a, b in both:
        graph.add_edge(a, b, latency="5ms" if {a, b} == {"a", "b"} else "10ms")
    return graph


DIRECT, ROUND, BACK = pytest.approx(0.01), pytest.approx(0.04), pytest.approx(0.025)
"""Round trips: there and back on the direct link, both by c, and there by c only."""


@pytest.mark.parametrize("kind", [networkx.Graph, networkx.DiGraph])
@pytest.mark.parametrize(
    "edit",
    [
        lambda graph: graph.remove_edge("a", "b"),
        lambda graph: graph["a"]["b"].update(latency="1s"),
        lambda graph: graph.edges["a", "b"].__setitem__("latency", "1s"),
        lambda graph: graph.add_edge("a", "b", latency=1.0),
        lambda graph: graph["a"]["b"].__setitem__("loss", "100%"),
        lambda graph: networkx.set_edge_attributes(graph, {("a", "b"): {"latency": "1s"}}),
    ],
)
def test_routes_follow_a_graph_that_is_changed_in_place(mesh, kind, edit):
    graph = triangle(kind)
    net = mesh("a", "b", "c", graph=graph)
    assert net.ping("a", "b") == DIRECT
    edit(graph)
    assert net.ping("a", "b") == (BACK if graph.is_directed() else ROUND)
    graph.add_edge("a", "b", latency="5ms", loss=0)
    graph.add_edge("b", "a", latency="5ms", loss=0)
    assert net.ping("a", "b") == DIRECT
    # What was added is as good as what was there.
    graph["a"]["b"]["latency"] = "500ms"
    assert net.ping("a", "b") == (BACK if graph.is_directed() else ROUND)


def test_a_change_of_the_graph_that_makes_no_sense_is_refused_where_it_is_made(mesh):
    graph = triangle()
    net = mesh("a", "b", "c", graph=graph)
    with pytest.raises(QuantityError, match=r"edge a – b: latency: .*write it like"):
        graph["a"]["b"]["latency"] = "10"
    with pytest.raises(QuantityError, match=r"unknown link setting 'latncy'"):
        graph.add_edge("a", "d", latncy="1ms")
    assert net.ping("a", "b") == DIRECT


@pytest.mark.parametrize("kind", [networkx.Graph, networkx.DiGraph])
def test_a_refused_edge_to_a_new_node_leaves_nothing_of_it_in_the_graph(mesh, kind):
    graph = triangle(kind)
    net = mesh("a", "b", "c", graph=graph)
    net.ping("a", "b")
    edges = list(graph.edges)
    with pytest.raises(QuantityError, match="edge x – a"):
        graph.add_edge("x", "a", latency="nonsense")
    assert (graph.has_edge("x", "a"), graph.has_edge("a", "x"), list(graph.edges)) == (False, False, edges)
    graph.add_edge("x", "a", latency="1ms")
    net.ping("a", "b")
    graph["x"]["a"]["latency"] = "2ms"
    assert graph.edges["x", "a"] == {"latency": "2ms"}


@pytest.mark.parametrize("kind", [networkx.Graph, networkx.DiGraph])
def test_views_that_are_held_show_the_graph_as_it_is(mesh, kind):
    graph = triangle(kind)
    net = mesh("a", "b", "c", graph=graph)
    net.ping("a", "b")
    neighbours, edges, part = graph["a"], graph.edges, graph.subgraph(["a", "b"])
    graph.remove_edge("a", "b")
    net.ping("a", "b")
    graph.add_edge("a", "d", latency="1ms")
    net.ping("a", "b")
    graph.add_edge("a", "b", latency="5ms")
    assert list(neighbours) == list(graph["a"]) and {"b", "d"} < set(neighbours)
    assert list(edges) == list(graph.edges)
    assert part.has_edge("a", "b")


def test_a_machine_that_is_taken_out_of_the_graph_is_silent(mesh):
    graph = triangle()
    net = mesh("a", "b", "c", graph=graph)
    graph.remove_node("b")
    assert net.ping("a", "b") is None
    assert net.ping("a", "c") == pytest.approx(0.02)


def test_a_graph_stays_the_user_s_own(mesh):
    graph = triangle()
    net = mesh("a", "b", "c", graph=graph)
    network = weakref.ref(net.network)
    for twin in (copy.deepcopy(graph), pickle.loads(pickle.dumps(graph)), graph.copy()):
        assert networkx.utils.graphs_equal(graph, twin)
        twin["a"]["b"]["latency"] = "anything"  # it is no topology
    another = mesh("a", "b", "c", graph=graph)
    graph.remove_edge("a", "b")
    assert net.ping("a", "b") == ROUND
    assert another.ping("a", "b") == ROUND
    with Simulation(1) as simulation:
        simulation.network.graph = graph
        network = weakref.ref(simulation.network)
    del simulation
    gc.collect()
    assert network() is None


def test_a_link_of_the_graph_that_loses_everything_is_gone_round(mesh):
    net = mesh("a", "b", "c", graph=triangle())
    net.network.link("a", "b", loss="100%", name="one")
    assert net.ping("a", "b") == ROUND
    net.network.link("c", "b", loss="100%", name="other")
    assert net.ping("a", "b") is None
    assert net.network.apart([]) == {("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")}
    net.network.heal("one")
    assert net.ping("a", "b") == DIRECT
    assert net.ping("c", "b") == pytest.approx(0.03)
    net.network.heal("other")
    net.network.link("a", "b", loss="100%", one_way=True)
    assert net.ping("a", "b") == BACK


def test_a_changed_link_of_the_graph_is_met_by_whoever_s_way_leads_over_it(mesh):
    graph = networkx.path_graph(["a", "x", "b", "c"])
    networkx.set_edge_attributes(graph, "1ms", "latency")
    net = mesh("a", "b", "c", graph=graph)
    net.network.link("b", "c", latency="101ms", name="slow")
    assert net.ping("a", "c") == pytest.approx(0.206)
    net.network.link("a", "x", latency="51ms", one_way=True)
    assert net.ping("a", "b") == pytest.approx(0.054)
    # Of two that are no neighbours all that lies between them.
    net.network.link("a", "c", latency="1s", one_way=True)
    assert net.ping("a", "c") == pytest.approx(1.103)
    assert net.ping("a", "b") == pytest.approx(0.054)


def test_the_directions_of_a_directed_graph_differ(mesh):
    graph = networkx.DiGraph()
    graph.add_edge("a", "b", latency="10ms")
    graph.add_edge("b", "a", latency="70ms")
    net = mesh("a", "b", graph=graph)
    assert net.ping("a", "b") == pytest.approx(0.08)
    graph["a"]["b"]["latency"] = "30ms"
    assert net.ping("a", "b") == pytest.approx(0.1)


def test_a_directed_graph_in_which_one_cannot_answer_is_not_connected(mesh):
    with pytest.raises(ValueError, match="not connected: there is no way from 'b' to 'a'"):
        mesh("a", "b", graph=networkx.DiGraph([("a", "b")]))


def test_a_graph_with_parallel_edges_is_refused(mesh):
    with pytest.raises(ValueError, match=r"parallel edges .* give networkx\.Graph"):
        mesh("a", "b", graph=networkx.MultiGraph([("a", "b"), ("a", "b")]))


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
        ({"latncy": "1ms"}, "unknown link setting 'latncy'; did you mean \"latency\""),
        ({"loss": 1.5}, "loss: a probability is between 0 and 1"),
        ({"preset": "lann"}, r"""unknown preset 'lann'; did you mean "lan"\? allowed: loopback, lan"""),
        ({"latency": "unifrm(1ms, 2ms)"}, r'did you mean "uniform"\? allowed: a duration'),
        ({"presets": "lan"}, r"""unknown link setting 'presets'; did you mean "preset"\?"""),
        ({"colour": "red"}, "unknown link setting 'colour'; allowed: preset, latency"),
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


def test_a_wire_forgets_what_has_passed():
    """Behind the first of a way every packet is a span of its own."""
    graph = networkx.path_graph(["a", "s", "b"])
    networkx.set_edge_attributes(graph, "1MB/s", "bandwidth")
    networkx.set_edge_attributes(graph, "20ms", "latency")
    with Simulation(1) as simulation:
        a, _ = simulation.add_node("a"), simulation.add_node("b")
        simulation.network.graph = graph

        async def send():
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                asyncio.DatagramProtocol, ("0.0.0.0", 0)
            )
            for _ in range(2000):
                transport.sendto(b"x", ("b", 9))
                await asyncio.sleep(0.001)
            transport.close()

        simulation.run_until_complete(a.start(send))
        assert max(len(wire._taken) for wire in simulation.network._wires.values()) < 100
