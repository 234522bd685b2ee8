"""Where two traces part."""

from sim.trace import Event
from sim.trace.diff import (
    Difference,
    Kinds,
    choice_apart,
    first_difference,
    first_difference_in_kind,
    first_difference_in_order,
)


def told(*names):
    return [Event(line, float(line), "n", name, 0, {}) for line, name in enumerate(names, 1)]


def test_equal_traces_do_not_differ():
    assert first_difference(told("a", "b"), told("a", "b")) is None


def test_the_first_event_that_differs_is_named():
    one, other = told("a", "b", "c"), told("a", "x", "y")
    assert first_difference(one, other) == Difference(2, one[1], other[1])


def test_a_trace_that_ends_before_the_other_differs_there():
    one = told("a", "b")
    assert first_difference(one, one[:1]) == Difference(2, one[1], None)


def test_two_seeds_differ_in_the_first_kind_that_one_of_them_lacks():
    fails, holds = told("started", "token", "token", "failed"), told("token", "started", "token", "completed")
    assert first_difference_in_kind(Kinds(fails), Kinds(holds)) == Difference(4, fails[3], holds[3])


def test_times_order_messages_and_how_often_are_no_difference_in_kind():
    one = told("sent", "token", "started", "dropped")
    other = [event._replace(time=event.time + 0.1) for event in told("started", "token", "token", "received")]
    assert first_difference_in_kind(Kinds(one), Kinds(other)) is None


def test_who_it_was_and_in_what_words_are_a_difference_in_kind_and_figures_are_not():
    here = [Event(1, 0.0, "a", "call_ended", 0, {"status": "OK", "seconds": 0.1})]
    slower = [Event(1, 0.0, "a", "call_ended", 0, {"status": "OK", "seconds": 0.2})]
    failed = [Event(1, 0.0, "a", "call_ended", 0, {"status": "UNAVAILABLE", "seconds": 0.1})]
    elsewhere = [here[0]._replace(node="b")]
    assert first_difference_in_kind(Kinds(here), Kinds(slower)) is None
    for other in (failed, elsewhere):
        assert first_difference_in_kind(Kinds(here), Kinds(other)) == Difference(1, here[0], other[0])


def test_what_one_has_and_more_is_told_with_nothing_on_the_other_side():
    more = told("a", "b", "c")
    assert first_difference_in_kind(Kinds(more[:2]), Kinds(more)) == Difference(3, None, more[2])


def test_messages_count_where_nothing_is_put_aside():
    one, other = told("sent", "received"), told("sent", "dropped")
    found = first_difference_in_kind(Kinds(one, aside=()), Kinds(other, aside=()))
    assert found == Difference(2, one[1], other[1])


def test_times_and_causes_are_no_difference_in_order_and_what_happened_where_is():
    one = told("a", "b", "c")
    other = [event._replace(time=event.time + 0.1, cause=1) for event in one]
    assert first_difference_in_order(one, other) is None
    for change in ({"node": "m"}, {"name": "x"}, {"fields": {"n": 1}}):
        changed = [other[0], other[1]._replace(**change), other[2]]
        assert first_difference_in_order(one, changed) == Difference(2, one[1], changed[1])
    assert first_difference_in_order(one, other[:2]) == Difference(3, one[2], None)


def choices(*steps):
    """A trace of choices: where the task that went first goes on, and where the one that had to wait."""
    return [
        Event(line, 0.0, "n", "chosen", 0, {"task": f"Task-{line}", "step": step, "passed_step": passed})
        for line, (step, passed) in enumerate(steps, 1)
    ]


def test_the_last_choice_that_the_other_trace_never_made_is_named():
    fails = choices(("a:1", "b:1"), ("b:2", "a:2"), ("a:3", "b:3"), ("a:1", "b:1"))
    holds = choices(("a:1", "b:1"), ("a:2", "b:2"))
    assert choice_apart(fails, holds) == fails[2]
    assert choice_apart(fails, holds, before=2) == fails[1]
    assert choice_apart(fails, holds, before=1) is None
    assert choice_apart(fails, fails) is None


def test_choices_are_no_difference_in_kind():
    one, other = choices(("a:1", "b:1")), choices(("b:1", "a:1"))
    assert first_difference_in_kind(Kinds(one, aside=()), Kinds(other, aside=())) is None
