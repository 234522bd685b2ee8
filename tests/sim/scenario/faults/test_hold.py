"""`hold`: which way."""

from sim.scenario.faults.hold import Held, Hold
from tests.sim.scenario.fake_world import SOME, play

SEEN = ["a", "b"], {"pairs": [["a", "b"]]}
"""Targets and detail of one that lies between a and b (tests/sim/scenario/test_warn.py)."""


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    return Held(from_=SOME)


def test_a_hold_is_told_way_by_way():
    world = play(Hold(at=5.0, for_=1.0, hold=Held(from_=["w-1", "w-2"], to=["a", "w-1"])))
    ((_, _, fields),) = world.events("fault")
    assert fields["detail"] == {"pairs": [["w-1", "a"], ["w-2", "a"], ["w-2", "w-1"]], "seconds": 1.0}
    assert [entry[0] for entry in world.events("fault_undone", "quiet")] == [6.0, 6.0]
    assert world.cuts == {}


def test_a_hold_parts_whom_it_keeps_apart(story):
    story.fault(10, "hold", "a", "b", undone=20, pairs=[["b", "a"]])
    assert story.context().history.reach.apart("a", "b") == [(10, 20)]
