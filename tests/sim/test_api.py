"""What users hold: a Scenario that loads, runs and sweeps itself, and a Run that shows itself in a notebook."""

import asyncio
import subprocess
import sys

import pytest

import sim
from sim import notebook
from sim.scenario import Scenario, ScenarioError, Verdict

FILE = """\
name = "talk"
duration = "3s"
seed = 7

[[node]]
name = "one"
app = "api_test_app:main"

[[expect]]
logged = "hello"
"""
APP = """
async def main(node, *, word: str = "hello") -> None:
    node.ready()
    node.record("said", word=word)
"""


@pytest.fixture
def talk(tmp_path, monkeypatch):
    (tmp_path / "api_test_app.py").write_text(APP)
    (tmp_path / "talk.toml").write_text(FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield "talk.toml"
    sys.modules.pop("api_test_app", None)


def test_a_scenario_loads_and_runs_itself(talk):
    run = sim.Scenario.load(talk, {"node.one.args.word": "good-bye"}).run(seed=3)
    assert (run.seed, run.verdict) == (3, Verdict.FAILS)


def test_a_run_leaves_the_callers_event_loop_running(talk, tmp_path):
    """That of a notebook's kernel, which runs no other cell where its loop is taken for one that has ended.

    The node dies while its program waits, so that a task is left when the simulation is closed.
    """
    (tmp_path / "api_test_app.py").write_text(f"import asyncio\n{APP}    await asyncio.sleep(60)\n")
    (tmp_path / "dies.toml").write_text(f'{FILE}\n[[fault]]\nat = "1s"\ncrash = "one"\n')

    async def cell(scenario):
        loop = asyncio.get_running_loop()
        assert scenario.run(seed=1).verdict == Verdict.HOLDS
        return asyncio._get_running_loop() is loop

    assert asyncio.run(cell(sim.Scenario.load(tmp_path / "dies.toml")))


def test_overrides_of_a_run_keep_what_a_scenario_can_do(talk):
    run = sim.Scenario.load(talk).run(overrides={"duration": 2})
    assert run.scenario.run().scenario.duration == 2.0


def test_a_scenario_sweeps_itself_and_failures_replay(talk):
    study = sim.Scenario.load(talk).sweep(seeds="1:2", matrix={"node.one.args.word": ["hello", "good-bye"]}, jobs=1)
    assert [row["verdict"] for row in study.rows] == ["holds", "holds", "fails", "fails"]
    assert isinstance(study.failures[0].replay(), notebook.Run)


def test_a_run_shows_its_timeline(talk):
    run = sim.Scenario.load(talk).run()
    assert run._repr_png_().startswith(b"\x89PNG")
    page = run._repr_html_()
    assert "data:image/png;base64," in page and "holds" in page
    assert repr(run) == "<Run talk seed=7 sim: holds>"


def test_both_packages_name_the_same_scenario():
    assert Scenario is sim.Scenario
    with pytest.raises(ScenarioError):
        Scenario.load("nowhere.toml")
    with pytest.raises(AttributeError, match=r"module 'sim.scenario' has no attribute 'nothing'"):
        sim.scenario.nothing  # noqa: B018


def test_a_scenario_loads_no_study_and_no_report():
    code = "import sys, sim; sim.Scenario; print([n for n in sys.modules if n.startswith(('sim.study', 'sim.report'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
