"""What the `sweep` command prints."""

import pytest

from sim.study import print_study

pytestmark = pytest.mark.gate


def test_a_narrow_terminal_cuts_no_figure(draws, capsys, monkeypatch):
    study = draws().sweep(seeds="1:2", matrix={"network.loss": [0.0, 0.25]}, jobs=1)
    monkeypatch.setenv("COLUMNS", "20")
    print_study(study)
    out = capsys.readouterr().out
    assert "…" not in out
    assert "network.loss=0.25" in out
