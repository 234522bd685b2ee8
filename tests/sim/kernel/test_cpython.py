"""The tables of CPython's private names: each is in this Python, none that `sim` uses is left out, and a Python that
was not tried is told of once."""

import ast
import asyncio
import importlib
import re
import subprocess
import sys
import types
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import sim
from sim.kernel import cpython

ROOT = Path(sim.__file__).parent
LISTED = frozenset(
    [entry.partition(">=")[0] for names in cpython.PRIVATE_NAMES.values() for entry in names.split()]
    + [place.partition(":")[0] for place in cpython.PRIVATE_NAMES]
    + [f"{place}:{entry}" for place, names in cpython.PRIVATE_NAMES.items() for entry in names.split()]
)
NOT_CPYTHONS = {"sim", "rpcnet", "simpy", "msgspec", "networkx", "matplotlib", "_pytest", "builtins", "enum", "typing"}
"""Packages of ours and of others: the private names of simpy's Environment are simpy's."""
OPTIONAL = {"matplotlib", "jinja2", "rich", "cyclopts", "pandas", "numpy", "cryptography"}
LIBRARY = Path(asyncio.__file__).parent.parent
C_MODULES = ("_asyncio", "_queue", "_random", "_socket", "_ssl", "_thread", "select", "sys", "time")
DOCUMENTED = {"_exit", "_replace"}
"""os._exit, and a named tuple's method."""
OURS = {"_chunks", "_first", "_host", "_node", "_options", "_read", "_shown", "_table", "_timeout", "_value"}
"""Attributes of classes of ours, and one of simpy's, that CPython has elsewhere for something of its own."""
OUR_METHODS = {
    *("Connection._run", "Simulation._run", "_Worker._run", "Node._launch", "Threads._time"),
    *("ConnectionMethods._handle", "ConnectionMethods._serve"),
    *("SimulatedSocket._attach", "SimulatedSocket._connected", "SimulatedSocket._keep_alive"),
    *("StreamWire._queue", "StreamWire._reset", "Epoll._set", "_Polled._set", "Executor._done"),
}
"""Methods that only we call, of classes that CPython is handed or may be, though it has that name elsewhere, too."""


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def names_in(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        for field in ("attr", "name", "id", "arg"):
            name = getattr(node, field, None)
            if isinstance(name, str) and is_private(name):
                yield name
        if isinstance(node, ast.ClassDef):
            yield from mangled(node)


def mangled(kind: ast.ClassDef) -> Iterator[str]:
    """`_Class__name` of each `__name` in it, which is what a class makes of it."""
    for node in ast.walk(kind):
        name = getattr(node, "attr", None) or getattr(node, "name", None)
        if isinstance(name, str) and name.startswith("__") and not name.endswith("__"):
            yield f"_{kind.name.lstrip('_')}{name}"


def modules_of(tree: ast.AST) -> Iterator[str]:
    """Modules that a file imports, by name at the least: what it imports from, and what it gives to import_module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Call):
            yield from (each for each in texts(node) if each in sys.stdlib_module_names)


@cache
def trees() -> dict[str, ast.Module]:
    """By name: every module of sim but the one that has the tables."""
    files = {"sim." + ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in ROOT.rglob("*.py")}
    return {
        name.removesuffix(".__init__"): ast.parse(file.read_text(encoding="utf-8"))
        for name, file in sorted(files.items())
        if name != cpython.__name__
    }


def library() -> Iterator[str]:
    """The modules of the standard library that sim imports, and those beside them in a package."""
    for name in sorted({name for tree in trees().values() for name in modules_of(tree)}):
        if name.partition(".")[0] in sys.stdlib_module_names:
            path = LIBRARY.joinpath(*name.split("."))
            for file in path.glob("*.py") if path.is_dir() else path.parent.glob(f"{path.name}.py"):
                yield file.read_text(encoding="utf-8")


def private_names(source: str) -> Iterator[str]:
    """Whatever looks like one: thrice as fast as its syntax tree, which only those with mangled names are read for."""
    yield from (name for name in re.findall(r"\b_\w+", source) if is_private(name))
    if re.search(r"\b__\w+(?<!__)\b", source):
        yield from names_in(ast.parse(source))


@pytest.fixture(scope="module")
def cpythons() -> frozenset[str]:
    """Whatever is private in the parts of the standard library that sim imports, and in types of C."""
    found = {name for source in library() for name in private_names(source)}
    modules = [importlib.import_module(name) for name in C_MODULES]
    kinds = [
        kind
        for module in modules
        for kind in vars(module).values()
        # Once something was simulated in this process some of them are ours.
        if isinstance(kind, type) and kind.__module__.partition(".")[0] != "sim"
    ]
    return frozenset(found | {name for owner in (*modules, *kinds) for name in dir(owner)})


def defined_in(tree: ast.AST) -> set[str]:
    """Names that a file makes itself: functions, classes, variables, slots, attributes of `self`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            found.add(node.attr)
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("__slots__", "__match_args__"):
            found.update(texts(node.value))
    return found


def is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def texts(tree: ast.AST) -> Iterator[str]:
    """Texts that may be a name, or names joined by dots, as for getattr, attrgetter, setattr, a key of `vars()`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) is str:
            yield from (part for part in node.value.split(".") if part.isidentifier())


def asked_of_others(tree: ast.AST) -> Iterator[str]:
    """Attributes of all but the `self` of a class, what is imported, keywords, and what texts name."""
    own = {id(node) for kind in ast.walk(tree) if isinstance(kind, ast.ClassDef) for node in ast.walk(kind)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not (is_self(node.value) and id(node) in own):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.MatchClass):
            yield from node.kwd_attrs
    yield from texts(tree)


def of_private_modules(tree: ast.AST) -> Iterator[str]:
    """Private modules that are imported, and `module:name` of each of their names that is used."""
    private = {name for name in modules_of(tree) if is_private(name) and name in sys.stdlib_module_names}
    yield from private
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in private:
            yield from (f"{node.module}:{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in private:
            yield f"{node.value.id}:{node.attr}"


def frame_locals(tree: ast.AST) -> set[str]:
    """Names of the local variables that a file asks a frame for."""
    names = {"f_locals"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and "f_locals" in ast.unparse(node.value):
            names |= {each.id for each in ast.walk(node.targets[0]) if isinstance(each, ast.Name)}
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=owner, attr="get"), args=[ast.Constant(value=str(name)), *_]):
                pass
            case ast.Subscript(value=owner, slice=ast.Constant(value=str(name))):
                pass
            case _:
                continue
        if getattr(owner, "attr", getattr(owner, "id", None)) in names:
            found.add(name)
    return found


def inherited(kind: type) -> set[str]:
    """Private names of the classes of CPython that a class of ours stands on."""
    bases = [base for base in kind.__mro__ if base.__module__.partition(".")[0] not in NOT_CPYTHONS]
    return {name for base in bases for name in cpython._names(base) if is_private(name)}


def classes(tree: ast.AST, module: types.ModuleType | None) -> Iterator[tuple[ast.ClassDef, type | None]]:
    """The classes of a file with what they are when it runs; None where that is not known, as inside a function."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            kind = getattr(module, node.name, None)
            yield node, kind if isinstance(kind, type) else None


def of_bases(tree: ast.AST, module: types.ModuleType | None) -> Iterator[str]:
    """What classes override, read, or give a slot of those of CPython that they stand on."""
    for node, kind in classes(tree, module):
        if kind is None and node.bases:  # on what is not known: whatever it has not made itself
            yield from {*names_in(node), *texts(node)} - defined_in(node)
        elif kind is not None and (names := inherited(kind)):
            yield from names.intersection([*names_in(node), *texts(node)])


def answered(tree: ast.AST, module: types.ModuleType | None) -> Iterator[str]:
    """What classes define for CPython to find; those of the kernel need not stand on one of its own, as a lock."""
    in_the_kernel = module is not None and module.__name__.startswith("sim.kernel")
    for node, kind in classes(tree, module):
        bases = kind.__bases__ if kind is not None else ()
        if in_the_kernel or any(base.__module__.partition(".")[0] not in NOT_CPYTHONS for base in bases):
            for each in node.body:
                names = [each.name] if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) else []
                if isinstance(each, ast.Assign):
                    names = [target.id for target in each.targets if isinstance(target, ast.Name)]
                yield from (name for name in names if f"{node.name}.{name}" not in OUR_METHODS)


