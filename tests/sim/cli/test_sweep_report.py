"""rpcnet-sim sweep --report: an overview, with the pages of the runs that do not hold."""

import json
from pathlib import Path

import pytest

from sim.cli.main import execute

SCENARIO = """
name = "talk"
duration = "1s"

[[node]]
name = "a"
app = "tests.sim.report.apps:idle"

[[expect]]
logged = "good-bye"

[sweep.matrix]
"network.loss" = ["0%", "5%"]
"""


def test_a_sweep_leaves_an_overview_and_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "talk.toml"
    file.write_text(SCENARIO)
    words = ["sweep", str(file), "--seeds", "1:6", "--jobs", "1", "--out", str(tmp_path / "talk.jsonl")]
    report = tmp_path / "report"
    assert execute([*words, "--report", str(report)]) == 1
    assert f"report: {report / 'index.html'}" in capsys.readouterr().out.replace("\n", "")
    text = (report / "index.html").read_text()
    assert text.count('<rect class="fails"') == 12
    pages = sorted(str(page.relative_to(report)) for page in report.glob("*/index.html"))
    assert len(pages) == 10 and "cell-1-seed-1/index.html" in pages
    assert all(f'href="{page}"' in text for page in pages)
    assert json.loads((report / "study.json").read_text())["runs"] == 12
    assert "good-bye" in (report / pages[0]).read_text()


def test_a_page_of_somebody_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "talk.toml"
    file.write_text(SCENARIO)
    (tmp_path / "index.html").write_text("mine")
    assert execute(["sweep", str(file), "--report", str(tmp_path), "--out", str(tmp_path / "x.jsonl")]) == 2
    assert "is of no report" in capsys.readouterr().err.replace("\n", " ")
    assert (tmp_path / "index.html").read_text() == "mine"
