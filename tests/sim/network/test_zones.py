"""Zones are a graph: the default link within, links between their switches, which all share and one cut parts."""

from itertools import pairwise

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import Simulation
from sim.network import QuantityError, UnknownNode
from sim.network.graph import route, tree
from sim.network.link import Link
from sim.network.zones import zoned

ZONES = {"eu": ["a", "b"], "us": ["c", "d"], "ap": ["e"]}
LINKS = [("eu", "us", 0.04), ("us", "ap", 0.075), ("eu", "ap", 0.09)]


def both(*links, **more):
    found = [(a, b, {"latency": latency, **more}) for a, b, latency in links]
    return [*found, *((b, a, data) for a, b, data in found)]


@pytest.fixture
def network():
    with Simulation(1) as simulation:
        for name in "abcde":
            simulation.add_node(name)
        simulation.network.default_link(latency=0.001)
        simulation.network.graph = zoned(ZONES, both(*LINKS))
        yield simulation.network


def seconds(network, a, b):
    link = network.between(a, b)
    return None if link is None else round(link.delay.mean, 6)


def test_the_default_link_lies_once_within_a_zone_and_before_links_between_zones(network):
    assert seconds(network, "a", "b") == 0.001
    assert (seconds(network, "a", "c"), seconds(network, "c", "a")) == (0.041, 0.041)
    assert seconds(network, "eu", "us") == 0.04
    network.default_link(latency=0.001, loss=0.1)
    assert network.between("a", "b").loss == pytest.approx(0.1)
    assert network.between("a", "c").loss == pytest.approx(0.1)


def test_one_cut_link_is_gone_round_by_all_of_its_zones(network):
    network.link("eu", "us", name="cable", loss=1)
    assert network.between("eu", "us") is None
    assert [seconds(network, *pair) for pair in ("ac", "bd", "ca")] == [0.166] * 3
    assert network.apart([("eu", "us")]) == set()
    network.link("eu", "ap", name="other", loss=1)
    assert network.apart([]) == {pair for a in "ab" for b in "cde" for pair in ((a, b), (b, a))}
    assert seconds(network, "a", "b") == 0.001
    assert network.heal("cable") and network.heal("other")
    assert seconds(network, "a", "c") == 0.041


def test_a_zone_s_traffic_shares_the_bandwidth_of_a_link(network):
    network.graph = zoned(ZONES, both(*LINKS, bandwidth="1MB/s"))
    hosts = network.hosts
    arrivals = [network.path(hosts[a], hosts[b]).travel(0.0, 10_000) for a, b in ("ac", "bd", "ae")]
    assert arrivals == pytest.approx([0.051, 0.061, 0.101])
    assert network.path(hosts["c"], hosts["a"]).travel(0.0, 10_000) == pytest.approx(0.051)


def test_a_link_without_sense_is_refused_and_named():
    with pytest.raises(QuantityError, match="edge eu – us: latency: "):
        zoned(ZONES, [("eu", "us", {"latency": "fast"})])
    with pytest.raises(QuantityError, match="unknown preset 'wam'; did you mean \"wan\""):
        zoned(ZONES, [("eu", "us", {"preset": "wam"})])


def test_a_preset_of_a_link_yields_to_its_own_keys():
    data = zoned(ZONES, [("eu", "us", {"preset": "cross-region", "loss": "5%"})]).edges["eu", "us"]
    assert (data["latency"], data["loss"], data["bandwidth"]) == ("normal(75ms, 5ms)", "5%", None)


def test_a_pair_link_differs_for_good_in_what_it_says(network):
    network.pair_link("a", "b", latency=0.2, loss=0.5)
    network.pair_link("a", "b", loss=0.25)
    assert seconds(network, "a", "b") == 0.2 and network.between("a", "b").loss == 0.25
    assert seconds(network, "b", "a") == 0.001
    network.link("a", "b", latency=0.3, name="x", one_way=True)
    assert seconds(network, "a", "b") == 0.3
    network.heal()
    assert seconds(network, "a", "b") == 0.2


def test_a_pair_link_needs_two_machines_and_sense(network):
    with pytest.raises(UnknownNode, match="no node 'x'"):
        network.pair_link("a", "x", loss=0.5)
    with pytest.raises(ValueError, match="nothing lies between 'a' and itself"):
        network.pair_link("a", "a", loss=0.5)
    with pytest.raises(QuantityError, match="loss"):
        network.pair_link("a", "b", loss=2)


def test_a_pair_link_without_a_graph_is_laid_on_the_default_link():
    with Simulation(1) as simulation:
        for name in "abc":
            simulation.add_node(name)
        network = simulation.network
        network.default_link(latency=0.001, loss=0.1)
        network.pair_link("a", "b", latency=0.05)
        assert (seconds(network, "a", "b"), network.between("a", "b").loss) == (0.05, 0.1)
        assert (seconds(network, "b", "a"), seconds(network, "a", "c")) == (0.001, 0.001)


@given(st.integers(2, 12), st.integers(0, 2**16), st.lists(st.integers(0, 3), min_size=1))
def test_a_tree_gives_the_ways_that_dijkstra_gives(size, seed, delays):
    graph = networkx.gnp_random_graph(size, 0.4, seed=seed)
    graph = networkx.relabel_nodes(graph, str)
    for number, (a, b) in enumerate(graph.edges):
        graph.edges[a, b]["latency"] = float(delays[number % len(delays)])  # many are equal

    def link_of(a, b, data):
        return Link.of({"latency": data["latency"]})

    for source in graph:
        before = tree(graph, source, link_of)
        for target in set(graph) - {source}:
            found = route(graph, before, source, target, link_of)
            try:
                nodes = networkx.dijkstra_path(graph, source, target, lambda a, b, data: data["latency"])
            except networkx.NetworkXNoPath:
                assert found is None
            else:
                assert found is not None and found[1] == list(pairwise(nodes))
