"""The topology: a networkx graph whose nodes are machines, switches or zones and whose edges are links.

Reads edge data, finds routes, and notices when a graph is changed; knows no packets. The edges of a directed graph are
one way each. Tests: tests/sim/network/test_network.py.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

import networkx

from sim.network.link import Link
from sim.network.quantity import QuantityError

__all__ = [
    "Graph",
    "apart",
    "checked_graph",
    "edge_link",
    "load_graph",
    "route",
    "star",
    "tree",
    "unreachable",
    "watch",
]

if TYPE_CHECKING:
    Graph = networkx.Graph[Any]
else:  # generic in its stubs only
    Graph = networkx.Graph

LinkOf = Callable[[Any, Any, Mapping[str, Any]], Link]
"""From where, to where, the edge's data → the link in that direction."""

# What networkx readers add to an edge on their own.
_IGNORED = frozenset({"id", "weight", "key"})


def load_graph(path: str) -> Graph:
    """A GraphML file → a graph. Raises OSError, ValueError."""
    return checked_graph(networkx.read_graphml(path))


def checked_graph(graph: Graph) -> Graph:
    """The graph itself, once every edge's data has been understood. Raises ValueError; QuantityError names the edge."""
    if not isinstance(graph, networkx.Graph):
        raise TypeError(f"a topology is a networkx.Graph, not {graph!r:.80}")
    if graph.is_multigraph():
        raise ValueError(
            "the graph has parallel edges (a MultiGraph), of which none would be the link; give networkx.Graph(graph), "
            "or a DiGraph where the two directions differ"
        )
    if graph.number_of_nodes() == 0:
        raise ValueError("the graph has no nodes")
    for a, b, data in graph.edges(data=True):
        _check_edge(a, b, data)
    return graph


def _check_edge(a: Any, b: Any, data: Mapping[str, Any]) -> None:
    try:
        edge_link(data, Link())
    except QuantityError as error:
        raise QuantityError(f"edge {a} – {b}: {error}") from None


def star(names: Iterable[str]) -> Graph:
    """All machines on one switch. Frozen, as it only shows what is there."""
    graph: Graph = networkx.Graph()
    graph.add_edges_from(("switch", name) for name in names)
    networkx.freeze(graph)
    return graph


def unreachable(graph: Graph, names: Sequence[str]) -> tuple[str, str] | None:
    """Two of the names, from the first of which there is no way to the second."""
    first = names[0]
    after, before = networkx.descendants(graph, first), networkx.ancestors(graph, first)
    for name in names[1:]:
        if name not in after:
            return first, name
        if name not in before:
            return name, first
    return None


def tree(graph: Graph, source: str, link_of: LinkOf) -> dict[Any, Any]:
    """The shortest paths by mean latency from there to all others, each as the node before; what loses all is no way.

    As a machine talks to many, they are found together. Of equal ways it is the one that dijkstra_path gives.
    """

    def weight(a: Any, b: Any, data: Mapping[str, Any]) -> float | None:
        link = link_of(a, b, data)
        return None if link.loss >= 1 else link.delay.mean

    if source not in graph:
        return {}
    before, _ = networkx.dijkstra_predecessor_and_distance(graph, source, weight=weight)
    return {node: those[0] for node, those in before.items() if those}


def route(
    graph: Graph, before: Mapping[Any, Any], source: str, target: str, link_of: LinkOf
) -> tuple[list[Link], list[tuple[str, str]]] | None:
    """The way from there to the target, by its tree: its links and between whom they lie; None = there is none."""
    nodes = [target]
    while nodes[-1] != source:
        if nodes[-1] not in before:
            return None
        nodes.append(before[nodes[-1]])
    hops = list(pairwise(reversed(nodes)))
    return [link_of(*hop, graph.edges[hop]) for hop in hops], hops


def apart(graph: Graph, names: Sequence[str], link_of: LinkOf) -> set[tuple[str, str]]:
    """Of which of them there is no way to which other."""
    open_: Any = networkx.DiGraph()
    open_.add_nodes_from(names)
    for a, b, data in graph.edges(data=True):
        for one, other in ((a, b),) if graph.is_directed() else ((a, b), (b, a)):
            if link_of(one, other, data).loss < 1:
                open_.add_edge(one, other)
    reached = {name: networkx.descendants(open_, name) for name in names}
    return {(a, b) for a in names for b in names if a != b and b not in reached[a]}


