"""Deadlines as arithmetic: rows against pure functions."""

import pytest

from rpcnet.flow.deadline import MAX_MICROS, Patience, at, earliest, micros_left


@pytest.mark.parametrize(
    ("deadline", "now", "micros"),
    [
        (None, 5.0, 0),
        (6.5, 5.0, 1_500_000),
        (5.0, 5.0, 1),
        (4.0, 5.0, 1),
        (1e30, 0.0, MAX_MICROS),
    ],
)
def test_a_deadline_travels_as_what_is_left_of_it(deadline, now, micros) -> None:
    assert micros_left(deadline, now) == micros


def test_what_arrives_is_a_deadline_on_the_receivers_clock() -> None:
    assert at(0, 100.0) is None
    assert at(1_500_000, 100.0) == 101.5


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [(None, None, None), (1.0, None, 1.0), (None, 2.0, 2.0), (1.0, 2.0, 1.0), (3.0, 2.0, 2.0)],
)
def test_the_nearer_deadline_counts(first, second, result) -> None:
    assert earliest(first, second) == result


def test_a_verdict_waits_until_a_whole_turn_has_brought_nothing() -> None:
    patience = Patience(reads=3, now=0.0, grace=1.0)
    assert not patience.is_over(3, 0.1)
    assert not patience.is_over(4, 0.2)
    assert not patience.is_over(4, 0.3)
    assert patience.is_over(4, 0.4)


def test_a_flood_does_not_postpone_it_beyond_the_grace() -> None:
    patience = Patience(reads=3, now=0.0, grace=1.0)
    assert not patience.is_over(4, 0.9)
    assert patience.is_over(5, 1.0)
