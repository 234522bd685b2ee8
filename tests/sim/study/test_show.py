"""What the `sweep` command prints."""

import pytest

from sim.scenario.verdict import Verdict
from sim.study import Result, Row, plan
from sim.study.show import print_study

pytestmark = pytest.mark.gate


def test_a_narrow_terminal_cuts_no_figure(draws, capsys, monkeypatch):
    study = draws().sweep(seeds="1:2", matrix={"network.loss": [0.0, 0.25]}, jobs=1)
    monkeypatch.setenv("COLUMNS", "20")
    print_study(study)
    out = capsys.readouterr().out
    assert "…" not in out
    assert "network.loss=0.25" in out


def test_a_failure_says_first_what_the_application_raised(draws):
    row = Row(
        seed=1,
        parameters={},
        verdict=Verdict.FAILS,
        digest="",
        measured={},
        saw=("no_leaks inconclusive: no node was stopped in order",),
        error="one (draws:main): ValueError: broken\n  a traceback",
        virtual_seconds=1.0,
        wall_seconds=0.1,
    )
    found = Result(row=row, cell=plan(draws()).cells[0])
    assert repr(found) == "<Result seed=1: fails one (draws:main): ValueError: broken>"
