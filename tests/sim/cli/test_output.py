"""What commands print for people."""

import pytest

import sim
from sim.cli import output


@pytest.mark.gate
def test_a_narrow_terminal_cuts_no_figure(folder, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(folder))
    study = sim.Scenario.load("holds.toml").sweep(seeds="1:2", matrix={"network.loss": [0.0, 0.25]}, jobs=1)
    monkeypatch.setenv("COLUMNS", "20")
    output.study(study)
    out = capsys.readouterr().out
    assert "…" not in out
    assert "network.loss=0.25" in out


def test_a_summary_names_the_seeds_that_do_not_hold(capsys):
    output.summary("x", [output.Result(1, "holds", 0.5), output.Result(2, "fails", 0.5), output.Result(3, "fails", 1)])
    assert capsys.readouterr().out == "✗ x  3 seeds: 1 holds, 2 fail  in 2.0 s  (seeds 2, 3)\n"
