"""No module of sim imports itself, however long the way: not at its top, and not when one of its functions runs."""

import ast
from collections.abc import Iterator
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (ROOT / "sim").rglob("*.py")
}


class Imports(ast.NodeVisitor):
    """What a source imports, wherever in it; not what only type checkers read."""

    def __init__(self, package: str, *, loads_by_name: bool) -> None:
        self.package = package
        """The one that relative imports start from."""
        self.loads_by_name = loads_by_name
        """Whether the names of modules that stand in it as text are imported (import_module)."""
        self.found: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for other in node.orelse:
                self.visit(other)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        above = self.package.split(".")[: -(node.level - 1) or None] if node.level else []
        module = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            # `from package import module`, or a name of a module
            self.found.add(f"{module}.{alias.name}" if f"{module}.{alias.name}" in FILES else module)

    def visit_Constant(self, node: ast.Constant) -> None:
        if self.loads_by_name and isinstance(node.value, str):
            self.found.add(node.value.partition(":")[0])


def imports_of(name: str, source: str) -> Iterator[str]:
    is_package = FILES[name].name == "__init__.py"
    visitor = Imports(name if is_package else name.rpartition(".")[0], loads_by_name="import_module(" in source)
    visitor.visit(ast.parse(source))
    return (name for name in visitor.found if name in FILES and name != "sim")


def circles(sources: dict[str, str]) -> list[list[str]]:
    graph = networkx.DiGraph()
    graph.add_edges_from((name, other) for name, source in sources.items() for other in imports_of(name, source))
    graph.remove_edges_from(list(networkx.selfloop_edges(graph)))
    return [sorted(found) for found in networkx.strongly_connected_components(graph) if len(found) > 1]


def test_no_module_imports_itself_by_way_of_others() -> None:
    sources = {name: path.read_text() for name, path in FILES.items()}
    # Its files are found, not named.
    faults = [name for name in FILES if name.startswith("sim.scenario.faults.")]
    sources["sim.scenario.faults"] += "\n".join(f"import {name}" for name in ["", *faults] if name)
    assert circles(sources) == []


@pytest.mark.parametrize(
    "back",
    [
        "from sim.trace import read",
        "from . import read",
        "def late():\n    from .reader import read_file",
        "def late():\n    return import_module('sim.trace.reader:read'.partition(':')[0])",
        "def late():\n    from sim.trace import reader",
        "def late():\n    return import_module('sim.trace.reader')",
    ],
)
def test_an_import_inside_a_function_closes_a_circle(back: str) -> None:
    sources = {
        "sim.trace.reader": "import sim.trace.event",
        "sim.trace": "import sim.trace.event",
        "sim.trace.event": back,
    }
    assert len(circles(sources)) == 1


def test_what_only_type_checkers_read_closes_none() -> None:
    sources = {"sim.trace": "import sim.trace.event", "sim.trace.event": "if TYPE_CHECKING:\n    import sim.trace"}
    assert circles(sources) == []
