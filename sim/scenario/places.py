"""What lies between the nodes and has a name: the zones of a scenario's network, or the routers of its graph.

A fault or a `[[network.link]]` may name them beside nodes. Two that are neighbours are the link between them, for
whoever's way leads over it; alone, one stands for the nodes that hang on it. Node names and selectors: select.py.

Tests: tests/sim/scenario/test_wan.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, permutations
from random import Random
from typing import Any

from msgspec.structs import replace

from sim.backends.program import LinkProgram, NodeProgram, Program, ProgramError, Script, World
from sim.scenario.schema import Between, Network, Pick, Scenario, Selector
from sim.scenario.select import Labels, SelectError, draws, labels_of, select, ways

__all__ = [
    "Nodes",
    "Places",
    "across",
    "blueprint",
    "linked",
    "links_of",
    "mistake_of_ends",
    "nodes_of",
    "places_of",
    "stands_for",
    "touched",
    "unlinked",
    "zones_of",
]

Way = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Places:
    """Zones or routers, and what they are linked to."""

    kind: str = ""
    """`zone` or `router`."""
    nodes: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Place → the nodes that hang on it."""
    edges: frozenset[Way] = frozenset()
    """From, to: neighbours, those of a zone's inside left out."""
    label: str | None = None
    """Whose values the zones are."""

    def links(self, place: str) -> list[Way]:
        """All links of it, both ways, in order."""
        return sorted(edge for edge in self.edges if place in edge)

    def taken_for_nodes(self, selector: object) -> str | None:
        """What is wrong with a selector that names one where only nodes can be meant; None = it does not."""
        parts = selector if isinstance(selector, list | tuple) else [getattr(selector, "of", selector)]
        named = next((part for part in parts if isinstance(part, str) and part in self.nodes), None)
        if named is None:
            return None
        hint = "" if self.label is None else f'; did you mean "{self.label}={named}"?'
        return f'"{named}" is a {self.kind} of the network, and nodes are meant here{hint}'


class Nodes(dict[str, Mapping[str, str]]):
    """The nodes and their labels, in the order of the file, and the places between them."""

    def __init__(self, labels: Labels, places: Places | None = None) -> None:
        super().__init__(labels)
        self.places = places or Places()


def places_of(nodes: Labels) -> Places:
    return nodes.places if isinstance(nodes, Nodes) else Places()


# --- a scenario's -----------------------------------------------------------------------------------------------------


def nodes_of(scenario: Scenario, seed: int) -> Nodes:
    """Its nodes and places. Raises ProgramError."""
    network = scenario.network
    try:
        nodes = unlinked(network, labels_of(scenario.node), seed)
        return linked(network, nodes, seed) if network.links else nodes
    except (ValueError, OSError, SyntaxError) as error:
        raise ProgramError(f"network: {error}") from error


def linked(network: Network, nodes: Nodes, seed: int) -> Nodes:
    """Of zones, which any two might be linked, those that are. Raises SelectError."""
    places = nodes.places
    if places.kind != "zone":
        return nodes
    edges = chain.from_iterable(link.ways for link in links_of(network, nodes, seed) if link.of_edges)
    return Nodes(nodes, Places(places.kind, places.nodes, frozenset(edges), places.label))


def unlinked(network: Network, labels: Labels, seed: int) -> Nodes:
    """The nodes and places before `[[network.link]]`. Raises ProgramError, and GraphError of sim.backends.graph."""
    if network.zones is not None:
        zones = zones_of(network, labels)
        return Nodes(labels, Places("zone", zones, frozenset(permutations(zones, 2)), network.zones))
    if network.graph is None:
        return Nodes(labels)
    from sim.backends.graph import graph_of  # networkx takes longer than all else that is imported

    graph: Any = graph_of(blueprint(network, labels, seed))
    edges = frozenset(chain(graph.edges, () if graph.is_directed() else ((b, a) for a, b in graph.edges)))
    routers = [place for place in graph if place not in labels]
    on = {place: tuple(name for name in labels if graph.has_edge(place, name)) for place in routers}
    return Nodes(labels, Places("router", on, edges))


def blueprint(network: Network, labels: Labels, seed: int, links: tuple[LinkProgram, ...] = ()) -> Program:
    """A program of nothing but the network: what its graph is made from."""
    return Program(
        scenario="",
        seed=seed,
        duration=0,
        nodes=tuple(NodeProgram(name=name, app="") for name in labels),
        scripts=_none,
        graph=network.graph,
        machines=network.machines,
        zones={} if network.zones is None else zones_of(network, labels),
        links=links,
    )


