"""Runs a room's own tests against its mutants, each in a child process of its own over a copy of the project.

A first run notes which test runs which line and how long each takes. A mutant is then given the tests that run the
changed lines, the quickest first, until one fails. The child is a fork of this process, in which pytest and all
other packages are imported but nothing of the project.

Tests: tests/mutation/test_mutation.py.
"""

import compileall
import contextlib
import importlib
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil, inf
from pathlib import Path
from py_compile import PycInvalidationMode
from typing import Any

import coverage
import pytest

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.rooms import Room

__all__ = ["Verdict", "mutants_of", "run"]

NOT_COPIED = (".venv", ".git", "__pycache__", "reports", "benchmarks", "*.egg-info", ".hypothesis", ".*_cache")
PRELOADED = ("hypothesis", "hypothesis.stateful", "msgspec", "msgpack", "cryptography", "asyncio", "pytest_timeout")
TIMES_OF_A_CLEAN_RUN = 5
LEAST_SECONDS = 10
"""Of the processor. By the clock a child has WALL times as long: it may wait, and the machine may be busy."""
WALL = 4
LARGEST_BYTES = 4 << 30
"""Address space of a child: a mutant may grow without end."""
POLL_SECONDS = 0.005
PASSED = 0
MARKERS = "not slow and not gate"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: `why` says it where nothing failed."""

    mutant: Mutant
    survived: bool
    why: str
    seconds: float


@dataclass
class Clean:
    """What was learnt from the runs of the unchanged project."""

    seconds: dict[str, float] = field(default_factory=dict)
    by_line: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    """By file and line: the tests that run it; "" stands for the import of the file."""

    def tests_for(self, mutant: Mutant, budget: float) -> list[str]:
        """The quickest first, and no more than fit into so many seconds; at least one."""
        lines = self.by_line.get(mutant.file, {})
        found = {test for line in range(mutant.first, mutant.last + 1) for test in lines.get(line, ())}
        chosen = self.seconds if "" in found else found
        ordered = sorted((test for test in chosen if test in self.seconds), key=lambda test: (self.seconds[test], test))
        ends = accumulate(self.seconds[test] for test in ordered)
        return [test for place, (test, end) in enumerate(zip(ordered, ends, strict=True)) if not place or end <= budget]


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
    """The verdicts in the order of `chosen`. `budget`: seconds of tests that a mutant is given at most.

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
        return _play(root, copies, clean, chosen, tell, budget)


# The unchanged project.


def _learn(root: Path, copied: Path, room: Room, folder: Path) -> Clean:
    notes = folder / "notes.json"
    tests = [str(copied / path) for path in room.tests]
    left_out = [f"--ignore={copied / path}" for path in room.without]
    child = _fork(
        root, copied, [*tests, *left_out], _Learning(copied, room, notes), folder / "clean", keep_bytecode=True
    )
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != PASSED:
        raise RuntimeError(f"the tests fail already without a mutant:\n{(folder / 'clean').read_text()[-4000:]}")
    learnt = json.loads(notes.read_text())
    by_line = {file: {int(line): found for line, found in lines.items()} for file, lines in learnt["by_line"].items()}
    return Clean(learnt["seconds"], by_line)


class _Learning:
    """A pytest plugin for the run without a mutant."""

    def __init__(self, root: Path, room: Room, notes: Path) -> None:
        self._root, self._notes = root, notes
        self._seconds: dict[str, float] = {}
        files = [str(root / file) for file in room.files(root)]
        self._cover = coverage.Coverage(data_file=None, include=files, config_file=False)
        self._cover.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._cover.switch_context(item.nodeid)
        began = time.process_time()
        result = yield
        self._seconds[item.nodeid] = time.process_time() - began
        self._cover.switch_context("")
        return result

    def pytest_sessionfinish(self) -> None:
        by_line: dict[str, dict[int, list[str]]] = {}
        self._cover.stop()
        data = self._cover.get_data()
        for file in data.measured_files():
            lines = data.contexts_by_lineno(file)
            by_line[str(Path(file).relative_to(self._root))] = {
                line: sorted({context for context in contexts if context in self._seconds or not context})
                for line, contexts in lines.items()
            }
        package = sys.modules["rpcnet"].__file__
        assert package is not None and Path(package).is_relative_to(self._root), "it runs what stands in the copy"
        self._notes.write_text(json.dumps({"seconds": self._seconds, "by_line": by_line}))


