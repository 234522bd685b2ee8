"""Applications, judges and defects beside a file are found from any working directory."""

import sys

import pytest

from sim.cli import execute
from sim.scenario.load import load
from sim.scenario.mistake import ScenarioError

APP = """
from contextlib import contextmanager

async def main(node):
    node.ready()
    node.record("said")

def judge(trace):
    return any(event.name == "said" for event in trace)

@contextmanager
def defect():
    yield
"""
FILE = """\
name = "beside"
duration = "2s"
catches = ["beside_test_app:defect"]

[[node]]
name = "a"
app = "beside_test_app:main"

[[expect]]
python = "beside_test_app:judge"
"""


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """Makes a directory with a scenario and its application; the working directory is another one."""

    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "beside_test_app.py").write_text(APP)
        (folder / "file.toml").write_text(FILE)
        return folder / "file.toml"

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield make
    sys.modules.pop("beside_test_app", None)


def test_check_and_run_find_what_lies_beside_the_file(elsewhere, capsys):
    file = str(elsewhere("one"))
    assert execute(["check", file]) == 0
    assert execute(["run", file]) == 0
    assert execute(["sweep", file, "--seeds", "1:2", "--jobs", "1"]) == 0
    assert "? " not in capsys.readouterr().out


@pytest.mark.gate
def test_processes_of_nodes_find_it_too(elsewhere):
    assert execute(["run", str(elsewhere("one")), "--backend", "sockets"]) == 0


def test_the_working_directory_comes_first(elsewhere, tmp_path):
    (tmp_path / "here" / "beside_test_app.py").write_text(APP.replace("def main", "def other"))
    sys.path.insert(0, str(tmp_path / "here"))
    with pytest.raises(ScenarioError, match="has no 'main'"):
        load(elsewhere("one"))


def test_two_modules_of_one_name_beside_two_files_are_told_apart(elsewhere):
    load(elsewhere("one"))
    with pytest.raises(ScenarioError, match="lies beside another file, not beside this one"):
        load(elsewhere("two"))


def test_a_file_without_neighbours_adds_no_directory(elsewhere, tmp_path):
    before = list(sys.path)
    (tmp_path / "lonely.toml").write_text(FILE.replace("beside_test_app", "sim.apps.member").partition("[[expect]]")[0])
    with pytest.raises(ScenarioError):
        load(tmp_path / "lonely.toml")
    assert sys.path == before
