"""The tables of CPython's private names: each is in this Python, none that `sim` uses is left out, and a Python that
was not tried is told of once."""

import ast
import asyncio
import importlib
import subprocess
import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import sim
from sim.kernel import cpython

ROOT = Path(sim.__file__).parent
LISTED = frozenset(entry.partition(">=")[0] for names in cpython.PRIVATE_NAMES.values() for entry in names.split())
NOT_CPYTHONS = {"sim", "rpcnet", "simpy", "msgspec", "networkx", "matplotlib", "_pytest", "builtins", "enum", "typing"}
"""Packages of ours and of others: the private names of simpy's Environment are simpy's."""
OPTIONAL = {"matplotlib", "jinja2", "rich", "cyclopts", "pandas", "numpy", "cryptography"}
LIBRARY = Path(asyncio.__file__).parent.parent
FILES = [
    *(LIBRARY / "asyncio").glob("*.py"),
    *(
        LIBRARY / f"{each}.py"
        for each in (["datetime", "functools", "random", "signal", "socket", "ssl", "tempfile", "uuid", "warnings"])
    ),
    *(LIBRARY / f"{each}.py" for each in ("threading", "selectors", "concurrent/futures/thread")),
]
DOCUMENTED = {"_exit", "_replace", "_thread"}
"""os._exit, a named tuple's method, and a module."""
OURS = {"_handle", "_node", "_queue", "_read", "_socket", "_timeout", "_value"}
"""Names of ours in classes of ours, and one of simpy's, that CPython has elsewhere for something of its own."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def names_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        for field in ("attr", "name", "id", "arg"):
            name = getattr(node, field, None)
            if isinstance(name, str) and is_private(name):
                yield name


@pytest.fixture(scope="module")
def cpythons() -> frozenset[str]:
    """Whatever is private in the parts of the standard library that a simulation has to do with."""
    found = {name for file in FILES for name in names_in(ast.parse(file.read_text(encoding="utf-8")))}
    return frozenset(found | {name for owner in (sys, asyncio.Task, asyncio.Future) for name in dir(owner)})


def defined_in(tree: ast.AST) -> set[str]:
    """Names that a file makes itself: functions, classes, variables, attributes of `self`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            found.add(node.attr)
    return found


def is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def asked_of_others(tree: ast.AST) -> Iterator[str]:
    """Attributes of something that is not `self`, what is imported, what getattr and its like are given as a text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not is_self(node.value):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Call):
            yield from (each.value for each in node.args if isinstance(each, ast.Constant) and type(each.value) is str)


def inherited(kind: type) -> set[str]:
    """Private names of the classes of CPython that a class of ours stands on."""
    bases = [base for base in kind.__mro__ if base.__module__.partition(".")[0] not in NOT_CPYTHONS]
    return {name for base in bases for name in cpython._names(base) if is_private(name)}


def of_bases(tree: ast.AST, module: types.ModuleType) -> Iterator[str]:
    """What classes override, read, or give a slot of those they stand on."""
    for node in ast.walk(tree):
        kind = getattr(module, node.name, None) if isinstance(node, ast.ClassDef) else None
        if not isinstance(kind, type) or not (names := inherited(kind)):
            continue
        for inner in ast.walk(node):
            texts = [inner.value] if isinstance(inner, ast.Constant) and type(inner.value) is str else []
            yield from names.intersection([*names_in(inner), *texts])


def answered(tree: ast.AST, module: types.ModuleType) -> Iterator[str]:
    """What a class that stands for one of CPython's defines, for asyncio to find there."""
    for node in ast.walk(tree):
        kind = getattr(module, node.name, None) if isinstance(node, ast.ClassDef) else None
        if not isinstance(kind, type) or all(
            base.__module__.partition(".")[0] in NOT_CPYTHONS for base in kind.__bases__
        ):
            continue
        for each in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                yield each.name
            elif isinstance(each, ast.Assign):
                yield from (target.id for target in each.targets if isinstance(target, ast.Name))


