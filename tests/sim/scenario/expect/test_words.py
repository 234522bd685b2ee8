"""The phrases that all expectations say alike."""

import math

import pytest

from sim.scenario.expect.words import count, names, percentile, seconds


@pytest.mark.parametrize(
    ("time", "text"),
    [(6.42, "6.42 s"), (10.0, "10 s"), (0.00049, "0 s"), (-0.0001, "0 s"), (-1.5, "-1.5 s"), (1.23456, "1.235 s")],
)
def test_seconds_have_at_most_three_decimals(time, text):
    assert seconds(time) == text


@pytest.mark.parametrize(
    ("of", "text"),
    [
        ("", ""),
        ("a", "a"),
        ("ab", "a and b"),
        ("abc", "a, b and c"),
        ("abcdef", "a, b, c, d, e and f"),
        ("abcdefg", "a, b, c, d, e and 2 more"),
    ],
)
def test_long_lists_of_names_are_cut_short(of, text):
    assert names(of) == text


def test_one_is_singular():
    assert [count(number, "stream") for number in (0, 1, 2)] == ["0 streams", "1 stream", "2 streams"]


def test_percentiles_are_values_that_occurred():
    assert [percentile([3, 1, 2, 4], share) for share in (0, 0.25, 0.5, 0.51, 1)] == [1, 1, 2, 3, 4]
    assert math.isnan(percentile([], 0.5))