def used(tree: ast.AST, module: types.ModuleType | None, cpythons: frozenset[str]) -> set[str]:
    """Private names of CPython that a file of ours uses; those of a private module as `module:name`.

    What is not found: a name that is put together when the program runs, and one that the file also gives to something
    of its own, where it is not a method, a slot or an attribute of a class that stands on one of CPython's.
    """
    found = set(asked_of_others(tree)) - defined_in(tree)
    found |= {*of_bases(tree, module), *answered(tree, module)}
    return ({name for name in found & cpythons if is_private(name)} - OURS - DOCUMENTED) | {*of_private_modules(tree)}


def run_module(name: str) -> types.ModuleType | None:
    """None where what it needs is not installed, as the kernel's tests run with little, and for a command."""
    if name.endswith(".__main__"):
        return None
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in OPTIONAL:
            raise
        return None


def test_every_listed_name_is_in_this_python() -> None:
    assert list(cpython.missing()) == []


def test_every_private_name_that_sim_uses_is_listed(cpythons: frozenset[str]) -> None:
    unlisted = {}
    for name, tree in trees().items():
        if left := used(tree, run_module(name), cpythons) - LISTED:
            unlisted[name] = sorted(left)
    assert unlisted == {}, "add them to sim/kernel/cpython.py"