def used(source: str, module: types.ModuleType | None, cpythons: frozenset[str]) -> set[str]:
    """Private names of CPython that a file of ours uses."""
    tree = ast.parse(source)
    found = set(asked_of_others(tree)) - defined_in(tree)
    if module is not None:
        found |= {*of_bases(tree, module), *answered(tree, module)}
    return {name for name in found & cpythons if is_private(name)} - OURS - DOCUMENTED


def test_every_listed_name_is_in_this_python() -> None:
    assert list(cpython.missing()) == []


def test_every_private_name_that_sim_uses_is_listed(cpythons: frozenset[str]) -> None:
    unlisted = {}
    for file in sorted(ROOT.rglob("*.py")):
        name = ".".join(["sim", *file.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")
        module = None
        if name.startswith(("sim.kernel", "sim.network", "sim.backends", "sim.study")):
            try:
                module = importlib.import_module(name)
            except ModuleNotFoundError as error:
                if error.name not in OPTIONAL:
                    raise
        if left := used(file.read_text(encoding="utf-8"), module, cpythons) - LISTED:
            unlisted[name] = sorted(left)
    assert unlisted == {}, "add them to sim/kernel/cpython.py"


def test_every_listed_name_is_used_by_sim() -> None:
    texts = [file.read_text(encoding="utf-8") for file in ROOT.rglob("*.py") if file.name != "cpython.py"]
    mentioned = {name for text in texts for name in names_in(ast.parse(text))}
    mentioned |= {
        node.value
        for text in texts
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert LISTED - mentioned - {"socket"} == set(), "they can go"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("def step(loop):\n    loop._run_once()", "_run_once"),
        ("from asyncio.events import _init_event_loop_policy", "_init_event_loop_policy"),
        ("def name(task):\n    return getattr(task, '_must_cancel', None)", "_must_cancel"),
        ("class Loop(asyncio.SelectorEventLoop):\n    def _run_once(self): ...", "_run_once"),
        ("class Loop(asyncio.SelectorEventLoop):\n    def stop(self):\n        self._run_once()", "_run_once"),
        ("class Wire(asyncio.Transport):\n    def _set_write_buffer_limits(self): ...", "_set_write_buffer_limits"),
    ],
)
def test_a_name_that_is_not_listed_is_found(source: str, name: str, cpythons: frozenset[str]) -> None:
    assert name not in LISTED, "take another one"
    module = types.ModuleType("sim.example")
    exec("import asyncio\n" + source if "class" in source else "", vars(module))
    assert used(source, module, cpythons) == {name}


def test_a_name_that_is_gone_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"asyncio:Task": "_fut_waiter _gone _later>=9.1", "asyncio.gone": "_x", "sys": "_getframe"}
    monkeypatch.setattr(cpython, "PRIVATE_NAMES", tables)
    monkeypatch.setattr(cpython, "FRAME_LOCALS", {"asyncio.tasks:sleep": "h gone"})
    assert list(cpython.missing()) == ["asyncio.Task._gone", "asyncio.gone._x", "asyncio.tasks.sleep.gone"]


def test_an_untried_python_is_named_with_what_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cpython.warn_if_untried()
    monkeypatch.setattr(cpython, "TRIED", ((3, 8), (3, 9)))
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    with pytest.warns(RuntimeWarning, match=rf"not tried on Python {version}, only on 3.8, 3.9; .* is there$"):
        cpython.warn_if_untried()
    monkeypatch.setattr(cpython, "PRIVATE_NAMES", {"asyncio:Task": "_gone"})
    with pytest.warns(RuntimeWarning, match=r"has no longer what the simulator uses of it: asyncio.Task._gone$"):
        cpython.warn_if_untried()


def test_the_first_simulation_says_it_and_no_other() -> None:
    code = """
import warnings, sim.kernel.simulation
from sim.kernel import cpython
cpython.TRIED = ((3, 8),)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    for seed in (1, 2, 3):
        sim.Simulation(seed).close()
print(len(said), said[0].category.__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == ("1 RuntimeWarning", "")
