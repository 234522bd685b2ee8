"""A network of zones as a graph: a switch for each, its machines around it, and links between the switches.

What a machine sends passes its own link, the network's default one, to its zone's switch, and from there nothing more
to a machine of that zone: between two of one zone lies the default link once, as between any two where there are no
zones. A link between two zones comes on top, for whoever's way leads over it. Tests: tests/sim/network/test_zones.py.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import networkx

from sim.network.graph import Graph, checked_graph
from sim.network.link import Link, spelt_out

__all__ = ["zoned"]

NOTHING: Mapping[str, Any] = {
    "latency": 0.0,
    "jitter": None,
    "loss": 0.0,
    "duplicate": 0.0,
    "reorder": 0.0,
    "corrupt": 0.0,
    "bandwidth": None,
    "queue": Link().queue,
}
"""Edge data that say all: nothing of the default link is left."""


def zoned(zones: Mapping[str, Iterable[str]], links: Iterable[tuple[str, str, Mapping[str, Any]]]) -> Graph:
    """The graph of these zones (name → machines) and one-way links (from zone, to zone, edge data).

    Raises ValueError; QuantityError names the edge.
    """
    graph: Any = networkx.DiGraph()
    for zone, machines in zones.items():
        graph.add_node(zone)
        for machine in machines:
            graph.add_edge(machine, zone)
            graph.add_edge(zone, machine, **NOTHING)
    for source, target, settings in links:
        graph.add_edge(source, target, **{**NOTHING, **spelt_out(settings)})
    return checked_graph(graph)
