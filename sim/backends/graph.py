"""The graph of a program: a GraphML file, or what a generator of networkx makes.

Imported for a program that names one: networkx takes longer than all else that a run imports.
"""

import ast
from typing import Final

import networkx

from sim.backends.program import Program, ProgramError
from sim.network.graph import Graph, load_graph

__all__ = ["GraphError", "graph_of"]

GraphError: Final = (ValueError, OSError, SyntaxError, networkx.NetworkXError)
"""What a file or a generator raises that is none."""


def graph_of(program: Program) -> Graph:
    """A GraphML file, or `generator(arguments)` of networkx whose first nodes become the program's, in order."""
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
        graph = make(
            *map(ast.literal_eval, call.args), **{k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
        )
    except (SyntaxError, TypeError, ValueError, networkx.NetworkXError) as error:
        raise ProgramError(f"graph {text!r}: {error}; write a GraphML file or generator(arguments)") from error
    names = [node.name for node in program.nodes]
    if len(graph) < len(names):
        raise ProgramError(f"graph {text!r} has {len(graph)} nodes, the program {len(names)}")
    relabelled = dict(zip(graph, [*names, *(f"switch-{n}" for n in range(len(graph)))], strict=False))
    return networkx.relabel_nodes(networkx.Graph(graph), relabelled)
