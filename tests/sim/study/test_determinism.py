"""check-determinism finds each leak that was planted, and names it; what is in order it leaves alone."""

import re
from pathlib import Path

import pytest

import sim
from sim.study.determinism import TwinError, check_determinism
from sim.study.twin import _application

PLANTED = Path(__file__).parents[1] / "planted"

# The leak, what the differing event is, and words of what is said to have escaped.
LEAKS = {
    "text_set": ("greeted", ["a set (or hash()) of text", "PYTHONHASHSEED alone"]),
    "object_set": ("done", ["plain objects is walked by address"]),
    "thread": ("", ["a thread: planted_thread.py:18 in <module>"]),
    "socket": ("listening", ["a real socket: planted_socket.py:5"]),
    "id": ("opened", ["id(), an address in memory: planted_id.py:6 in main"]),
    "listing": ("loaded", ["planted_listing.py:10 in main", "os.listdir"]),
    "history": ("began", ["kept from run to run"]),
}


@pytest.fixture(autouse=True)
def folder(monkeypatch):
    monkeypatch.chdir(PLANTED)  # The processes import the applications from there.


@pytest.mark.gate
@pytest.mark.parametrize("leak", LEAKS)
def test_each_planted_leak_is_found_and_named(leak):
    event, words = LEAKS[leak]
    first, *others = check_determinism(f"{leak}.toml", [1, 2] if leak in {"history", "text_set"} else [1])
    assert not first.same
    assert first.difference is not None
    differing = [e for e in (first.difference.one, first.difference.other) if e is not None]
    assert differing
    assert {e.name for e in differing} == {event} or not event
    assert [causes[-1].line for causes in first.causes] == [first.difference.line] * 2
    assert all(causes[0].line < first.difference.line for causes in first.causes)
    said = "\n".join(first.suspects)
    for word in words:
        assert word in said
    # Of the first alone: the others have the same reason.
    assert all(not other.same and other.suspects == [] for other in others)


def test_every_planted_leak_has_its_row_here_and_in_the_documentation():
    assert {path.stem for path in PLANTED.glob("*.toml")} == {*LEAKS, "answering_thread", "steady"}
    page = (PLANTED.parents[2] / "docs" / "determinism.md").read_text()
    assert set(re.findall(r"\| `(\w+)` \|$", page, re.MULTILINE)) == {*LEAKS, "answering_thread"}


@pytest.mark.gate
def test_a_real_thread_that_answers_is_named():
    """Also where the two runs happen to be the same."""
    (found,) = check_determinism("answering_thread.toml", [1])
    assert not found.same
    assert found.thread is not None
    assert "'answering' of planted_answering_thread" in found.thread


@pytest.mark.gate
def test_what_is_steady_is_the_same_for_every_seed():
    found = list(check_determinism("steady.toml", range(1, 6)))
    assert sorted(twin.seed for twin in found) == [1, 2, 3, 4, 5]
    assert all(twin.same for twin in found)
    assert len({twin.digests[0] for twin in found}) == 5


@pytest.mark.gate
def test_a_process_that_ends_before_its_time_is_told_with_what_it_said():
    with pytest.raises(TwinError, match="no such file"):
        list(check_determinism("nowhere.toml", [1]))


@pytest.mark.gate
@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ("os.abort()", "seed 1: the process was ended by SIGABRT\nFatal Python error: Aborted"),
        ("os._exit(7)", "seed 1: the process exited with code 7"),
    ],
)
def test_a_process_that_dies_in_a_run_is_told_with_its_seed_and_how(tmp_path, monkeypatch, ends, said):
    monkeypatch.chdir(tmp_path)
    Path("dies_in_a_run.py").write_text(f"import os\nasync def main():\n    {ends}\n")
    Path("dies.toml").write_text('name = "d"\nduration = "1s"\n[[node]]\nname = "a"\napp = "dies_in_a_run:main"\n')
    with pytest.raises(TwinError, match=re.escape(said)):
        list(check_determinism("dies.toml", [1, 2, 3, 4]))


@pytest.mark.parametrize(("name", "is_application"), [("simple.py", True), ("sim/kernel/node.py", False)])
def test_a_file_whose_name_begins_like_ours_is_the_applications(name, is_application):
    file = Path(sim.__file__).parents[1] / name
    frames = {}
    exec(compile("import sys; frame = sys._getframe()", str(file), "exec"), frames)
    assert (_application(frames["frame"], direct=True) is not None) is is_application
