"""The order of what happens: whatever stands in the queue and whatever in the calendar, by time and then by key."""

import math
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from sim.network.schedule import PAGES_A_SECOND, Schedule

PAGE = 1 / PAGES_A_SECOND


class Sleeper:
    """Wakes at each of its times, unless it is told another one before."""

    def __init__(self, schedule, name, seen):
        self.schedule, self.name, self.seen = schedule, name, seen
        self.wake_at = math.inf

    def sleep(self, when):
        self.wake_at = when
        self.schedule.wake(self)

    def wake(self):
        if self.wake_at == self.schedule.now:
            self.wake_at = math.inf
            self.seen.append((self.schedule.now, self.name))

    def ask_for(self, when):
        """As sleep, but told when the horizon has come."""
        self.asks_for = when
        self.schedule.asking.append(self)

    def asked(self):
        self.sleep(self.asks_for)

    def still(self, when):
        return self.wake_at == when


def run(schedule):
    while schedule.step():
        pass


times = st.one_of(
    st.floats(0, 3),
    st.integers(0, 100).map(lambda page: page * PAGE),  # right between two pages
    st.floats(1e5, 1e12),
    st.sampled_from([1e9, math.nextafter(1e9, math.inf), 5.0]),
)


@given(st.lists(st.tuples(st.booleans(), times)), st.none() | st.integers(0, 5))
def test_calls_and_wake_ups_come_by_time_and_then_in_the_order_of_their_keys(wanted, seed):
    def drawn():
        return Schedule(None if seed is None else Random(seed))

    schedule, seen, expected = drawn(), [], []
    keys = drawn().next_key
    for number, (wakes, when) in enumerate(wanted):
        expected.append((when, keys(), number))
        if wakes:
            Sleeper(schedule, number, seen).sleep(when)
        else:
            schedule.at(when, lambda name: seen.append((schedule.now, name)), number)
    run(schedule)
    assert seen == [(when, number) for when, _, number in sorted(expected)]


@given(st.lists(st.tuples(st.integers(0, 4), times), min_size=1))
def test_only_the_last_time_that_a_sleeper_asked_for_wakes_it(asked):
    schedule, seen = Schedule(), []
    sleepers = [Sleeper(schedule, name, seen) for name in range(5)]
    last = {}
    for name, when in asked:
        sleepers[name].sleep(when)
        last[name] = when
    run(schedule)
    assert sorted(seen) == sorted((when, name) for name, when in last.items())


def test_what_is_scheduled_meanwhile_is_in_order_with_what_stood_in_the_calendar():
    schedule, seen = Schedule(), []
    Sleeper(schedule, "far", seen).sleep(10.0)
    near = Sleeper(schedule, "near", seen)

    def at_one(_):
        near.sleep(9.99)
        schedule.at(10.0, lambda _: seen.append((10.0, "call")), None)

    schedule.at(1.0, at_one, None)
    run(schedule)
    assert seen == [(9.99, "near"), (10.0, "far"), (10.0, "call")]


def test_a_stale_wake_up_never_gets_into_the_queue():
    schedule, seen = Schedule(), []
    sleeper = Sleeper(schedule, "a", seen)
    for when in range(1, 50):
        sleeper.sleep(float(when))
    assert schedule.peek() == 49.0
    assert len(schedule.queue) == 1


def test_who_is_asked_at_the_horizon_has_the_last_word_until_then():
    schedule, seen = Schedule(), []
    schedule.at(0.5, lambda _: None, None)
    schedule.step()
    one, other = Sleeper(schedule, "one", seen), Sleeper(schedule, "other", seen)
    one.ask_for(3.0)
    other.ask_for(schedule.horizon)
    one.asks_for = 2.0
    assert not schedule.queue
    run(schedule)
    assert seen == [(0.5 + 1 / PAGES_A_SECOND, "other"), (2.0, "one")]


def test_peek_says_when_the_next_call_is_due_and_nothing_at_the_end():
    schedule = Schedule()
    assert schedule.peek() == math.inf
    assert not schedule.step()
    Sleeper(schedule, "a", []).sleep(7.5)
    schedule.at(8.0, lambda _: None, None)
    assert schedule.peek() == 7.5
    schedule.step()
    assert schedule.peek() == 8.0
