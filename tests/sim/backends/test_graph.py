"""Nodes of a GraphML file are matched as the scenario says; where they do not match, both sides are told."""

import networkx
import pytest

from sim.backends.graph import MatchError, graph_of
from sim.backends.program import LinkProgram, NodeProgram, Program


@pytest.fixture
def file(tmp_path):
    graph = networkx.path_graph(["n0", "n1", "n2", "n3"])
    labels = {"n0": "Frankfurt", "n1": "core", "n2": "worker-1", "n3": "worker-2"}
    networkx.set_node_attributes(graph, {key: {"label": value} for key, value in labels.items()})
    networkx.write_graphml(graph, path := tmp_path / "net.graphml")
    return str(path)


def graph(file, names, machines="id", links=()):
    nodes = tuple(NodeProgram(name=name, app="") for name in names)
    program = Program(
        scenario="",
        seed=1,
        duration=1,
        nodes=nodes,
        scripts=lambda world: [],
        graph=file,
        machines=machines,
        links=links,
    )
    return graph_of(program)


def test_nodes_are_matched_by_id_unless_something_else_is_said(file):
    assert list(graph(file, ["n1", "n3"])) == ["n0", "n1", "n2", "n3"]


def test_nodes_are_matched_by_an_attribute(file):
    assert list(graph(file, ["worker-1", "worker-2"], "label")) == ["Frankfurt", "core", "worker-1", "worker-2"]


def test_nodes_are_matched_in_order(file):
    assert list(graph(file, ["x", "y"], "order")) == ["x", "y", "n2", "n3"]


def test_nodes_are_matched_by_a_table(file):
    found = graph(file, ["x", "n0"], {"n3": "x"})
    assert list(found) == ["n0", "n1", "n2", "x"]
    assert found.has_edge("n2", "x")


def test_two_may_be_exchanged_by_a_table(file):
    found = graph(file, ["n0", "n3"], {"n3": "n0", "n0": "n3"})
    assert list(found.neighbors("n0")) == ["n2"] and list(found.neighbors("n3")) == ["n1"]


@pytest.mark.parametrize(
    ("names", "machines", "says"),
    [
        (
            ["worker-1", "n1"],
            "id",
            "no node of the graph is called worker-1; by id the graph has n0, n1, n2, n3, the scenario worker-1, n1; "
            'map them, like [network.machines] n3 = "worker-1", or take them in order, machines = "order"',
        ),
        (["worker-1", "worker-2"], "id", 'write machines = "label"'),
        (["worker-1", "x"], "label", 'by "label" the graph has Frankfurt, core, worker-1, worker-2, the scenario'),
        (["worker-1"], "labl", 'no node of the graph has an attribute "labl"; did you mean "label"? there are: label'),
        (["x"], {"n4": "x"}, 'the graph has no node "n4"; there are: n0, n1, n2, n3'),
        (["worker-1"], {"n3": "worker-2"}, 'unknown node "worker-2"; did you mean "worker-1"? there are: worker-1'),
        (["x"], {"n3": "x", "n2": "x"}, 'would all be called "x": n2, n3'),
        (["n0", "n1"], {"n3": "n0"}, 'would all be called "n0": n0, n3'),
        (["a", "b", "c", "d", "e"], "order", "the graph has 4 nodes, the scenario 5"),
    ],
)
def test_nodes_that_do_not_match_are_told_with_both_sides(file, names, machines, says):
    with pytest.raises(MatchError) as caught:
        graph(file, names, machines)
    assert says in str(caught.value)


def test_a_wrong_row_of_a_table_is_named(file):
    for machines, key in ({"n4": "x"}, "n4"), ({"n3": "x", "n2": "y"}, "n2"), ({"n3": "x", "n2": "x"}, None):
        with pytest.raises(MatchError) as caught:
            graph(file, ["x"], machines)
        assert caught.value.key == key


def test_routers_of_one_name_keep_their_ids(tmp_path):
    graph_ = networkx.path_graph(["n0", "n1", "n2"])
    networkx.set_node_attributes(graph_, {"n0": "router", "n1": "router", "n2": "a"}, "name")
    networkx.write_graphml(graph_, path := tmp_path / "net.graphml")
    assert list(graph(str(path), ["a"], "name")) == ["n0", "n1", "a"]


def test_a_generator_takes_no_machines():
    with pytest.raises(MatchError, match="become the scenario's in order"):
        graph("path_graph(3)", ["a"], "label")


def test_what_is_said_of_a_link_comes_on_top_of_the_edge(file):
    link = LinkProgram(ways=(("n1", "n2"),), settings={"preset": "wan", "loss": 0.5}, of_edges=True)
    found = graph(file, ["n0", "n3"], links=(link,))
    assert (found.edges["n1", "n2"]["loss"], found.edges["n1", "n2"]["latency"]) == (0.5, "normal(20ms, 3ms)")
    assert found.edges["n2", "n1"] == {}
