"""Which part of a reader takes which event."""

from sim.history.takers import Takers
from sim.trace import Event


class Part:
    def __init__(self):
        self.taken = []

    def on_fault(self, event):
        self.taken.append(event)

    on_node_started = on_log = on_fault


def taken(name, node):
    part, event = Part(), Event(1, 0.0, node, name, 0, {})
    for take in Takers(part).of(event):
        take(event)
    return part.taken == [event]


def test_what_an_application_calls_a_fault_is_none():
    assert taken("fault", "")
    assert not taken("fault", "a")


def test_what_happens_to_a_node_names_it():
    assert taken("node_started", "a")
    assert not taken("node_started", "")


def test_a_line_of_the_log_is_of_a_node_or_of_the_run():
    assert taken("log", "a") and taken("log", "")


def test_parts_take_an_event_in_their_order():
    first, second = Part(), Part()
    event = Event(1, 0.0, "", "fault", 0, {})
    assert [take.__self__ for take in Takers(first, second).of(event)] == [first, second]
    assert Takers(first).of(event._replace(name="nothing")) == ()
