"""The probe orders: each goes over all others, and in the shared one each is probed once a period."""

import itertools
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster.swim.ring import Ring

ORDERS = ["shuffled", "shared"]


def make(count, seed, order="shuffled", label="default"):
    ring = Ring(Random(seed), order, label)
    for number in range(count):
        ring.add(f"m{number}", place(number))
    return ring


def place(number):
    """As good as a hash."""
    return number * 7919 % 10007


def turns(ring, count, my_place=0, first=0):
    return [ring.next(epoch, my_place) for epoch in range(first, first + count)]


@given(st.integers(1, 40), st.integers(0, 10_000), st.integers(0, 10_006), st.sampled_from(ORDERS))
def test_two_turns_of_one_name_are_at_most_2n_minus_1_apart(count, seed, my_place, kind):
    order = turns(make(count, seed, kind), 6 * count, my_place, seed)
    assert set(order) == {f"m{number}" for number in range(count)}
    for name in set(order):
        at = [turn for turn, other in enumerate(order) if other == name]
        assert all(b - a <= 2 * count - 1 for a, b in itertools.pairwise(at))


@given(st.integers(2, 30), st.integers(0, 10_000))
def test_in_the_shared_order_each_is_probed_once_an_epoch(count, epoch):
    targets = []
    for number in range(count):
        ring = make(count, number, "shared")
        ring.remove(f"m{number}")
        targets.append(ring.next(epoch, place(number)))
    assert sorted(targets) == sorted(f"m{number}" for number in range(count))


def test_the_shared_order_is_another_for_another_cluster():
    passes = {label: turns(make(20, 1, "shared", label), 20) for label in ("default", "other")}
    assert passes["default"] != passes["other"]
    assert sorted(passes["default"]) == sorted(passes["other"])


@pytest.mark.parametrize("order", ORDERS)
def test_each_pass_has_an_order_of_its_own(order):
    ring = make(20, 1, order)
    passes = [turns(ring, 20, first=20 * number) for number in range(3)]
    assert sorted(passes[0]) == sorted(passes[1]) == sorted(passes[2])
    assert passes[0] != passes[1] != passes[2]


@pytest.mark.parametrize("order", ORDERS)
def test_those_that_are_down_are_taken_out_and_may_come_back(order):
    ring = make(4, 1, order)
    ring.next(0, 0)
    for number in (1, 0, 1):
        ring.remove(f"m{number}")
    assert set(turns(ring, 6)) == {"m2", "m3"}
    assert len(ring) == 2
    ring.add("m1", 5)
    ring.add("m1", 5)
    ring.add("m1", 6)
    assert len(ring) == 3
    assert set(turns(ring, 7)) == {"m1", "m2", "m3"}


@pytest.mark.parametrize("order", ORDERS)
def test_nobody_to_probe_is_none(order):
    assert make(0, 1, order).next(0, 0) is None


@given(st.integers(0, 60), st.integers(0, 5), st.integers(0, 100))
def test_a_sample_holds_different_names_that_fit(count, wanted, seed):
    ring = make(count, seed)
    sample = ring.sample(wanted, lambda name: name != "m0")
    assert len(set(sample)) == len(sample) <= wanted
    assert "m0" not in sample
    if count - 1 <= 12:
        assert len(sample) == min(wanted, max(0, count - 1))


def test_a_random_order_takes_anybody_each_time():
    counts = Counter(turns(make(5, 1, "random"), 5000))
    assert all(850 < counts[f"m{number}"] < 1150 for number in range(5))
    assert any(one == other for one, other in itertools.pairwise(turns(make(5, 1, "random"), 50)))
