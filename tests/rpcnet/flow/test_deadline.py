"""Deadlines as arithmetic: rows against pure functions."""

import math

import pytest

from rpcnet.flow.deadline import Patience, at, earliest, micros_left, seconds


@pytest.mark.parametrize(
    ("deadline", "now", "micros"),
    [
        (None, 5.0, 0),
        (6.5, 5.0, 1_500_000),
        (5.0, 5.0, 1),
        (4.0, 5.0, 1),
        (5.0000015, 5.0, 1),
        (5.000003, 5.000001, 2),
        (1e30, 0.0, 2**63),
        (float(2**63) / 1e6 * 2, 0.0, 2**63),
        (1.7e308, 0.0, 2**63),
    ],
)
def test_a_deadline_travels_as_what_is_left_of_it(deadline, now, micros) -> None:
    assert micros_left(deadline, now) == micros


def test_what_arrives_is_a_deadline_on_the_receivers_clock() -> None:
    assert at(0, 100.0) is None
    assert at(1_500_000, 100.0) == 101.5
    assert at(1, 100.0) == 100.000001


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


def test_something_read_in_between_makes_it_wait_two_more_turns() -> None:
    patience = Patience(reads=3, now=0.0, grace=1.0)
    assert not patience.is_over(3, 0.1)
    assert not patience.is_over(4, 0.2)
    assert not patience.is_over(5, 0.2)
    assert not patience.is_over(5, 0.3)
    assert patience.is_over(5, 0.3)


def test_the_grace_counts_from_when_the_timer_fired() -> None:
    patience = Patience(reads=0, now=100.0, grace=1.0)
    assert not patience.is_over(1, 100.999)
    assert patience.is_over(2, 101.0)


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (None, None),
        (math.inf, None),
        (3, 3),
        (0.5, 0.5),
        (0, 0),
        (-1.5, -1.5),
        (-math.inf, -math.inf),
        (10**400, None),
        (-(10**400), -math.inf),
    ],
)
def test_a_limit_may_be_any_number_or_none_for_no_limit(given, taken) -> None:
    assert seconds("timeout", given) == taken


@pytest.mark.parametrize(
    ("given", "kind"),
    [(math.nan, ValueError), (True, TypeError), (False, TypeError), ("3", TypeError), (1j, TypeError)],
)
def test_what_is_no_number_of_seconds_is_refused_by_its_name(given, kind) -> None:
    with pytest.raises(kind, match="idle_timeout must be a number of seconds or None, not"):
        seconds("idle_timeout", given)


def test_two_questions_in_a_row_with_nothing_read_are_enough() -> None:
    patience = Patience(reads=3, now=0.0, grace=1.0)
    assert [patience.is_over(3, 0.1) for _ in range(2)] == [False, True]
