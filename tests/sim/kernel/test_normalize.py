"""Texts lose what differs between machines and runs, and nothing else."""

import os
import sys
from pathlib import Path

import pytest

import sim
from sim import Simulation
from sim.kernel.normalize import plain


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<Thing object at 0x7fbbdadf0d10>", "<Thing object at 0x…>"),
        ("fail(<planted_stea...x7fbbdadf0d10>)", "fail(<planted_stea...…>)"),
        ("fail(<planted_stea...badf0d10>)", "fail(<planted_stea...…>)"),
        ("0x1f and 0xdead stay", "0x1f and 0xdead stay"),
        ("Task-17 and MyTask-17x", "Task-… and MyTask-17x"),
        ("<Handle f() at app.py:3 created at /x/app.py:9>", "<Handle f() at app.py:3>"),
        (
            'failed\nsource_traceback: Object created at (most recent call last):\n  File "x"\n    f()\nTraceback',
            "failed\nTraceback",
        ),
        (f"{os.__file__}:3", "os.py:3"),
        ("nothing to lose", "nothing to lose"),
    ],
)
def test_what_differs_goes(text, left):
    assert plain(text) == left


def test_what_a_node_keeps_lies_nowhere_in_particular():
    async def main():
        (simulation.nodes["a"].directory / "state.json").read_bytes()

    said = []
    for _ in range(2):
        with Simulation(1) as simulation:
            task = simulation.add_node("a").start(main)
            with pytest.raises(FileNotFoundError) as caught:
                simulation.run_until_complete(task)
            said.append(plain(repr(caught.value)) + plain(str(caught.value)))
    assert said[0] == said[1]
    assert "'sim-node-…/state.json'" in said[0]


def test_our_own_files_lie_nowhere_in_particular_wherever_python_found_them(monkeypatch):
    """An editable installation finds them where nothing of sys.path is."""
    ours = Path(sim.__file__).parents[1]
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if Path(folder or ".").resolve() != ours])
    assert plain(f'File "{ours}/sim/trace/record.py", line 105') == 'File "sim/trace/record.py", line 105'


def test_folders_are_looked_up_once_for_many_texts(monkeypatch):
    asked, lstat = [], os.lstat
    monkeypatch.setattr(os, "lstat", lambda path, **options: asked.append(path) or lstat(path, **options))
    monkeypatch.syspath_prepend("/somewhere")
    assert plain("/somewhere/app.py:3") == "app.py:3"
    assert asked
    asked.clear()
    for number in range(100):
        assert plain(f"/somewhere/app.py:{number}") == f"app.py:{number}"
    assert not asked


def test_a_working_directory_that_is_gone_is_no_error(monkeypatch, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert plain("as it was") == "as it was"
