"""Runs a room's own tests against its mutants, each in a child process of its own over a copy of the project.

A first run notes which test runs which line and how long each takes. A mutant is then given the tests that run the
changed lines, until one fails: first those of a few files, then the others, each time the quickest first. A change
within a function meets them in a fork of a process that has collected all tests of the room (`_Player`), where the
function is given the code of the mutant. Any other change meets them in a fork in which pytest is imported but nothing
of the project: all is imported and collected anew, which takes seconds.

A test that takes far longer than it did is no verdict yet: the machine may be busy. The mutant is judged once more,
from that test on, with a longer limit. What runs out of time twice, or uses up its processor time, hangs: that kills a
mutant as a failure does, and its verdict says so.

Tests: tests/mutation/test_mutation.py.
"""

import compileall
import contextlib
import importlib
import json
import mmap
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil, inf
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from py_compile import PycInvalidationMode
from types import CodeType, FunctionType
from typing import Any

import coverage
import pytest
from _pytest.main import pytest_runtestloop as run_collected

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.patch import patched
from tests.mutation.rooms import Room

__all__ = ["Verdict", "mutants_of", "run"]

NOT_COPIED = (".venv", ".git", "__pycache__", "reports", "benchmarks", "*.egg-info", ".hypothesis", ".*_cache")
PRELOADED = ("hypothesis", "hypothesis.stateful", "msgspec", "msgpack", "cryptography", "asyncio", "pytest_timeout")
TIMES_OF_A_CLEAN_RUN = 5
LEAST_SECONDS = 10
"""By the clock, of one test; and of the processor, of all tests of a mutant."""
LONGER = 5
"""So many times as long a test may take when its mutant is judged for the second time."""
LARGEST_BYTES = 4 << 30
"""Address space of a child: a mutant may grow without end."""
FIRST_FILES = 5
FIRST_SECONDS = 1.0
"""What a mutant meets first: the tests up to so long in so many files. Collecting all takes longer than most live."""
POLL_SECONDS = 0.005
PASSED = 0
MARKERS = "not slow and not gate"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: `why` says it where no test failed."""

    mutant: Mutant
    survived: bool
    why: str
    seconds: float

    @property
    def hangs(self) -> bool:
        """Killed, as it ran out of time."""
        return not self.survived and bool(self.why)


@dataclass
class Clean:
    """What was learnt from the runs of the unchanged project."""

    seconds: dict[str, float] = field(default_factory=dict)
    """Of the processor, by test."""
    clock: dict[str, float] = field(default_factory=dict)
    """The same by the clock; "" stands for what comes before the first test."""
    by_line: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    """By file and line: the tests that run it; "" stands for the import of the file."""

    def _that_run(self, mutant: Mutant) -> set[str]:
        lines = self.by_line.get(mutant.file, {})
        return {test for line in range(mutant.first, mutant.last + 1) for test in lines.get(line, ())}

    def runs_at_import(self, mutant: Mutant) -> bool:
        """Whether what is changed has run before any test, be it in a function."""
        return "" in self._that_run(mutant)

    def rounds(self, mutant: Mutant, budget: float) -> list[list[str]]:
        """Two at most, each with the quickest test first.

        The quick tests of the module's own file and of the few that hold most of the tests which run the line; then the
        others, and of these no more than fit into so many seconds, though at least one test in all.
        """
        found = self._that_run(mutant)
        chosen = self.seconds if "" in found else found
        ordered = sorted((test for test in chosen if test in self.seconds), key=lambda test: (self.seconds[test], test))
        files = Counter(_file_of(test) for test in ordered)
        own = f"test_{Path(mutant.file).name}"
        early = {file for file, _ in files.most_common(FIRST_FILES)} | {f for f in files if Path(f).name == own}
        first = [test for test in ordered if _file_of(test) in early and self.seconds[test] <= FIRST_SECONDS]
        taken = set(first)
        others = [test for test in ordered if test not in taken]
        ends = accumulate(self.seconds[test] for test in others)
        second = [
            test
            for place, (test, end) in enumerate(zip(others, ends, strict=True))
            if end <= budget or (not place and not first)
        ]
        return [tests for tests in (first, second) if tests]

    def limit(self, test: str) -> float:
        """How long a test may take by the clock before its mutant is judged again."""
        return max(LEAST_SECONDS, TIMES_OF_A_CLEAN_RUN * self.clock[test])

    def processor_limit(self, tests: list[str]) -> int:
        return ceil(max(LEAST_SECONDS, TIMES_OF_A_CLEAN_RUN * sum(self.seconds[test] for test in tests)))


def _file_of(test: str) -> str:
    return test.partition("::")[0]


def mutants_of(root: Path, room: Room) -> list[Mutant]:
    """Every mutant of a room."""
    return [mutant for file in room.files(root) for mutant in mutants(file, (root / file).read_text())]


def run(
    root: Path,
    room: Room,
    chosen: list[Mutant],
    *,
    jobs: int,
    tell: Callable[[Verdict, int], None],
    budget: float = inf,
) -> list[Verdict]:
    """The verdicts in the order of `chosen`. `budget`: seconds of tests beyond the first that a mutant is given.

    Raises RuntimeError where the unchanged project's tests fail.
    """
    for name in PRELOADED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [Path(folder) / str(number) for number in range(jobs)]
        shutil.copytree(root, copies[0], ignore=shutil.ignore_patterns(*NOT_COPIED))
        # Bytecode that is checked against its source's hash: a mutant of equal length in the same second is no match.
        for package in ("rpcnet", "sim"):
            compileall.compile_dir(copies[0] / package, quiet=1, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        clean = _learn(root, copies[0], room, Path(folder))
        for place in copies[1:]:
            shutil.copytree(copies[0], place)
        return _collected(root, copies, clean, room, chosen, tell, budget)


def _arguments(copied: Path, room: Room) -> list[str]:
    """The tests of a room, for pytest."""
    tests = [str(copied / path) for path in room.tests]
    return [*tests, *(f"--ignore={copied / path}" for path in room.without)]


# The unchanged project.


def _learn(root: Path, copied: Path, room: Room, folder: Path) -> Clean:
    notes = folder / "notes.json"
    plugin = _Learning(copied, room, notes)
    child = _fork(root, copied, _arguments(copied, room), plugin, folder / "clean", keep_bytecode=True)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != PASSED:
        raise RuntimeError(f"the tests fail already without a mutant:\n{(folder / 'clean').read_text()[-4000:]}")
    learnt = json.loads(notes.read_text())
    names = [*learnt["seconds"], ""]  # by the numbers that stand in the notes; -1 is the import
    by_line = {
        file: {int(line): [names[number] for number in found] for line, found in lines.items()}
        for file, lines in learnt["by_line"].items()
    }
    return Clean(learnt["seconds"], learnt["clock"], by_line)


class _Learning:
    """A pytest plugin for the run without a mutant."""

    def __init__(self, root: Path, room: Room, notes: Path) -> None:
        self._root, self._notes = root, notes
        self._seconds: dict[str, float] = {}
        self._began = time.monotonic()
        self._clock: dict[str, float] = {}
        files = [str(root / file) for file in room.files(root)]
        self._cover = coverage.Coverage(data_file=None, include=files, config_file=False)
        self._cover.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._cover.switch_context(item.nodeid)
        began, clock = time.process_time(), time.monotonic()
        self._clock.setdefault("", clock - self._began)
        result = yield
        self._seconds[item.nodeid] = time.process_time() - began
        self._clock[item.nodeid] = time.monotonic() - clock
        self._cover.switch_context("")
        return result

    def pytest_sessionfinish(self) -> None:
        by_line: dict[str, dict[int, list[int]]] = {}
        self._cover.stop()
        data = self._cover.get_data()
        numbers = {test: number for number, test in enumerate(self._seconds)} | {"": -1}
        for file in data.measured_files():
            lines = data.contexts_by_lineno(file)
            by_line[str(Path(file).relative_to(self._root))] = {
                line: sorted({numbers[context] for context in contexts if context in numbers})
                for line, contexts in lines.items()
            }
        package = sys.modules["rpcnet"].__file__
        assert package is not None and Path(package).is_relative_to(self._root), "it runs what stands in the copy"
        self._notes.write_text(json.dumps({"seconds": self._seconds, "clock": self._clock, "by_line": by_line}))


# The mutants.


def _collected(
    root: Path,
    copies: list[Path],
    clean: Clean,
    room: Room,
    chosen: list[Mutant],
    tell: Callable[[Verdict, int], None],
    budget: float,
) -> list[Verdict]:
    """Have a child collect the tests and play the mutants; hand on what it says."""
    verdicts: dict[int, Verdict] = {}
    ours, theirs = Pipe(duplex=False)
    output = copies[0].with_name("collected")
    plans = [(mutant, clean.runs_at_import(mutant), clean.rounds(mutant, budget)) for mutant in chosen]
    clean.by_line.clear()  # else each child that collects garbage would look through it, and so copy it
    player = _Player(root, copies, clean, plans, theirs)
    child = _fork(root, copies[0], ["-s", "--timeout=0", *_arguments(copies[0], room)], player, output)
    theirs.close()
    try:
        with contextlib.suppress(EOFError):
            while True:
                place, survived, why, seconds = ours.recv()
                verdicts[place] = Verdict(chosen[place], survived, why, seconds)
                tell(verdicts[place], len(verdicts))
    finally:
        ours.close()  # the next verdict that it sends ends it
        os.waitpid(child, 0)
    if len(verdicts) < len(chosen):
        raise RuntimeError(f"not all mutants were played:\n{output.read_text()[-4000:]}")
    return [verdicts[place] for place in range(len(chosen))]


class _Player:
    """A pytest plugin: instead of running what was collected, it plays the mutants."""

    def __init__(
        self,
        root: Path,
        copies: list[Path],
        clean: Clean,
        plans: list[tuple[Mutant, bool, list[list[str]]]],
        results: Connection,
    ) -> None:
        """`plans`: the mutants, whether each must be imported anew, and their rounds of tests."""
        self._root, self._copies, self._clean, self._plans = root, copies, clean, plans
        self._results, self._parent = results, os.getpid()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        patches = sys.modules.get("sim.kernel.patches")
        if patches is not None:
            patches.install()  # which looks at every object that there is: once, not in each child
        slots = [_Slot(self._root, copied, self._clean, session) for copied in self._copies]
        waiting = list(enumerate(self._plans))[::-1]
        try:
            while waiting or not all(slot.is_free for slot in slots):
                for slot in slots:
                    if not slot.is_free:
                        self._say(slot.place, slot.look())
                    while slot.is_free and waiting:
                        place, (mutant, anew, rounds) = waiting.pop()
                        if rounds:
                            slot.start(place, mutant, anew, rounds)
                        else:
                            self._say(place, Verdict(mutant, True, "no test runs this line", 0.0))
                if os.getppid() != self._parent:
                    break  # nobody listens any more
                time.sleep(POLL_SECONDS)
        finally:
            for slot in slots:
                slot.stop()
        return True

    def _say(self, place: int, verdict: Verdict | None) -> None:
        if verdict is not None:
            self._results.send((place, verdict.survived, verdict.why, verdict.seconds))


class _Slot:
    """A copy of the project and the child that runs a mutant's tests in it."""

    def __init__(self, root: Path, copied: Path, clean: Clean, session: pytest.Session) -> None:
        self._root, self._copied, self._clean, self._session = root, copied, clean, session
        self._items = {item.nodeid: item for item in session.items}
        self._child = 0
        self._progress = mmap.mmap(-1, 8)

    @property
    def is_free(self) -> bool:
        return not self._child

    def start(self, place: int, mutant: Mutant, anew: bool, rounds: list[list[str]]) -> None:
        """`place`: of the mutant in the list. `anew`: its file must be imported anew."""
        self.place, self._mutant, self._began = place, mutant, time.monotonic()
        (self._copied / mutant.file).write_text(mutant.text)
        self._change = None if anew else patched(mutant)
        self._waiting = rounds[1:]
        self._judge(rounds[0], 1)

    def _judge(self, tests: list[str], patience: float) -> None:
        self._tests, self._patience = tests, patience
        self._reached, self._since = 0, time.monotonic()
        self._progress[:] = bytes(8)
        seconds = self._clean.processor_limit(tests)
        plugin = _Chosen(tests, self._progress)
        change = self._change
        if change is not None:
            self._child = _child(lambda: self._run_patched(*change, tests, plugin), None, seconds)
        else:
            files = list(dict.fromkeys(str(self._copied / _file_of(test)) for test in tests))
            arguments = ["-x", "--timeout=0", *files]
            self._child = _fork(self._root, self._copied, arguments, plugin, None, seconds=seconds)

    def _run_patched(self, function: FunctionType, code: CodeType, tests: list[str], plugin: "_Chosen") -> int:
        """In the child: these tests, as collected, with the function changed."""
        _go_to(self._copied)
        function.__code__ = code
        session = self._session
        session.items = [self._items[test] for test in tests]
        session.config.option.maxfail = 1
        session.config.pluginmanager.register(plugin)
        with contextlib.suppress(session.Failed):
            run_collected(session)
        return int(session.testsfailed > 0)

    def look(self) -> Verdict | None:
        """The verdict, once there is one."""
        ended, status = os.waitpid(self._child, os.WNOHANG)
        if ended:
            _kill_group(self._child)  # what it may have started
            code = os.waitstatus_to_exitcode(status)
            if code in (-signal.SIGKILL, -signal.SIGXCPU):
                return self._verdict(False, "it used up its processor time")
            if code == PASSED and self._waiting:
                self._judge(self._waiting.pop(0), 1)
                return None
            return self._verdict(code == PASSED, "all tests pass" if code == PASSED else "")
        reached = int.from_bytes(self._progress[:])
        if reached != self._reached:
            self._reached, self._since = reached, time.monotonic()
        test = self._tests[reached - 1] if reached else ""
        if time.monotonic() - self._since < self._clean.limit(test) * self._patience:
            return None
        _kill(self._child)
        if self._patience > 1:
            return self._verdict(False, f"twice out of time in {test or 'the collection of its tests'}")
        self._judge(self._tests[max(reached - 1, 0) :], LONGER)
        return None

    def _verdict(self, survived: bool, why: str) -> Verdict:
        (self._copied / self._mutant.file).write_text(self._mutant.original)
        self._child = 0
        return Verdict(self._mutant, survived, why, time.monotonic() - self._began)

    def stop(self) -> None:
        if self._child:
            _kill(self._child)


