"""`slow_receive`: late packets."""

import pytest

from sim.scenario.faults.slow_receive import Slowness, SlowReceive
from tests.sim.scenario.fake_world import SOME, play

SEEN = ["b"], {"latency": "1s"}
"""Targets and detail of one that lies between a and b (tests/sim/scenario/test_warn.py)."""


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    return Slowness(node=SOME, latency=random.choice(["uniform(0.1s, 2s)", "50ms", "lognormal(100ms, 1)"]))


def test_a_slow_reader_is_told_with_its_latency():
    world = play(SlowReceive(at=5.0, for_=1.0, slow_receive=Slowness(node="w-1", latency="uniform(1s, 2s)")))
    ((_, _, fields),) = world.events("fault")
    assert fields["detail"] == {"latency": "uniform(1s, 2s)", "seconds": 1.0}
    assert [entry[0] for entry in world.events("fault_undone", "quiet")] == [6.0, 6.0]
    assert world.cuts == {}


@pytest.mark.parametrize(("latency", "apart"), [("uniform(0.5s, 2.5s)", []), ("uniform(2s, 5s)", [(10, 20)])])
def test_only_a_reader_that_is_too_late_is_apart(story, latency, apart):
    story.start("a").start("b").fault(10, "slow_receive", "a", undone=20, latency=latency)
    assert story.context().history.reach.apart("a", "b") == apart
