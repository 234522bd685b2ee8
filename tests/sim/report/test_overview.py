"""sim.report.overview: the page of a sweep."""

from typing import Any

from sim.report import render_overview
from tests.sim.report.test_page import check


def study(*cells: dict[str, Any], **more: Any) -> dict[str, Any]:
    runs = sum(cell["runs"] for cell in cells)
    base = {
        "scenario": "split",
        "verdict": "fails",
        "runs": runs,
        "missing": 0,
        "crashes": [],
        "results": "split.jsonl",
    }
    return base | {"cells": list(cells)} | more


def cell(holds: int, fails: int, **parameters: Any) -> dict[str, Any]:
    figures = {"detection_p50": {"runs": holds + fails, "p50": 0.25, "p99": None}}
    verdicts = {"holds": holds, "fails": fails, "inconclusive": 0}
    return {"parameters": parameters, "runs": holds + fails, "verdicts": verdicts, "figures": figures}


def run(seed: int, verdict: str = "holds", why: str | None = None, **parameters: Any) -> dict[str, Any]:
    command = f"rpcnet-sim run split.toml --seed {seed}"
    return {"seed": seed, "parameters": parameters, "verdict": verdict, "why": why, "command": command}


def render(study: dict[str, Any], results: list[dict[str, Any]]) -> str:
    return render_overview(study, results, command="rpcnet-sim sweep split.toml", summary="A split.")


def test_it_shows_verdicts_percentiles_and_what_does_not_hold() -> None:
    bad = run(2, "fails", "no_leaks fails: <Task>") | {"page": "seed-2/index.html"}
    text = render(study(cell(2, 1)), [run(1), bad, run(3)])
    assert text.count("<rect ") == 3 and text.count('<rect class="fails"') == 1
    for words in (
        "no_leaks fails: &lt;Task&gt;",
        "run split.toml --seed 2",
        "250 ms, none",
        'href="seed-2/index.html"',
    ):
        assert words in text
    check(text.replace('href="seed-2/index.html"', ""))
    assert "--seed 1" not in text


def test_each_cell_of_a_matrix_has_its_name_and_its_column() -> None:
    cells = [cell(1, 0, loss="0%"), cell(0, 1, loss="5%")]
    text = render(study(*cells), [run(1, loss="0%"), run(1, "fails", "x", loss="5%")])
    assert text.count("<h3>loss=") == 2 and text.count('<th class="n">loss=') == 2
    assert '<td data-l="cell">loss=5%</td>' in text


def test_of_very_many_failures_the_first_are_listed() -> None:
    text = render(study(cell(0, 400)), [run(seed, "fails", "x") for seed in range(400)])
    assert "100 more runs not listed" in text
    assert len(text) < 200_000