class _Chosen:
    """A pytest plugin: these tests alone, in this order; it notes in `progress` how many have begun."""

    def __init__(self, tests: list[str], progress: mmap.mmap) -> None:
        self._order = {test: place for place, test in enumerate(tests)}
        self._progress = progress

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._order), key=lambda item: self._order[item.nodeid]
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._progress[:] = (self._order[nodeid] + 1).to_bytes(8)


# Children.


def _child(work: Callable[[], int], output: Path | None, seconds: int | None) -> int:
    """Fork, with limits; what `work` returns is the child's exit code."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setpgid(0, 0)
        out = os.open(output or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (LARGEST_BYTES, hard))
        if seconds is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _go_to(copied: Path) -> None:
    """So that this child, and those that a test starts, find this copy."""
    os.chdir(copied)
    os.environ["PYTHONPATH"] = str(copied)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def _fork(
    root: Path,
    copied: Path,
    arguments: list[str],
    plugin: Any,
    output: Path | None,
    *,
    seconds: int | None = None,
    keep_bytecode: bool = False,
) -> int:
    """Start pytest in a child over this copy, with nothing of the project imported; its exit code is pytest's."""

    def work() -> int:
        _go_to(copied)
        sys.dont_write_bytecode = not keep_bytecode
        first = copied.parent
        kept = (path for path in sys.path if path not in ("", ".", str(root)) and Path(path).parent != first)
        sys.path[:] = [str(copied), *kept]
        for name in list(sys.modules):
            if name.partition(".")[0] in ("tests", "rpcnet", "sim"):
                del sys.modules[name]
        options = ["-q", "-m", MARKERS, "--hypothesis-profile=mutation", "--no-header", "--rootdir", str(copied)]
        options += [f"-pno:{name}" for name in ("cov", "xdist")]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what was imported before the fork
        return int(pytest.main([*options, *arguments], plugins=[plugin]))

    return _child(work, output, seconds)


def _kill(child: int) -> None:
    _kill_group(child)
    os.waitpid(child, 0)


def _kill_group(child: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
