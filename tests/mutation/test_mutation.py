"""The tool against a project of three files, and a sample of the real one."""

import subprocess
import sys
from math import inf
from pathlib import Path

import pytest

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.rooms import Room
from tests.mutation.run import Clean, Verdict, mutants_of, run
from tests.mutation.survivors import complaints, entry, load

ROOT = Path(__file__).parents[2]
ROOM = Room(("rpcnet",), ("tests/rpcnet",), ("tests/rpcnet/other",))
SOURCE = """def larger(a, b):
    return a if a > b else b


def forever(n):
    while n > 0:
        n -= 1
    return n


def untested(a):
    return a + 1


def at_import():
    return 5


VALUE = at_import()
"""
TEST = """from rpcnet.code import VALUE, forever, larger


def test_value():
    assert VALUE == 5


def test_larger():
    assert larger(1, 2) == larger(2, 1) == 2


def test_forever():
    assert forever(3) == 0
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "rpcnet/__init__.py": "",
        "rpcnet/code.py": SOURCE,
        "sim/__init__.py": "",
        "tests/conftest.py": "from hypothesis import settings\nsettings.register_profile('mutation', settings())\n",
        "tests/rpcnet/test_code.py": TEST,
        "tests/rpcnet/other/test_of_another_room.py": "def test_fails():\n    assert False\n",
        "pyproject.toml": "[tool.pytest.ini_options]\naddopts = '--import-mode=importlib -p no:sim'\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


# Mutants that never end are given their time, twice: half a minute.
@pytest.mark.slow
def test_killed_and_surviving_mutants_are_told_apart(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mutation.run.LEAST_SECONDS", 2)  # several of them run for ever
    everything = mutants_of(project, ROOM)
    told: list[int] = []
    verdicts = run(project, ROOM, everything, jobs=2, tell=lambda _, done: told.append(done))
    assert [found.mutant for found in verdicts] == everything
    assert told == list(range(1, len(everything) + 1))
    assert {found.mutant.mutant: found.why for found in verdicts if found.survived} == {
        "return a if (a >= b) else b": "all tests pass",
        "return None": "no test runs this line",
        "return (a - 1)": "no test runs this line",
        "return a + 2": "no test runs this line",
        "return a + 0": "no test runs this line",
    }
    assert {found.mutant.mutant for found in verdicts if found.hangs} == {"pass", "n -= 0", "n += 1"}
    assert (project / "rpcnet/code.py").read_text() == SOURCE, "the project itself is never changed"


# Stands still the first time that it meets a mutant, as on a machine that gives it no time.
TEST_THAT_STANDS_STILL_ONCE = """import signal
from pathlib import Path

from rpcnet.code import larger

HERE = Path(__file__).parents[2]


def test_larger():
    assert larger(1, 2) == 2
    times = HERE / "times"
    with times.open("a") as file:
        file.write("x")
    if len(times.read_text()) == 2:
        signal.pause()


def test_last():
    assert larger(0, 0) is not None