def zones_of(network: Network, labels: Labels) -> dict[str, tuple[str, ...]]:
    """Zone → its nodes, in the order of the file."""
    found: dict[str, list[str]] = {}
    for name, of_node in labels.items():
        if network.zones is not None and network.zones in of_node:
            found.setdefault(of_node[network.zones], []).append(name)
    return {zone: tuple(names) for zone, names in found.items()}


def links_of(network: Network, nodes: Nodes, seed: int) -> tuple[LinkProgram, ...]:
    """What `[[network.link]]` says, resolved. Raises SelectError."""
    found: list[LinkProgram] = []
    for index, link in enumerate(network.links):
        pairs = across(link, nodes, draws(seed, f"link {index}"))
        edges = tuple(way for way in pairs if way in nodes.places.edges)
        others = tuple(way for way in pairs if way not in nodes.places.edges)
        found += [LinkProgram(ways=edges, settings=link.edge(), of_edges=True)] if edges else []
        found += [LinkProgram(ways=others, settings=link.edge())] if others else []
    return tuple(found)


def _none(world: World) -> list[Script]:
    return []


# --- who is meant -----------------------------------------------------------------------------------------------------


def mistake_of_ends(link: Between) -> tuple[str, tuple[str, ...]] | None:
    """Why it does not say between whom, and under which key."""
    one_way = link.from_ is not None and link.to is not None
    if (link.between is not None) == (one_way or link.from_ is not None or link.to is not None):
        return "say where: either from and to (one way), or between = [a, b] (both ways)", ()
    if link.between is None and not one_way:
        return f"{'to' if link.to is None else 'from'} is missing", ()
    if link.between is not None and len(link.between) != 2:
        return f"between takes two, not {len(link.between)}", ("between",)
    return None


def across(link: Between, nodes: Labels, random: Random) -> list[Way]:
    """Every (from, to) that it means: of two nodes, or of neighbours at least one of which is a place.

    Raises SelectError.
    """
    if link.between is None:
        assert link.from_ is not None and link.to is not None, "checked when the file was read"
        return _ways(link.from_, link.to, nodes, random)
    one, other = link.between
    forth = _ways(one, other, nodes, random)
    return list(dict.fromkeys(forth + [(b, a) for a, b in forth]))


def _ways(one: Selector, other: Selector, nodes: Labels, random: Random) -> list[Way]:
    places = places_of(nodes)
    ends = [_parts(one, places), _parts(other, places)]
    if not any(named for named, _ in ends):
        return ways(one, other, nodes, random)
    if places.kind == "zone" and any(rest for _, rest in ends):
        return ways(stands_for(one, nodes), stands_for(other, nodes), nodes, random)
    sources, targets = ([*named, *(select(rest, nodes, random) if rest else ())] for named, rest in ends)
    found = [(a, b) for a in sources for b in targets if a != b]
    for a, b in found:
        if (a, b) not in places.edges:
            there = sorted(y for x, y in places.edges if x == a)
            raise SelectError(f'no link leads from "{a}" to "{b}"; from "{a}" to: {", ".join(there) or "nowhere"}')
    return found


def _parts(selector: Selector, places: Places) -> tuple[list[str], list[str | Pick]]:
    """The places that it names, and the rest."""
    parts = selector if isinstance(selector, list) else [selector]
    named = [part for part in parts if isinstance(part, str) and part in places.nodes]
    return named, [part for part in parts if part not in named]


def stands_for(selector: Selector, nodes: Labels) -> Selector:
    """The selector with the nodes that hang on a place where it names one. Raises SelectError where there are none."""
    places = places_of(nodes)
    if isinstance(selector, Pick):
        of = stands_for(list(selector.of) if isinstance(selector.of, list) else selector.of, nodes)
        assert not isinstance(of, Pick)
        return replace(selector, of=of)
    named, _ = _parts(selector, places)
    if not named:
        return selector
    parts: list[str | Pick] = []
    for part in selector if isinstance(selector, list) else [selector]:
        if not isinstance(part, str) or part not in named:
            parts.append(part)
        elif on_it := places.nodes[part]:
            parts += on_it
        else:
            raise SelectError(f'no node hangs on "{part}": change its links instead, with link or isolate')
    return parts


def touched(pairs: Iterable[Way], nodes: Labels) -> list[str]:
    """The nodes at the ends of these; where places are, those that hang on them; where none does, all."""
    places, ends = places_of(nodes), list(dict.fromkeys(chain.from_iterable(pairs)))
    found = [end for end in ends if end not in places.nodes]
    if not found:
        on = set(chain.from_iterable(places.nodes[end] for end in ends))
        found = [name for name in nodes if name in on] or (list(nodes) if ends else [])
    return found
