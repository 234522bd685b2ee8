"""Times of faults that are drawn: from the seed, each from a source of its own, and only such as make sense."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.network.latency import Constant
from sim.scenario.schema import parse_drawn
from sim.scenario.times import Times, extent

SPREADS = ["uniform(5s, 10s)", "normal(5s, 5s)", "lognormal(5s, 2)", "pareto(1s, 0.5)"]


@pytest.mark.parametrize(
    ("text", "least", "middle", "most"),
    [
        ("10s", 10, 10, 10),
        ("uniform(5s, 10s)", 5, 7.5, 10),
        ("normal(20s, 3s)", 0, 20, math.inf),
        ("lognormal(20s, 1)", 0, 20, math.inf),
        ("pareto(10s, 1)", 10, 20, math.inf),
        ("pareto(10s, 0.0001)", 10, math.inf, math.inf),
    ],
)
def test_the_extent_of_a_distribution(text, least, middle, most):
    found = extent(parse_drawn(text))
    assert (found.least, found.most) == (least, most)
    assert found.middle == pytest.approx(middle) or (math.isinf(middle) and found.middle > 1e100)


def test_samples_are_read(tmp_path):
    file = tmp_path / "seconds.csv"
    file.write_text("3s,1s\n2s\n")
    assert extent(parse_drawn(f"samples({file})")) == (1, 2, 3)


def test_a_distribution_of_one_value_is_that_value():
    assert extent(Constant(3.0)) == (3, 3, 3)


@given(st.integers(), st.sampled_from(SPREADS), st.sampled_from(SPREADS), st.sampled_from(SPREADS))
def test_what_is_drawn_makes_sense_and_comes_from_the_seed(seed, at, lasts, every):
    at, lasts, every = map(parse_drawn, (at, lasts, every))
    one, other = (Times(seed, 0, at=at, for_=lasts, every=every) for _ in range(2))
    assert 0 <= (first := one.first(40.0)) < 40 and other.first(40.0) == first
    for _ in range(5):
        assert 0 < (long := one.lasts()) < math.inf and other.lasts() == long
        assert one.drawn["for"] == long
        assert 0 < (then := one.next()) < math.inf and other.next() == then
        assert one.drawn == {"every": then}


@given(st.integers(), st.sampled_from(SPREADS))
def test_a_distribution_changes_nothing_elsewhere(seed, spread):
    at = parse_drawn("uniform(1s, 9s)")
    plain = Times(seed, 3, at=at, for_=2.0, every=None)
    other = Times(seed, 3, at=at, for_=parse_drawn(spread), every=parse_drawn(spread))
    assert plain.first(40.0) == other.first(40.0)
    assert plain.drawn == other.drawn


def test_each_fault_draws_its_own():
    at = parse_drawn("uniform(1s, 9s)")
    assert Times(1, 0, at=at, for_=None, every=None).first(40.0) != Times(1, 1, at=at, for_=None, every=None).first(40)


def test_numbers_are_not_drawn():
    times = Times(1, 0, at=5, for_=2.0, every=3.0)
    assert (times.first(4.0), times.lasts(), times.next(), times.drawn) == (5.0, 2.0, 3.0, {})
    bare = Times(1, 0, at=5.0, for_=None, every=None)
    assert (bare.first(40.0), bare.lasts(), bare.next()) == (5.0, None, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("uniform(5s)", "is not a duration or a distribution"),
        ("unifrom(5s, 6s)", 'did you mean "uniform"'),
        ("uniform(6s, 5s)", "is above high"),
        ("uniform(5, 6)", "is not a duration"),
        (5, 'did you mean "5s"'),
        ("5", "is not a duration"),
        ("uniform(-1s, 5s)", "must be a number of at least 0"),
    ],
)
def test_what_is_no_time_is_refused(text, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_drawn(text)
