"""Where two traces part."""

from sim.trace import Event
from sim.trace.diff import Difference, first_difference


def events(*names):
    return [Event(line, float(line), "n", name, 0, {}) for line, name in enumerate(names, 1)]


def test_equal_traces_do_not_differ():
    assert first_difference(events("a", "b"), events("a", "b")) is None


def test_the_first_event_that_differs_is_named():
    one, other = events("a", "b", "c"), events("a", "x", "y")
    assert first_difference(one, other) == Difference(2, one[1], other[1])


def test_a_trace_that_ends_before_the_other_differs_there():
    one = events("a", "b")
    assert first_difference(one, one[:1]) == Difference(2, one[1], None)
