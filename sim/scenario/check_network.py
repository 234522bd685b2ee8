"""Whether what a scenario says of its network makes sense: zones, links, and a graph that fits the nodes.

Works on structs, calls `blame` for each mistake with the path of the element, and gives back the nodes with what lies
between them, as far as that could be understood.

Tests: tests/sim/scenario/test_check_network.py.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sim.backends.program import ProgramError
from sim.network.fabric import demand_connected
from sim.network.link import Link, spelt_out
from sim.scenario.locate import Path
from sim.scenario.mistake import Blame, nearest
from sim.scenario.places import Nodes, across, blueprint, linked, mistake_of_ends, unlinked, zones_of
from sim.scenario.schema import Between, Edge, Network
from sim.scenario.select import Labels, SelectError, draws

__all__ = ["check_edge", "check_network"]

Way = tuple[str, str]

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_. -]*[A-Za-z0-9])?")


def check_network(
    network: Network,
    labels: Labels | None,
    seed: int,
    reserved: Iterable[str],
    is_unread: Callable[[Path], bool],
    blame: Blame,
) -> Nodes | None:
    """The nodes and places; None where these cannot be told. Where a link is wrong, any zone may be linked to any.

    `labels` are None where not all nodes could be read.
    """
    noted = _Blamed(blame)
    check_edge(network.link(), ("network",), noted)
    _alone(network, noted)
    for index, link in enumerate(network.links):
        if not is_unread(("network", "link", index)):
            _settings(link, ("network", "link", index), noted)
    if labels is None or any(is_unread(("network", key)) for key in ("zones", "graph", "machines")):
        return None
    if network.zones is not None and not _zones_fit(network.zones, labels, zones_of(network, labels), reserved, noted):
        return None
    nodes = _places(network, labels, seed, noted)
    if nodes is None or noted.any or is_unread(("network", "link")):
        return nodes
    _links(network, nodes, seed, noted)
    if noted.any:
        return nodes
    found = linked(network, nodes, seed)
    if network.zones is not None:
        _demand_ways(found, noted)
    return nodes if noted.any else found


def check_edge(settings: Mapping[str, Any], path: Path, blame: Blame) -> None:
    """Edge data, key by key, as the network itself reads it."""
    for key, value in settings.items():
        try:
            Link.of({key: value})
        except (ValueError, OSError) as error:
            blame((*path, key), f"{key}: {str(error).removeprefix(f'{key}: ')}")


class _Blamed:
    """Notes mistakes, and that there was one."""

    def __init__(self, blame: Blame) -> None:
        self._blame = blame
        self.any = False

    def __call__(self, path: Path, message: str, *, key: bool = False) -> None:
        self.any = True
        self._blame(path, message, key=key)


def _alone(network: Network, blame: Blame) -> None:
    """What does not go together."""
    if network.zones is not None and network.graph is not None:
        blame(("network", "graph"), "zones are a graph of their own: give either zones or graph", key=True)
    if network.machines != "id" and network.graph is None:
        blame(
            ("network", "machines"), "machines says which nodes of a graph are whose, and there is no graph", key=True
        )


def _settings(link: Between, path: Path, blame: Blame) -> None:
    if mistake := mistake_of_ends(link):
        text, steps = mistake
        blame((*path, *steps), text, key=not steps)
    if not link.edge():
        blame(path, f"says nothing of the link; allowed: {', '.join(Edge.__struct_fields__)}", key=True)
    check_edge(link.edge(), path, blame)


def _zones_fit(
    label: str, labels: Labels, zones: Mapping[str, Sequence[str]], reserved: Iterable[str], noted: Blame
) -> bool:
    path, blame = ("network", "zones"), _Blamed(noted)
    if not zones:
        known = {key for of_node in labels.values() for key in of_node}
        blame(path, f'no node has the label "{label}"{nearest(label, known)}')
        return False
    without = [name for name, of_node in labels.items() if label not in of_node]
    if without:
        more = f" and {len(without) - 1} more have" if len(without) > 1 else " has"
        blame(path, f'"{without[0]}"{more} no label "{label}", and so no zone; give each node one')
    for zone in zones:
        if not _NAME.fullmatch(zone) or zone in reserved:
            blame(
                path,
                f'"{zone}" cannot name a zone; allowed: letters, digits, blanks, - _ and ., no {", ".join(reserved)}',
            )
        elif zone in labels:
            blame(path, f'"{zone}" would be both a zone and a node; call one of them otherwise')
    if len(zones) == 1:
        blame(path, f'all nodes are in one zone, "{next(iter(zones))}"; leave zones out, or label some nodes otherwise')
    return not blame.any


def _places(network: Network, labels: Labels, seed: int, blame: Blame) -> Nodes | None:
    if network.graph is None or network.zones is not None:
        return unlinked(network, labels, seed)
    from sim.backends.graph import GraphError, MatchError, graph_of

    try:
        demand_connected(graph_of(blueprint(network, labels, seed)), list(labels))
        return unlinked(network, labels, seed)
    except MatchError as error:
        path = ("network", "graph") if network.machines == "id" else ("network", "machines")
        blame((*path, *(() if error.key is None else (error.key,))), str(error))
    except (ProgramError, *GraphError) as error:
        blame(("network", "graph"), str(error))
    return None


def _links(network: Network, nodes: Nodes, seed: int, blame: Blame) -> None:
    """Each by itself, then together: which says again what another one says, or comes to nothing."""
    said: list[tuple[frozenset[Way], frozenset[str]]] = []
    given: dict[Way, int] = {}
    for index, link in enumerate(network.links):
        path: Path = ("network", "link", index)
        try:
            pairs = across(link, nodes, draws(seed, f"link {index}"))
        except SelectError as error:
            blame((*path, "between" if link.between is not None else "from"), str(error))
            continue
        if not pairs:
            blame(path, "nobody has a link to itself: name two different nodes, or zones", key=True)
        keys = spelt_out(link.edge()).keys()
        edges = [way for way in pairs if way in nodes.places.edges]
        for a, b in edges:
            if (a, b) in given:
                number = given[a, b] + 1
                blame(path, f'the link from "{a}" to "{b}" is given twice, here and by the {_nth(number)}', key=True)
                break
        if edges and nodes.places.kind == "zone" and "latency" not in keys:
            blame(path, 'say how long a link between zones takes: latency = "40ms", or a preset', key=True)
        given |= dict.fromkeys(edges, index)
        said.append((frozenset(pairs) - given.keys(), frozenset(keys)))
    whole = len(said) == len(network.links)
    for index, (some, set_) in enumerate(said):
        if whole and some and _covered(some, set_, said[index + 1 :]):
            why = "nothing of it is left: later ones say the same keys for all its nodes; put the general ones first"
            blame(("network", "link", index), why, key=True)


def _covered(
    pairs: frozenset[Way], keys: frozenset[str], later: Sequence[tuple[frozenset[Way], frozenset[str]]]
) -> bool:
    """Whether later links set each of these keys for each of these ways."""
    return all(pairs <= frozenset().union(*(ways for ways, set_ in later if key in set_)) for key in keys)


def _demand_ways(nodes: Nodes, blame: Blame) -> None:
    """From each zone there is a way to each other one."""
    zones = list(nodes.places.nodes)
    reached = {zone: {zone} for zone in zones}
    for _ in zones:
        for a, b in nodes.places.edges:
            reached[a] |= reached[b]
    lost = next(((a, b) for a in zones for b in zones if b not in reached[a]), None)
    if lost is not None:
        a, b = lost
        blame(
            ("network", "zones"),
            f'there is no way from "{a}" to "{b}"; give a [[network.link]] between = ["{a}", "{b}"]',
        )


def _nth(number: int) -> str:
    return f"{number}{['st', 'nd', 'rd'][number - 1] if number <= 3 else 'th'} [[network.link]]"
