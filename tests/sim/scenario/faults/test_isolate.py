"""`isolate`: each alone."""

from sim.scenario.faults.isolate import Isolate
from sim.scenario.schema import Pick
from tests.sim.scenario.fake_world import SOME, FakeWorld, play

SEEN = ["b"], {}
"""Targets and detail of one that lies between a and b (tests/sim/scenario/test_warn.py)."""


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    return SOME


def test_what_is_isolated_by_the_isolation_of_others_is_let_go_with_them():
    class Last(FakeWorld):
        def isolate(self, name, node):
            return super().isolate(name, node) and node != "w-4"  # all the others are cut off by then

        def record(self, event, /, **fields):
            super().record(event, **fields)
            if event == "quiet":
                assert self.cuts == {}

    world = play(Isolate(at=5.0, for_=3.0, isolate="all"), world=Last)
    ((_, _, fields),) = world.events("fault")
    assert fields["targets"] == ["a", "w-1", "w-2", "w-3", "w-4"]
    assert world.events("quiet") == [(8.0, "quiet", {})]


def test_a_cut_that_strikes_again_leaves_its_first_strike_in_force():
    seen = []

    class Watched(FakeWorld):
        def heal(self, name):
            seen.append(len(self.cuts))
            return super().heal(name)

    play(Isolate(at=5.0, every=20.0, isolate=Pick(pick="one", of="role=w")), world=Watched)
    assert seen == [3, 2, 1]


def test_who_is_isolated_is_apart_from_everybody(story):
    story.start("a").start("b").start("c").fault(10, "isolate", "b", undone=30)
    reach = story.context().history.reach
    assert reach.apart("a", "b") == reach.apart("b", "c") == [(10, 30)]
    assert reach.apart("a", "c") == []
