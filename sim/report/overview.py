"""The page of a sweep: verdicts over seeds and matrix, percentiles of the figures, what does not hold and its pages.

Reads what `Study.to_json` says and a row for each run, never a live simulation. Looks like a run's page.

Tests: tests/sim/report/test_overview.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from sim.report.words import counted, figure, number, value

__all__ = ["render_overview"]

MAX_ROWS = 300
"""Runs that do not hold and are listed; the others are counted."""
MAX_SQUARES = 20_000
"""Runs that have a square; of more, only their numbers are shown."""
A_LINE = 50
"""Squares in a line."""
SIDE = 12
"""Of a square, with the gap after it."""


def render_overview(
    study: Mapping[str, Any], results: Sequence[Mapping[str, Any]], *, command: str, summary: str
) -> str:
    """The page as text. A result has seed, parameters, verdict, why, command and, where there is one, `page`."""
    of_cell: list[list[Mapping[str, Any]]] = [[] for _ in study["cells"]]
    for result in results:
        index = next(i for i, cell in enumerate(study["cells"]) if cell["parameters"] == result["parameters"])
        of_cell[index].append(result)
    bad = [result for result in results if result["verdict"] != "holds"]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "counted": counted, "value": value}
    environment.globals |= {"figure": figure}
    return environment.get_template("overview.html.j2").render(
        study=study,
        summary=summary,
        command=command,
        cells=list(zip(study["cells"], of_cell, strict=True)),
        names=list(dict.fromkeys(name for cell in study["cells"] for name in cell["figures"])),
        squares=len(results) <= MAX_SQUARES,
        bad=bad[:MAX_ROWS],
        more=max(0, len(bad) - MAX_ROWS),
        line=A_LINE,
        side=SIDE,
    )