def test_every_local_variable_that_sim_reads_is_listed() -> None:
    listed = {name for names in cpython.FRAME_LOCALS.values() for name in names.split()}
    read = {name for tree in trees().values() for name in frame_locals(tree)}
    assert read - listed - {"self", "main"} == set(), "`main` is of sim.kernel.node"
    assert listed - read == set(), "they can go"


def test_every_listed_name_is_used_by_sim() -> None:
    mentioned: set[str] = set()
    for tree in trees().values():
        private = set(of_private_modules(tree))
        mentioned |= {*names_in(tree), *texts(tree), *private, *(each.partition(":")[2] for each in private)}
    listed = {entry.partition(">=")[0] for names in cpython.PRIVATE_NAMES.values() for entry in names.split()}
    assert listed - mentioned == set(), "they can go"


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("def step(loop):\n    loop._run_once()", "_run_once"),
        ("import asyncio.base_events as base\nbase._run_until_complete_cb", "_run_until_complete_cb"),
        ("from asyncio.events import _init_event_loop_policy", "_init_event_loop_policy"),
        ("from asyncio.events import _init_event_loop_policy as policy", "_init_event_loop_policy"),
        ("def name(task):\n    return getattr(task, '_must_cancel', None)", "_must_cancel"),
        ("def names(task):\n    return [getattr(task, each) for each in ('_must_cancel',)]", "_must_cancel"),
        ("asks = operator.attrgetter('_loop._run_once')", "_run_once"),
        ("def name(task):\n    return vars(task)['_must_cancel']", "_must_cancel"),
        ("def waits(frame):\n    return frame.f_code.co_name == '_run_once'", "_run_once"),
        ("def make(task, loop):\n    return task(_must_cancel=True)", "_must_cancel"),
        ("def name(task):\n    match task:\n        case Task(_must_cancel=True): ...", "_must_cancel"),
        ("def patch(thread):\n    thread._bootstrap = None", "_bootstrap"),
        ("def bootstrap(self):\n    self._bootstrap_inner()\nThread.run = bootstrap", "_bootstrap_inner"),
        ("def name(it):\n    it._Example__hidden", "_Example__hidden"),
        ("def make():\n    class Loop(base()):\n        def stop(self):\n            self._run_once()", "_run_once"),
        ("class Lock:\n    def _run_once(self): ...", "_run_once"),
        ("class Loop(asyncio.SelectorEventLoop):\n    def _run_once(self): ...", "_run_once"),
        ("class Loop(asyncio.SelectorEventLoop):\n    def stop(self):\n        self._run_once()", "_run_once"),
        ("class Wire(asyncio.Transport):\n    def _set_write_buffer_limits(self): ...", "_set_write_buffer_limits"),
        ("import _heapq", "_heapq"),
        ("heap = import_module('_heapq')", "_heapq"),
        ("def load():\n    from _heapq import merge", "_heapq:merge"),
        ("import _thread\n_thread.interrupt_main()", "_thread:interrupt_main"),
    ],
)
def test_a_name_that_is_not_listed_is_found(source: str, name: str, cpythons: frozenset[str]) -> None:
    assert name not in LISTED, "take another one"
    module = types.ModuleType("sim.kernel.example")
    if source.startswith("class"):
        exec("import asyncio\n" + source, vars(module))
    assert name in used(ast.parse(source), module, cpythons | {"_Example__hidden"}) - LISTED


@pytest.mark.parametrize(
    "source",
    [
        "class Ours:\n    __slots__ = ('_backlog',)\n    def grow(self):\n        self._backlog += 1",
        "def length(queue):\n    return queue.qsize()",
        "import heapq",
        "text = 'where _run_once is a word'",
    ],
)
def test_a_name_of_our_own_is_not_found(source: str, cpythons: frozenset[str]) -> None:
    assert used(ast.parse(source), None, cpythons) == set()


def test_a_mangled_name_of_the_library_is_known() -> None:
    assert "_Example__hidden" in private_names("class _Example:\n    def get(self):\n        return self.__hidden")


@pytest.mark.parametrize("read", ["frame.f_locals.get('x')", "frame.f_locals['x']", "known['x']", "known.get('x', 1)"])
def test_a_local_variable_that_is_read_is_found(read: str) -> None:
    source = f"def of(frame):\n    name, known = frame.f_code.co_name, frame.f_locals\n    return {read}, other['y']"
    assert frame_locals(ast.parse(source)) == {"x"}


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
