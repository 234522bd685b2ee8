"""The graph of a program: a GraphML file, what a generator of networkx makes, or its zones.

In a file the nodes of the graph and the program's are matched, as the program says, and get the program's names.

Imported for a program that names one: networkx takes longer than all else that a run imports.

Tests: tests/sim/backends/test_simulated.py.
"""

import ast
import inspect
from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, Final

import networkx

from sim.backends.program import Program, ProgramError
from sim.network.graph import Graph, load_graph
from sim.network.link import spelt_out
from sim.network.spelling import did_you_mean
from sim.network.zones import zoned

__all__ = ["GraphError", "MatchError", "graph_of"]

GraphError: Final = (ValueError, OSError, SyntaxError, networkx.NetworkXError)
"""What a file or a generator raises that is none."""


MANY = 12
"""So many names are told of either side where nodes do not match."""


class MatchError(ProgramError):
    """The nodes of a GraphML file and those of the program do not match."""

    def __init__(self, text: str, key: str | None = None) -> None:
        super().__init__(text)
        self.key = key
        """That of the mapping which is wrong, where it is one."""


def _seeded(make: Any, arguments: list[Any], named: dict[str, Any], seed: int) -> dict[str, Any]:
    """The named arguments, with the run's chance for a generator that draws and was given no `seed` of its own."""
    signature = inspect.signature(make)
    if "seed" not in signature.parameters or "seed" in signature.bind(*arguments, **named).arguments:
        return named
    return named | {"seed": Random(f"rpcnet/graph/{seed}").getrandbits(32)}


def graph_of(program: Program) -> Graph:
    """Its zones, a GraphML file, or `generator(arguments)` of networkx, whose first nodes become the program's.

    With what the program says of links between neighbours. A generator that draws, draws from the program's seed.
    """
    edges = [(*way, link.settings) for link in program.links if link.of_edges for way in link.ways]
    if program.zones:
        return zoned(program.zones, edges)
    graph = _of_text(program)
    if edges:
        graph = graph.to_directed()
        for source, target, settings in edges:
            graph.edges[source, target].update(spelt_out(settings))
    return graph


def _of_text(program: Program) -> Graph:
    text = program.graph or ""
    if "(" not in text:
        return _matched(load_graph(text), program)
    if program.machines not in {"id", "order"}:
        why = "the nodes of a generator become the scenario's in order; machines is for a GraphML file"
        raise MatchError(why)
    try:
        call = ast.parse(text, mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id.startswith("_"):
            raise ValueError("it is no call")
        make = getattr(networkx, call.func.id, None)
        if make is None:
            raise ValueError(f"networkx has no generator {call.func.id!r}")
        arguments = [ast.literal_eval(each) for each in call.args]
        named = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
        graph = make(*arguments, **_seeded(make, arguments, named, program.seed))
    except (SyntaxError, TypeError, ValueError, networkx.NetworkXError) as error:
        raise ProgramError(f"graph {text!r}: {error}; write a GraphML file or generator(arguments)") from error
    names = [node.name for node in program.nodes]
    if len(graph) < len(names):
        raise ProgramError(f"graph {text!r} has {len(graph)} nodes, the program {len(names)}")
    relabelled = dict(zip(graph, [*names, *(f"switch-{n}" for n in range(len(graph)))], strict=False))
    return networkx.relabel_nodes(networkx.Graph(graph), relabelled)


# --- nodes of a file --------------------------------------------------------------------------------------------------


def _matched(graph: Graph, program: Program) -> Graph:
    """The graph with its nodes called as the program says. Raises MatchError where a node of the program has none."""
    names, machines = [node.name for node in program.nodes], program.machines
    ids = [str(each) for each in graph]
    if isinstance(machines, Mapping):
        called = _mapped(machines, ids, names)
    elif machines == "order":
        if len(ids) < len(names):
            raise MatchError(f"the graph has {len(ids)} nodes, the scenario {len(names)}")
        called = dict(zip(ids, names, strict=False))
    elif machines == "id":
        called = {}
    else:
        called = _by_attribute(graph, machines, names)
    new = [called.get(each, each) for each in ids]
    missing = [name for name in names if name not in new]
    if missing:
        raise MatchError(f"no node of the graph is called {_list(missing)}; {_both(graph, machines, new, names)}")
    twice = next((name for index, name in enumerate(new) if name in new[:index]), None)
    if twice is not None:
        those = [each for each, name in zip(ids, new, strict=True) if name == twice]
        raise MatchError(f'these nodes of the graph would all be called "{twice}": {_list(those)}; give each its own')
    return networkx.relabel_nodes(graph, called) if called else graph


def _mapped(machines: Mapping[str, str], ids: list[str], names: list[str]) -> dict[str, str]:
    for key, name in machines.items():
        if key not in ids:
            hint = did_you_mean(key, ids)
            raise MatchError(f'the graph has no node "{key}"; {hint}there are: {_list(ids)}', key)
        if name not in names:
            hint = did_you_mean(name, names)
            raise MatchError(f'unknown node "{name}"; {hint}there are: {_list(names)}', key)
    return dict(machines)


def _by_attribute(graph: Graph, attribute: str, names: list[str]) -> dict[str, str]:
    """Who has the attribute is called by it; of several of one name that is no machine's each keeps its id."""
    found = {str(each): str(data[attribute]) for each, data in graph.nodes(data=True) if data.get(attribute)}
    if not found:
        known = _attributes(graph)
        there = f"there are: {', '.join(known)}" if known else "they have none"
        hint = did_you_mean(attribute, ["id", "order", *known])
        raise MatchError(f'no node of the graph has an attribute "{attribute}"; {hint}{there}, beside id and order')
    values = list(found.values())
    return {each: name for each, name in found.items() if name in names or values.count(name) == 1}


def _both(graph: Graph, machines: str | Mapping[str, str], new: list[str], names: list[str]) -> str:
    """Both sides, and how they would match."""
    fitting = [
        key for key in _attributes(graph) if {*names} <= {str(data.get(key)) for _, data in graph.nodes(data=True)}
    ]
    how = "by id" if machines == "id" else "as machines says" if isinstance(machines, Mapping) else f'by "{machines}"'
    hint = f'write machines = "{fitting[0]}"' if fitting else 'map them, like [network.machines] n3 = "worker-1"'
    if not fitting and len(new) >= len(names):
        hint += ', or take them in order, machines = "order"'
    return f"{how} the graph has {_list(new)}, the scenario {_list(names)}; {hint}"


def _attributes(graph: Graph) -> list[str]:
    return list(dict.fromkeys(str(key) for _, data in graph.nodes(data=True) for key in data))


def _list(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return ", ".join(names[:MANY]) + more
