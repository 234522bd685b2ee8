"""The code and the data that decide a run: where they change, results of before belong to something else.

Of third parties and of Python itself only versions are kept, by who keeps results. Knows no results.

Tests: tests/sim/study/test_results.py.
"""

import ast
import functools
import importlib.util
import re
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from sim.scenario.schema import Scenario

__all__ = ["named", "sources"]

CODE = (
    "rpcnet",
    "sim.apps",
    "sim.backends",
    "sim.defects",
    "sim.history",
    "sim.kernel",
    "sim.network",
    "sim.scenario",
    "sim.trace",
)
"""What decides a run, beside its applications."""


def named(scenario: Scenario) -> Iterator[str]:
    """What a scenario names of Python, as `module:function`."""
    yield from (node.app for node in scenario.node)
    yield from (said for expect in scenario.expect if isinstance(said := getattr(expect, "python", None), str))


def sources(scenarios: Iterable[Scenario], defects: Iterable[str]) -> Iterator[bytes]:
    """Name and content of every source file that a run may execute, and of the data that it reads."""
    scenarios = list(scenarios)
    for name in CODE:
        for root in _places(name):
            yield from _contents(name, root, _files(root))
    applications = {name for scenario in scenarios for name in named(scenario)} | {d for d in defects if ":" in d}
    tops = {name.partition(":")[0].partition(".")[0] for name in applications} - {"rpcnet", "sim"}
    for name, root in sorted(_with_neighbours(tops).items()):
        yield from _contents(name, root, _files(root))
    for file in sorted({file for scenario in scenarios for file in _data(scenario)}):
        if file.is_file():
            yield from _contents("data", file, [file])


def _data(scenario: Scenario) -> Iterator[Path]:
    """The files that its network is read from: a graph, measured latencies."""
    if scenario.network.graph is not None:
        yield Path(scenario.network.graph)
    # Latencies stand in many places, and stay as they were written until the run.
    written = repr(msgspec.structs.replace(scenario, origin=None))
    yield from (Path(found.strip()) for found in _SAMPLES.findall(written))


_SAMPLES = re.compile(r"samples\(([^()]+)\)")


def _with_neighbours(tops: Iterable[str]) -> dict[str, Path]:
    """Modules and packages by name: these, and what they import that lies beside them, and so on."""
    found: dict[str, Path] = {}
    waiting = [(name, place) for name in sorted(tops) for place in _places(name)]
    while waiting:
        name, place = waiting.pop()
        if name in found:
            continue
        found[name] = place
        if not place.is_relative_to(_INSTALLED):
            imported = {each for file in _files(place) for each in _imported(file, file.stat().st_mtime_ns)}
            for other in sorted(imported - found.keys()):
                beside = (place.parent / f"{other}.py", place.parent / other)
                waiting += [(other, path) for path in beside if path.exists()]
    return found


_INSTALLED = Path(sysconfig.get_path("purelib"))


@functools.lru_cache(maxsize=4096)
def _imported(file: Path, changed: int) -> frozenset[str]:
    """The first names of what a source file imports, wherever in it; read again only where it has changed."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return frozenset()  # whoever runs it will be told
    names: set[str] = set()
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            names.add(statement.module.partition(".")[0])
    return frozenset(names)


def _files(root: Path) -> list[Path]:
    return sorted(root.rglob("*.py")) if root.is_dir() else [root]


def _contents(name: str, root: Path, files: Iterable[Path]) -> Iterator[bytes]:
    for file in files:
        yield f"{name} {file.relative_to(root)}".encode()
        yield file.read_bytes()


def _places(name: str) -> list[Path]:
    spec = importlib.util.find_spec(name)
    if spec is None:
        return []
    if spec.submodule_search_locations:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.has_location and spec.origin else []
