"""What the runs of a cell have in common, those in which something never happened included."""

import math
from types import SimpleNamespace

from sim.scenario.verdict import Verdict
from sim.study.plan import Cell
from sim.study.rows import Result, Row, Study


def study_of(*detections):
    """A study whose runs measured these; None = never."""
    cell = Cell(parameters={}, scenario=None)
    rows = [
        Row(
            seed=seed,
            parameters={},
            verdict=Verdict.HOLDS if seconds and seconds < 10 else Verdict.FAILS,
            digest=None,
            measured={"detection_last": seconds},
            saw=(),
            error=None,
            virtual_seconds=40.0,
            wall_seconds=0.1,
        )
        for seed, seconds in enumerate(detections, 1)
    ]
    return Study(plan=SimpleNamespace(cells=[cell]), results=[Result(row=row, cell=cell) for row in rows])


def test_percentiles_hold_the_figures_of_runs_that_fail():
    figure = study_of(*[5.0] * 50, *[20.0] * 50).cells[0].figures["detection_last"]
    assert (figure.runs, figure.p50, figure.p99) == (100, 12.5, 20.0)


def test_a_percentile_that_never_happened_is_said():
    study = study_of(*[5.0] * 60, *[None] * 40)
    figure = study.cells[0].figures["detection_last"]
    assert (figure.runs, figure.p50, figure.p99) == (100, 5.0, math.inf)
    assert study.table()[1][-1] == ["detection_last p50 / p99", "5 / none"]
    assert study_of(None, None).cells[0].figures["detection_last"].p50 == math.inf
