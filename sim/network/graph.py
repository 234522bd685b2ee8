"""The topology: a networkx graph whose nodes are machines, switches or zones and whose edges are links.

Reads edge data and finds routes; knows no packets.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import networkx

from sim.network.link import Link
from sim.network.quantity import QuantityError

__all__ = ["Graph", "checked_graph", "load_graph", "route", "star", "unreachable"]

if TYPE_CHECKING:
    Graph = networkx.Graph[Any]
else:  # generic in its stubs only
    Graph = networkx.Graph

# What networkx readers add to an edge on their own.
_IGNORED = frozenset({"id", "weight", "key"})


def load_graph(path: str) -> Graph:
    """A GraphML file → a graph. Raises OSError, ValueError."""
    return checked_graph(networkx.read_graphml(path))


def checked_graph(graph: Graph) -> Graph:
    """The graph itself, once every edge's data has been understood. Raises QuantityError naming the edge."""
    if graph.number_of_nodes() == 0:
        raise ValueError("the graph has no nodes")
    for a, b, data in graph.edges(data=True):
        try:
            edge_link(data, Link())
        except QuantityError as error:
            raise QuantityError(f"edge {a} – {b}: {error}") from None
    return graph


def star(names: Iterable[str]) -> Graph:
    """All machines on one switch. Frozen, as it only shows what is there."""
    graph: Graph = networkx.Graph()
    graph.add_edges_from(("switch", name) for name in names)
    networkx.freeze(graph)
    return graph


def unreachable(graph: Graph, names: Sequence[str]) -> str | None:
    """The first of the names that cannot be reached from the first one."""
    reached = networkx.node_connected_component(graph, names[0])
    return next((name for name in names if name not in reached), None)


def route(graph: Graph, source: str, target: str, default: Link) -> tuple[list[Link], list[tuple[str, str]]] | None:
    """The shortest path by mean latency: its links and between whom they lie; None = there is no way.

    Edges without data are `default`.
    """

    def weight(_: Any, __: Any, data: Mapping[str, Any]) -> float:
        return edge_link(data, default).delay.mean

    try:
        nodes = networkx.dijkstra_path(graph, source, target, weight)
    except networkx.NetworkXNoPath:
        return None
    hops = list(pairwise(nodes))
    return [edge_link(graph.edges[hop], default) for hop in hops], hops


def edge_link(data: Mapping[str, Any], default: Link) -> Link:
    """An edge's data as a link."""
    settings = {key: value for key, value in data.items() if key not in _IGNORED}
    return Link.of(settings, default) if settings else default
