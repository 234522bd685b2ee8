"""benchmarks/races.py in small: fifo finds no planted race, some strategy each, and nobody one that is repaired.

The shares are well below those that docs/howto/races.md shows, which `python benchmarks/races.py` measures.
"""

import pytest

from benchmarks import races
from sim.kernel.interleaving.interleaving import INTERLEAVINGS

SEEDS = range(1, 41)


@pytest.mark.parametrize("name", races.PROGRAMS)
def test_first_come_first_served_never_finds_it(name):
    assert races.found(races.PROGRAMS[name], "fifo", SEEDS[:5]) == []


@pytest.mark.parametrize("name", races.PROGRAMS)
def test_nobody_finds_anything_in_the_repaired_program(name):
    for column in races.COLUMNS:
        assert races.found(races.PROGRAMS[name], column, SEEDS[:8], repaired=True) == []


@pytest.mark.parametrize(
    ("name", "column", "least"),
    [
        ("check-then-set", "random", 8),
        ("check-then-set", "pos", 8),
        ("check-then-set", "surw", 5),
        ("lost wake-up", "random", 2),
        ("starvation", "pct", 8),
        ("shallow ordering", "pct", 10),
        ("shallow ordering", "mix", 8),
        ("deadlock of two locks", "random", 2),
        ("double close", "random", 3),
        ("cache stampede", "surw", 6),
        ("torn read-modify-write over RPC", "random", 1),
        ("assumed ready", "cpu", 12),
        ("lease runs out", "cpu", 2),
    ],
)
def test_a_strategy_finds_it_in_forty_runs(name, column, least):
    assert len(races.found(races.PROGRAMS[name], column, SEEDS)) >= least


def test_a_swallowed_cancellation_is_found_within_ten_seeds():
    if "cancelled wait_for" not in races.PROGRAMS:
        pytest.skip("bpo-42130 was mended in Python 3.12")
    assert any(races.found(races.cancelled_wait_for, each, range(1, 11)) for each in INTERLEAVINGS)
