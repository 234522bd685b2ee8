"""sim.report.bins: counts over an unknown stretch of time, percentiles from buckets."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.report.bins import NARROWEST, Bins, bucket, percentile


def test_counts_are_kept_however_often_bins_widen() -> None:
    bins = Bins(16)
    for i in range(5_000):
        bins.add(i * 0.01, "a" if i % 2 else "b")
    assert bins.total() == {"a": 2_500, "b": 2_500}
    assert sum(count for _, count in bins.series("a")) == 2_500
    assert len(bins.series("a")) <= 16


@given(st.lists(st.floats(-1e3, 1e6, allow_subnormal=False), min_size=1, max_size=60), st.integers(2, 20))
def test_every_bin_holds_exactly_what_fell_into_it(times: list[float], limit: int) -> None:
    bins = Bins(limit)
    for time in times:
        bins.add(time, "x")
    series = bins.series("x")
    assert len(series) <= limit
    for start, count in series:
        assert count == sum(start <= time < start + bins.width for time in times)


def test_a_short_run_keeps_narrow_bins() -> None:
    bins = Bins(100)
    bins.add(0.0, "x")
    bins.add(NARROWEST * 50, "x")
    assert bins.width == NARROWEST


def test_empty_bins_between_are_listed_as_zero() -> None:
    bins = Bins(4)
    bins.add(0.0, "x")
    bins.add(3 * NARROWEST, "x")
    assert [count for _, count in bins.series("x")] == [1, 0, 0, 1]


def test_nothing_counted_gives_nothing() -> None:
    bins = Bins(4)
    assert bins.series("x") == [] == bins.cells()
    assert bins.total() == {}
    assert percentile({}, 0.5) is None


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_percentiles_are_within_two_and_a_half_percent(share: float) -> None:
    generator = random.Random(3)
    values = sorted(generator.lognormvariate(-5, 1.0) for _ in range(20_000))
    counts: dict[int, int] = {}
    for value in values:
        counts[bucket(value)] = counts.get(bucket(value), 0) + 1
    seen = percentile(counts, share)
    assert seen is not None
    assert math.isclose(seen, values[int(share * len(values)) - 1], rel_tol=0.026)


def test_a_latency_of_zero_has_a_bucket() -> None:
    assert percentile({bucket(0.0): 1}, 0.5) == pytest.approx(1e-9, rel=0.05)
