"""pytest's side of the simulator: `@pytest.mark.simulated` runs an `async def` test as a node of a simulation.

One test a seed; a leak, or an exception that nobody handled, fails it; a failure shows what led to it, where it parts
from a seed that passed, and the command that replays it. pytest loads this file wherever rpcnet is installed: nothing
of the simulator is imported before a marked test runs. What such a run is: sim.simulated_test. For users:
docs/howto/testing.md.

Tests: tests/sim/pytest_plugin.
"""

import inspect
import os
import re
import shlex
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sim.extras import advice

if TYPE_CHECKING:
    from sim.kernel import Simulation
    from sim.simulated_test import Passed

__all__ = ["SimulatedTest", "simulation"]

MARK = "simulated"
SEED = "_simulated_seed"
DEFAULT_LIMIT = 3600.0
ARGUMENTS = ("seeds", "network", "tie_break", "interleaving", "cpu", "limit", "wall_limit")
PASSED = pytest.StashKey[dict[str, "Passed"]]()
"""Of the test function whose seeds are run: by its other parameters, the last seed that passed."""
MAX_PASSED = 16
"""So many at most: each is an open file, and a test may have any number of other parameters."""


# --- what is marked ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a test's marker says."""

    seeds: Sequence[int] = (1,)
    network: str | Mapping[str, Any] | None = None
    tie_break: str = "fifo"
    interleaving: str = "fifo"
    cpu: str | float | None = None
    limit: float = DEFAULT_LIMIT
    wall_limit: float | None = None


def wanted_of(item: pytest.Item) -> Wanted | None:
    """None where it is not marked. Of several markers (function, class, module) the nearest decides each argument."""
    markers = list(item.iter_markers(MARK))
    if not markers:
        return None
    arguments: dict[str, Any] = {}
    for marker in reversed(markers):
        if marker.args:
            _refuse(item, f"its arguments have names: {', '.join(ARGUMENTS)}; write seeds=20")
        arguments |= marker.kwargs
    for name in arguments:
        if name not in ARGUMENTS:
            _refuse(item, f"it takes no {name!r}; allowed: {', '.join(ARGUMENTS)}")
    limit = arguments.get("limit", DEFAULT_LIMIT)
    if not isinstance(limit, int | float) or not limit > 0:
        _refuse(item, f"limit is virtual seconds above 0, not {limit!r}")
    network = arguments.get("network")
    if not isinstance(network, str | Mapping | None):
        _refuse(item, f'network is a preset ("wan"), or settings ({{"latency": "20ms"}}), not {network!r}')
    arguments["seeds"] = _seeds(item, arguments.get("seeds", 1))
    return Wanted(**arguments)


def _seeds(item: pytest.Item, said: Any) -> Sequence[int]:
    """`20` is 1 to 20; a range or a list is what it is."""
    if isinstance(said, int) and not isinstance(said, bool) and said >= 1:
        return range(1, said + 1)
    if isinstance(said, range) and said:
        return said
    if isinstance(said, Iterable) and not isinstance(said, str | bytes):
        seeds = tuple(said)
        if seeds and all(isinstance(seed, int) for seed in seeds):
            return tuple(dict.fromkeys(seeds))
    _refuse(item, f"seeds is how many (20), or which (range(100, 120)), not {said!r}")
    return ()


def _refuse(item: pytest.Item, why: str) -> None:
    pytest.fail(f"{item.nodeid}: @pytest.mark.{MARK}: {why}", pytrace=False)


# --- hooks ------------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sim", "simulated tests")
    group.addoption(
        "--sim-interleaving",
        choices=("fifo", "random", "pct", "pos", "surw", "mix"),
        default=None,
        help="run simulated tests with this interleaving of a node's tasks, whatever their markers say",
    )
    group.addoption("--sim-seed", type=int, default=None, metavar="N", help="run simulated tests with this seed alone")
    group.addoption(
        "--sim-seeds",
        type=int,
        default=None,
        metavar="N",
        help="run simulated tests with at least N seeds each: those of their markers, and the next numbers",
    )
    group.addoption(
        "--sim-report",
        type=Path,
        default=None,
        metavar="DIR",
        help="write the page of each simulated test that fails into a directory of its name in DIR, with its trace",
    )


