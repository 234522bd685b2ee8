"""The probe order: every pass goes over all, shuffled anew."""

import itertools
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster.swim.ring import Ring


def make(count, seed):
    ring = Ring(Random(seed))
    for number in range(count):
        ring.add(f"m{number}")
    return ring


@given(st.integers(1, 40), st.integers(0, 1000))
def test_two_turns_of_one_name_are_at_most_2n_minus_1_apart(count, seed):
    ring = make(count, seed)
    order = [ring.next(lambda name: True) for _ in range(6 * count)]
    for name in set(order):
        turns = [turn for turn, other in enumerate(order) if other == name]
        assert all(b - a <= 2 * count - 1 for a, b in itertools.pairwise(turns))


def test_each_pass_has_an_order_of_its_own():
    ring = make(20, 1)
    passes = [[ring.next(lambda name: True) for _ in range(20)] for _ in range(3)]
    assert sorted(passes[0]) == sorted(passes[1]) == sorted(passes[2])
    assert passes[0] != passes[1] != passes[2]


def test_those_that_are_down_are_taken_out_and_may_come_back():
    ring = make(3, 1)
    up = {"m0", "m2"}
    assert {ring.next(lambda name: name in up) for _ in range(6)} == up
    assert len(ring) == 2
    ring.add("m1")
    assert {ring.next(lambda name: True) for _ in range(7)} == {"m0", "m1", "m2"}


def test_nobody_to_probe_is_none():
    assert make(0, 1).next(lambda name: True) is None
    assert make(3, 1).next(lambda name: False) is None


@given(st.integers(0, 60), st.integers(0, 5), st.integers(0, 100))
def test_a_sample_holds_different_names_that_fit(count, wanted, seed):
    ring = make(count, seed)
    sample = ring.sample(wanted, lambda name: name != "m0")
    assert len(set(sample)) == len(sample) <= wanted
    assert "m0" not in sample
    if count - 1 <= 12:
        assert len(sample) == min(wanted, max(0, count - 1))
