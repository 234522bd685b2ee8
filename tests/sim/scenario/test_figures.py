"""sim.scenario.figures: a figure is said with its unit."""

import math

import pytest

from sim.scenario.expect import EXPECTATIONS
from sim.scenario.figures import unit, with_unit

COUNTS = {
    "batches", "calls", "completed", "count", "failures", "false_failures", "gaps", "leaks", "nodes", "observers",
    "records", "repeats", "seen", "sequences", "streams",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("detection_last", 8.5, "8.5 s"),
        ("p99", 0.3, "0.3 s"),
        ("success", 0.995, "99.5 %"),
        ("mean", 2000.0, "2,000 bytes/s per node"),
        ("gaps", 3.0, "3"),
        ("p50", math.inf, "none"),
    ],
)
def test_a_figure_is_said_with_its_unit(name: str, value: float, said: str) -> None:
    assert with_unit(name, value) == said


def test_every_measured_figure_has_a_unit_or_is_a_count() -> None:
    every = {name for kind in EXPECTATIONS.values() for name in kind.MEASURES or ()}
    assert {name for name in every if not unit(name)} == COUNTS