# The mutants.


@dataclass
class _Slot:
    """A copy of the project and the child that runs in it."""

    copied: Path
    child: int = 0
    place: int = 0
    """Of the mutant, in the list."""
    mutant: Mutant | None = None
    began: float = 0.0
    limit: float = 0.0


def _play(
    root: Path,
    copies: list[Path],
    clean: Clean,
    chosen: list[Mutant],
    tell: Callable[[Verdict, int], None],
    budget: float,
) -> list[Verdict]:
    verdicts: dict[int, Verdict] = {}
    waiting = list(enumerate(chosen))[::-1]
    slots = [_Slot(copied) for copied in copies]

    def say(place: int, verdict: Verdict) -> None:
        verdicts[place] = verdict
        tell(verdict, len(verdicts))

    try:
        while waiting or any(slot.child for slot in slots):
            for slot in slots:
                if slot.child:
                    verdict = _look(slot)
                    if verdict is not None:
                        say(slot.place, verdict)
                while not slot.child and waiting:
                    place, mutant = waiting.pop()
                    tests = clean.tests_for(mutant, budget)
                    if tests:
                        _start(root, slot, place, mutant, tests, clean)
                    else:
                        say(place, Verdict(mutant, True, "no test runs this line", 0.0))
            time.sleep(POLL_SECONDS)
    finally:
        for slot in slots:
            if slot.child:
                _kill(slot.child)
    return [verdicts[place] for place in range(len(chosen))]


def _start(root: Path, slot: _Slot, place: int, mutant: Mutant, tests: list[str], clean: Clean) -> None:
    (slot.copied / mutant.file).write_text(mutant.text)
    files = list(dict.fromkeys(str(slot.copied / test.partition("::")[0]) for test in tests))
    slot.place, slot.mutant, slot.began = place, mutant, time.monotonic()
    seconds = ceil(max(LEAST_SECONDS, TIMES_OF_A_CLEAN_RUN * sum(clean.seconds[test] for test in tests)))
    slot.limit = seconds * WALL
    slot.child = _fork(root, slot.copied, ["-x", *files], _Chosen(tests), None, seconds=seconds)


def _look(slot: _Slot) -> Verdict | None:
    """The verdict, once there is one."""
    mutant, seconds = slot.mutant, time.monotonic() - slot.began
    assert mutant is not None, "a child runs a mutant"
    ended, status = os.waitpid(slot.child, os.WNOHANG)
    if not ended:
        if seconds < slot.limit:
            return None
        _kill(slot.child)
        verdict = Verdict(mutant, False, "", seconds)
    else:
        _kill_group(slot.child)  # what it may have started
        survived = os.waitstatus_to_exitcode(status) == PASSED
        verdict = Verdict(mutant, survived, "all tests pass" if survived else "", seconds)
    (slot.copied / mutant.file).write_text(mutant.original)
    slot.child, slot.mutant = 0, None
    return verdict


class _Chosen:
    """A pytest plugin: these tests alone, in this order."""

    def __init__(self, tests: list[str]) -> None:
        self._order = {test: place for place, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._order), key=lambda item: self._order[item.nodeid]
        )


# Children.


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
    """Start pytest in a child over this copy; its exit code is pytest's."""
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
        os.chdir(copied)
        os.environ["PYTHONPATH"] = str(copied)
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        sys.dont_write_bytecode = not keep_bytecode
        sys.path[:] = [str(copied), *(path for path in sys.path if path not in ("", ".", str(root)))]
        for name in list(sys.modules):
            if name.partition(".")[0] in ("tests", "rpcnet", "sim"):
                del sys.modules[name]
        options = ["-q", "-m", MARKERS, "--hypothesis-profile=mutation", "--no-header", "--rootdir", str(copied)]
        options += [f"-pno:{name}" for name in ("nbmake", "cov", "xdist")]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what was imported before the fork
        code = int(pytest.main([*options, *arguments], plugins=[plugin]))
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _kill(child: int) -> None:
    _kill_group(child)
    os.waitpid(child, 0)


def _kill_group(child: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
