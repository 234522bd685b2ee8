"""Deadlines by key."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cluster.swim.timers import Timers


def drain(timers, now):
    found = []
    while timers.earliest <= now:
        found.append(timers.pop())
    return found


def test_due_keys_come_earliest_first_and_equal_ones_as_they_were_set():
    timers = Timers()
    for key, at in (("c", 2.0), ("a", 1.0), ("b", 1.0), ("late", 9.0)):
        timers.set(key, at)
    assert timers.earliest == 1.0
    assert drain(timers, 5.0) == ["a", "b", "c"]
    assert timers.earliest == 9.0
    assert "late" in timers


def test_the_number_of_timers_is_that_of_the_keys():
    timers = Timers()
    timers.set("a", 1.0)
    timers.set("a", 2.0)
    timers.set("b", 1.0)
    assert len(timers) == 2
    timers.cancel("b")
    timers.cancel("never set")
    assert len(timers) == 1
    assert timers.earliest == 2.0


@given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.floats(0, 100)))))
def test_moving_and_cancelling_leave_only_the_last_word(steps):
    timers, held = Timers(), {}
    for key, at in steps:
        if at is None:
            timers.cancel(key)
            held.pop(key, None)
        else:
            timers.set(key, at)
            held[key] = at
        assert timers.earliest == min(held.values(), default=inf)
        assert len(timers) == len(held)
    assert drain(timers, 100) == sorted(held, key=lambda key: held[key]) or len(set(held.values())) < len(held)


def test_a_deadline_that_moves_for_ever_does_not_grow_the_heap():
    timers = Timers()
    for step in range(10_000):
        timers.set("x", float(step))
    assert len(timers._heap) < 100
