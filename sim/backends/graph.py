"""The graph of a program: a GraphML file, or what a generator of networkx makes.

Imported for a program that names one: networkx takes longer than all else that a run imports.

Tests: tests/sim/backends/test_simulated.py.
"""

import ast
import inspect
from random import Random
from typing import Any, Final

import networkx

from sim.backends.program import Program, ProgramError
from sim.network.graph import Graph, load_graph

__all__ = ["GraphError", "graph_of"]

GraphError: Final = (ValueError, OSError, SyntaxError, networkx.NetworkXError)
"""What a file or a generator raises that is none."""


def _seeded(make: Any, arguments: list[Any], named: dict[str, Any], seed: int) -> dict[str, Any]:
    """The named arguments, with the run's chance for a generator that draws and was given no `seed` of its own."""
    signature = inspect.signature(make)
    if "seed" not in signature.parameters or "seed" in signature.bind(*arguments, **named).arguments:
        return named
    return named | {"seed": Random(f"rpcnet/graph/{seed}").getrandbits(32)}


def graph_of(program: Program) -> Graph:
    """A GraphML file, or `generator(arguments)` of networkx whose first nodes become the program's, in order.

    A generator that draws, draws from the program's seed.
    """
    text = program.graph or ""
    if "(" not in text:
        return load_graph(text)
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
