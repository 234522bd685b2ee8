"""A fault that no packet met is told; one that did its work is not."""

from importlib import import_module

import pytest

from sim.scenario.faults import FAULTS
from sim.scenario.warn import idle_faults


def warned(story, backend="sim"):
    context = story.context()
    context.backend = backend
    return list(idle_faults(context))


BETWEEN = [verb for verb, kind in FAULTS.items() if kind.did]
"""What does something to packets."""


def told(story, verb, times=(10,)):
    targets, detail = import_module(f"tests.sim.scenario.faults.test_{verb}").SEEN
    story.start("a").start("b").start("c")
    for time in times:
        story.fault(time, verb, *targets, undone=time + 10, **detail)
    return story


@pytest.mark.parametrize("verb", BETWEEN)
def test_a_fault_that_no_packet_met_is_told(story, verb):
    told(story, verb)
    story.at(9, "a", "sent", to="b", protocol="udp", bytes=1, crc=0)
    story.at(15, "c", "sent", to="a", protocol="udp", bytes=1, crc=0)
    story.at(21, "a", "sent", to="b", protocol="udp", bytes=1, crc=0)
    (warning,) = warned(story)
    assert warning.startswith(f'fault "{verb}" ')
    assert warning.endswith("at 10 s, and no packet met it")
    assert warned(story, "sockets") == []  # its network tells of no packet


@pytest.mark.parametrize("verb", BETWEEN)
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_one_that_a_packet_met_is_not(story, verb, protocol):
    told(story, verb).at(15, "a", "sent", to="b", protocol=protocol, bytes=1, crc=0)
    assert warned(story) == []


@pytest.mark.parametrize("verb", BETWEEN)
def test_a_connect_that_waited_for_its_end_met_it(story, verb):
    told(story, verb).at(20.5, "a", "tcp_connected", to="b")
    assert warned(story) == []


def test_what_touched_nobody_says_why(story):
    story.start("a").at(3, "", "fault_idle", name="twice", why="a: not running at that time")
    assert warned(story) == ['fault "twice" touched nobody at 3 s: a: not running at that time']


def test_what_touched_nobody_while_it_lasted_is_told_of_when_it_struck(story):
    story.start("a").at(13, "", "fault_idle", name="twice", why="so already", struck=8.0)
    assert warned(story) == ['fault "twice" touched nobody at 8 s: so already']


def test_what_comes_again_and_again_is_told_once(story):
    story.start("a")
    for time in (3, 4, 5.5):
        story.at(time, "", "fault_idle", name="twice", why="a: not running at that time")
    story.at(6, "", "fault_idle", name="twice", why="b: not running at that time")
    assert warned(story) == [
        'fault "twice" touched nobody 3 times, from 3 s to 5.5 s: a: not running at that time',
        'fault "twice" touched nobody at 6 s: b: not running at that time',
    ]


def test_what_no_packet_met_again_and_again_is_told_once(story):
    told(story, "partition", times=(10, 30))
    assert warned(story) == ['fault "partition" cut a, b 2 times, from 10 s to 30 s, and no packet met it']