def pytest_configure(config: pytest.Config) -> None:
    if (count := config.getoption("--sim-seeds")) is not None:
        if config.getoption("--sim-seed") is not None:
            raise pytest.UsageError("give --sim-seed or --sim-seeds, not both")
        if count < 1:
            raise pytest.UsageError(f"--sim-seeds is how many seeds, at least 1, not {count}")
    if (directory := config.getoption("--sim-report")) is not None:
        from sim.paths import Unwritable, writable_directory

        try:
            writable_directory("--sim-report", config.invocation_params.dir / directory)
        except Unwritable as error:
            raise pytest.UsageError(str(error)) from error
    config.stash[PASSED] = {}
    config.addinivalue_line(
        "markers",
        f"{MARK}(seeds=1, network=None, tie_break='fifo', interleaving='fifo', cpu=None, limit={DEFAULT_LIMIT:g}, "
        'wall_limit=None): run this `async def` as the node "test" of a simulation, once with each seed (20: 1 to 20), '
        "on a network of that preset or those settings, for at most so many virtual and real seconds",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a seed, so that each has fixtures of its own and pytest-xdist can spread them.

    First of all: its part of the test's name is the first one.
    """
    wanted = wanted_of(metafunc.definition)
    if wanted is None or len(seeds := _chosen(metafunc.config, wanted)) == 1:
        return
    metafunc.fixturenames.append(SEED)
    metafunc.parametrize(SEED, seeds, ids=[_seed_id(seed) for seed in seeds], indirect=True)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    """Marked functions become items of ours, whatever another plugin (pytest-asyncio's auto mode) made of them."""
    found = yield
    if isinstance(found, list):
        return [
            SimulatedTest.of(item) if isinstance(item, pytest.Function) and item.get_closest_marker(MARK) else item
            for item in found
        ]
    return found


def pytest_runtest_setup(item: pytest.Item) -> None:
    if not isinstance(item, SimulatedTest) and item.get_closest_marker(MARK):
        _refuse(item, "it is for test functions and methods of plain classes, not for unittest's")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, None, None]:
    """What passed is let go of when another function is next (in a process of pytest-xdist, its own next one)."""
    try:
        yield
    finally:
        if isinstance(item, SimulatedTest) and not item.is_of_the_function_of(nextitem):
            passed = item.config.stash[PASSED]
            while passed:
                passed.popitem()[1].trace.close()


def _chosen(config: pytest.Config, wanted: Wanted) -> Sequence[int]:
    seed: int | None = config.getoption("--sim-seed")
    if seed is not None:
        return (seed,)
    seeds, count = wanted.seeds, config.getoption("--sim-seeds") or 0
    if len(seeds) >= count:
        return seeds
    after = max(seeds) + 1
    more = range(after, after + count - len(seeds))
    return range(seeds[0], more.stop) if isinstance(seeds, range) and seeds.step == 1 else (*seeds, *more)


def _seed_id(seed: int) -> str:
    return f"seed{seed}"


# --- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(name=SEED)
def _simulated_seed(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def simulation(request: pytest.FixtureRequest) -> "Iterator[Simulation]":
    """The simulation that this test runs in: add nodes to it, change its network. The test is its node "test"."""
    item = request.node
    if not isinstance(item, SimulatedTest):
        pytest.fail(f"the fixture `simulation` is for tests that are marked @pytest.mark.{MARK}", pytrace=False)
    try:
        import sim.trace.reader  # noqa: F401 - what a test left behind is read in its trace
        from sim.kernel import Simulation
    except ModuleNotFoundError as error:
        if (text := advice(error)) is None:
            raise
        pytest.fail(text, pytrace=False)

    wanted = item.wanted
    settings = {"preset": wanted.network} if isinstance(wanted.network, str) else dict(wanted.network or {})
    made = wrong = None
    try:
        made = Simulation(
            item.seed,
            tie_break=wanted.tie_break,
            interleaving=item.interleaving,
            cpu=wanted.cpu,
            wall_limit=wanted.wall_limit,
        )
        if settings:
            made.network.default_link(**settings)
    except (ValueError, TypeError) as error:
        wrong = str(error)
    if made is None or wrong is not None:  # told here, so that the error which said so is not shown above it
        _refuse(item, str(wrong))
        return
    made.add_node("test")
    item.simulation = made
    try:
        yield made
    finally:
        try:
            made.close()
        finally:
            item.simulation = None
            if not item.keep(made):
                made.trace.close()


# --- the test ---------------------------------------------------------------------------------------------------------


class SimulatedTest(pytest.Function):
    """A test whose body runs on a node, in virtual time."""

    wanted: Wanted
    seed: int
    simulation: "Simulation | None" = None
    lines: int | None = None
    """Of its trace, when its body was through; None where it has not passed."""

    @classmethod
    def of(cls, item: pytest.Function) -> "SimulatedTest":
        """The same test as pytest, or another plugin, collected it."""
        parent: Any = item.parent
        made: SimulatedTest = cls.from_parent(
            parent,
            name=item.name,
            callspec=getattr(item, "callspec", None),
            callobj=item.obj,
            fixtureinfo=item._fixtureinfo,
            keywords=item.keywords,
            originalname=item.originalname,
        )
        made.own_markers = item.own_markers
        wanted = wanted_of(made)
        assert wanted is not None, "it is marked"
        made.wanted = replace(wanted, seeds=())  # else each of thousands of items holds thousands of numbers
        seeds = _chosen(made.config, wanted)
        seed: Any = seeds[0] if len(seeds) == 1 else made.callspec.params[SEED]
        made.seed = seed
        return made

    def setup(self) -> None:
        if hasattr(self.obj, "hypothesis"):
            _refuse(
                self,
                "@given runs a test many times, and this one is a single run: leave the marker out, write `def`, and "
                "call sim.run(coroutine) in it",
            )
        if not inspect.iscoroutinefunction(self.obj):
            _refuse(self, "a simulated test is a node, and a node runs a coroutine: write `async def`, and no `yield`")
        super().setup()
        # The body runs in it whether it asks for it or not.
        self._request.getfixturevalue("simulation")

    def runtest(self) -> None:
        from sim.simulated_test import run_body

        assert self.simulation is not None
        arguments = {name: self.funcargs[name] for name in self._fixtureinfo.argnames}
        self.lines = None
        self.lines = run_body(self.simulation, self.obj, arguments, self.name, self.wanted.limit)

    def keep(self, simulation: "Simulation") -> bool:
        """Keep the trace of a run that passed for the seeds that are still to come, in the place of the one before."""
        passed = self.config.stash[PASSED]
        if self.lines is None or self._seed_id is None or (len(passed) >= MAX_PASSED and self.others not in passed):
            return False
        from sim.simulated_test import Passed

        if before := passed.get(self.others):
            before.trace.close()
        simulation.trace.on_error = None  # it is the simulation's, which shall go
        passed[self.others] = Passed(self.seed, simulation.trace, self.lines)
        return True

    def is_of_the_function_of(self, other: pytest.Item | None) -> bool:
        """Whether the two are runs of one function."""
        return isinstance(other, SimulatedTest) and (other.parent, other.originalname) == (
            self.parent,
            self.originalname,
        )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        if self.simulation is None:
            return super().repr_failure(excinfo)
        from sim.simulated_test import OURS, Unclean, apart, what_led_here

        error = excinfo.value
        # What we found out about the test is no line of anybody's code.
        shown: Any = excinfo.getrepr(style="value") if isinstance(error, OURS) else super().repr_failure(excinfo)
        if not hasattr(shown, "addsection"):
            return shown
        lines = error.lines if isinstance(error, Unclean) else ()
        told = [what_led_here(self.simulation, lines)]
        if passed := self.config.stash[PASSED].get(self.others):
            told.append(apart(self.simulation, passed, ended=isinstance(error, Unclean)))
        if page := self._written_page(error):
            told.append(f"its page: {page}")
        told.append(f"run it again: {self.command}")
        shown.addsection(f"seed {self.seed}, {self.simulation.now:g} s", "\n".join(told))
        return shown

    def _written_page(self, error: BaseException) -> str | None:
        """Where the page of this run is, written where `--sim-report` says; or why it could not be."""
        directory: Path | None = self.config.getoption("--sim-report")
        if directory is None or self.simulation is None:
            return None
        from sim.simulated_test import write_page

        folder = self.config.invocation_params.dir / directory / re.sub(r"[^\w.-]+", "-", self.nodeid).strip(".-")
        try:
            return str(write_page(self.simulation, folder, self.nodeid, self.command, error))
        except (OSError, ImportError) as wrong:
            return f"cannot be written: {(isinstance(wrong, ImportError) and advice(wrong)) or wrong}"

    @property
    def command(self) -> str:
        """The command line that runs this test with this seed."""
        path = os.path.relpath(self.path, self.config.invocation_params.dir)
        name = self.nodeid.partition("::")[2]
        if self.name != self.originalname:
            # With --sim-seed there is one seed, and tests are not told apart by it.
            name = name.removesuffix(f"[{self.callspec.id}]") + (f"[{self.others}]" if self.others else "")
        words = ["pytest", f"{path}::{name}", "--sim-seed", str(self.seed)]
        if self.interleaving != "fifo":
            words += ["--sim-interleaving", self.interleaving]
        return shlex.join(words)

    @property
    def interleaving(self) -> str:
        """What the command line says, or else the marker."""
        said: str | None = self.config.getoption("--sim-interleaving")
        return self.wanted.interleaving if said is None else said

    @property
    def others(self) -> str:
        """Its parameters without the seed, as they stand in its name."""
        id_ = self.callspec.id if self.name != self.originalname else ""
        return id_ if self._seed_id is None else id_.removeprefix(self._seed_id).removeprefix("-")

    @property
    def _seed_id(self) -> str | None:
        """What its name begins its parameters with; None where there is one seed."""
        callspec = getattr(self, "callspec", None)
        return _seed_id(self.seed) if callspec is not None and SEED in callspec.params else None