def edge_link(data: Mapping[str, Any], default: Link) -> Link:
    """An edge's data as a link."""
    settings = {key: value for key, value in data.items() if key not in _IGNORED}
    return Link.of(settings, default) if settings else default


# --- changes ----------------------------------------------------------------------------------------------------------


def watch(graph: Graph, changed: Callable[[], object]) -> None:
    """Have `changed`, a bound method, called whenever edges of the graph or their data change, as long as it is there.

    networkx tells nobody of that, so the dicts that a graph consists of become ones that do, and stay the same ones, as
    views of the graph hold them. Edges that are added later have ordinary dicts again: call it anew after a change. A
    view of another graph has no dicts of its own, and is not watched.
    """
    inside: Any = graph
    adjacency = inside._adj
    if not isinstance(adjacency, dict):
        return
    if not isinstance(adjacency, _Adjacency):
        adjacency = _Adjacency(adjacency, _Bell(), None)
    bell = adjacency.bell
    bell.add(changed)
    # Both directions of an undirected edge share their data.
    known: dict[int, _EdgeData] = {}

    def watched(a: Any, b: Any, data: Any) -> Any:
        if isinstance(data, _EdgeData) and data.bell is bell:
            return data
        return known.setdefault(id(data), _EdgeData(data, bell, (a, b)))

    for a, neighbours in list(adjacency.items()):
        dict.update(neighbours, {b: watched(a, b, data) for b, data in neighbours.items()})
    if graph.is_directed():
        for b, before in inside._pred.items():
            before.update((a, watched(a, b, data)) for a, data in list(before.items()))
    if inside._adj is not adjacency:
        inside._adj = adjacency


class _Bell:
    """Whom to tell of a change."""

    def __init__(self) -> None:
        self._heard_by: list[WeakMethod[Callable[[], object]]] = []

    def add(self, changed: Callable[[], object]) -> None:
        self._heard_by = [each for each in self._heard_by if each() not in (None, changed)]
        self._heard_by.append(WeakMethod(changed))

    def ring(self) -> None:
        for each in self._heard_by:
            if (changed := each()) is not None:
                changed()


class _Watched(dict[Any, Any]):
    """A dict of a graph that tells of its changes. Its copies are ordinary dicts."""

    def __init__(self, content: Mapping[Any, Any], bell: _Bell, place: Any) -> None:
        super().__init__(content)
        self.bell, self.place = bell, place

    def _check(self, news: Mapping[Any, Any]) -> None:
        """Raise QuantityError for what makes no sense there."""

    def __setitem__(self, key: Any, value: Any) -> None:
        self.update({key: value})

    def update(self, *content: Any, **more: Any) -> None:
        news = dict(*content, **more)
        self._check(news)
        super().update(news)
        self.bell.ring()

    def __ior__(self, other: Any) -> Any:  # type: ignore[misc]
        self.update(other)
        return self

    def setdefault(self, key: Any, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def __delitem__(self, key: Any) -> None:
        super().__delitem__(key)
        self.bell.ring()

    def pop(self, *arguments: Any) -> Any:
        value = super().pop(*arguments)
        self.bell.ring()
        return value

    def popitem(self) -> tuple[Any, Any]:
        item = super().popitem()
        self.bell.ring()
        return item

    def clear(self) -> None:
        super().clear()
        self.bell.ring()

    def __reduce_ex__(self, _: Any) -> Any:
        return dict, (dict(self),)


class _Adjacency(_Watched):
    """Node → its neighbours, which are watched as well."""

    def __init__(self, content: Mapping[Any, Any], bell: _Bell, place: Any) -> None:
        super().__init__({a: self._watched(a, neighbours, bell) for a, neighbours in content.items()}, bell, place)

    def update(self, *content: Any, **more: Any) -> None:
        news = dict(*content, **more)
        super().update({a: self._watched(a, neighbours, self.bell) for a, neighbours in news.items()})

    @staticmethod
    def _watched(a: Any, neighbours: Mapping[Any, Any], bell: _Bell) -> "_Neighbours":
        if isinstance(neighbours, _Neighbours) and neighbours.bell is bell:
            return neighbours
        return _Neighbours(neighbours, bell, a)


class _Neighbours(_Watched):
    """Neighbour → the edge's data, of one node."""

    def _check(self, news: Mapping[Any, Any]) -> None:
        for neighbour, data in news.items():
            _check_edge(self.place, neighbour, data)


class _EdgeData(_Watched):
    """The data of one edge."""

    def _check(self, news: Mapping[Any, Any]) -> None:
        a, b = self.place
        _check_edge(a, b, news)