"""


@pytest.mark.gate
def test_out_of_time_once_is_judged_again_not_killed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mutation.run.LEAST_SECONDS", 2)
    (project / "tests/rpcnet/test_code.py").write_text(TEST_THAT_STANDS_STILL_ONCE)
    (mutant,) = (mutant for mutant in mutants_of(project, ROOM) if mutant.mutant == "return a if (a >= b) else b")
    (found,) = run(project, ROOM, [mutant], jobs=1, tell=lambda *_: None)
    assert (found.survived, found.hangs, found.why) == (True, False, "all tests pass")


@pytest.mark.slow
def test_what_waits_for_ever_is_killed_and_listed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mutation.run.LEAST_SECONDS", 2)
    monkeypatch.setattr("tests.mutation.run.LONGER", 2)
    text = TEST_THAT_STANDS_STILL_ONCE.replace("== 2:\n", ">= 2:\n")
    (project / "tests/rpcnet/test_code.py").write_text(text)
    (mutant,) = (mutant for mutant in mutants_of(project, ROOM) if mutant.mutant == "return a if (a >= b) else b")
    (found,) = run(project, ROOM, [mutant], jobs=1, tell=lambda *_: None)
    assert (found.survived, found.hangs) == (False, True)
    assert found.why == "twice out of time in tests/rpcnet/test_code.py::test_larger"


def test_a_mutant_meets_quick_tests_of_few_files_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mutation.run.FIRST_FILES", 1)
    seconds = {
        "b.py::quick": 0.1,
        "a.py::quick": 0.2,
        "t/test_code.py::own": 0.3,
        "a.py::slow": 1.5,
        "a.py::slower": 2.0,
    }
    mutant = mutants("rpcnet/code.py", SOURCE)[0]
    clean = Clean(seconds, by_line={mutant.file: {mutant.first: list(seconds)}})
    first = ["a.py::quick", "t/test_code.py::own"]
    assert clean.rounds(mutant, inf) == [first, ["b.py::quick", "a.py::slow", "a.py::slower"]]
    assert clean.rounds(mutant, 1.7) == [first, ["b.py::quick", "a.py::slow"]]
    assert clean.rounds(mutant, 0.0) == [first]
    slow = Clean(seconds, by_line={mutant.file: {mutant.first: ["a.py::slow", "a.py::slower"]}})
    assert slow.rounds(mutant, 0.0) == [["a.py::slow"]]
    assert Clean(seconds).rounds(mutant, inf) == []


@pytest.mark.gate
def test_a_project_whose_tests_fail_is_refused(project: Path) -> None:
    (project / "tests/rpcnet/test_code.py").write_text(
        "import rpcnet.code\n\n\ndef test_it():\n    assert 1 == 2, 'so it is'\n"
    )
    with pytest.raises(RuntimeError, match="so it is"):
        run(project, ROOM, [], jobs=1, tell=lambda *_: None)


# The list of survivors.


def verdict(mutant: Mutant, survived: bool) -> Verdict:
    return Verdict(mutant, survived, "all tests pass" if survived else "", 0.0)


def test_a_survivor_needs_a_reason_and_a_reason_a_survivor() -> None:
    everything = mutants("rpcnet/code.py", SOURCE)
    first, second, *rest = everything
    argued = {first.key: "It makes no difference."}
    killed = [verdict(mutant, False) for mutant in rest]
    assert complaints(argued, everything, [verdict(first, True), verdict(second, False), *killed]) == []
    (unargued,) = complaints(argued, everything, [verdict(first, True), verdict(second, True), *killed])
    assert unargued.startswith(f"rpcnet/code.py:{second.first}: a mutant survives")
    assert second.diff in unargued
    (by_now,) = complaints(argued, everything, [verdict(first, False), verdict(second, False)])
    assert "kills by now" in by_now
    gone = {("rpcnet/code.py", "f", "x = 1", "x = 2"): "It was so.", ("rpcnet/other.py", "", "a", "b"): "Elsewhere."}
    (no_longer,) = complaints(argued | gone, everything, [verdict(first, True)])
    assert "no longer exists" in no_longer
    assert "x = 2" in no_longer


def test_a_sample_without_the_survivor_of_two_equal_lines_is_no_complaint() -> None:
    everything = mutants("a.py", "class A:\n    def f(self):\n        g(1)\n        g(1)\n")
    first, second = (mutant for mutant in everything if mutant.mutant == "pass")
    argued = {first.key: "The second call changes nothing."}
    assert first.key == second.key
    assert complaints(argued, everything, [verdict(first, False)]) == []
    assert complaints(argued, everything, [verdict(first, False), verdict(second, True)]) == []
    (by_now,) = complaints(argued, everything, [verdict(first, False), verdict(second, False)])
    assert "kills by now" in by_now


def test_the_entry_that_is_printed_is_read_as_that_mutant(tmp_path: Path) -> None:
    source = "def f(a):\n    return a < 1 and \"it's\" != '\\\\'\n"
    for mutant in mutants("rpcnet/code.py", source):
        path = tmp_path / "survivors.toml"
        path.write_text(entry(mutant).replace('reason = ""', 'reason = "why"'))
        assert load(path) == {mutant.key: "why"}
        path.write_text(entry(mutant))
        with pytest.raises(ValueError, match="needs a reason"):
            load(path)


def test_the_list_names_mutants_that_exist() -> None:
    argued = load().keys()
    there: set[tuple[str, str, str, str]] = set()
    for file in {key[0] for key in argued}:
        inside = {key[1] for key in argued if key[0] == file}
        there |= {mutant.key for mutant in mutants(file, (ROOT / file).read_text(), inside)}
    assert argued <= there


@pytest.mark.slow
@pytest.mark.parametrize("room", ["wire", "flow"])
def test_a_sample_of_mutants_is_killed_or_argued(room: str) -> None:
    command = [sys.executable, "-m", "tests.mutation", room, "--sample", "10", "--seed", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
