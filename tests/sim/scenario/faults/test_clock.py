"""`clock`: offset and drift."""

import pytest

from sim.scenario.faults.clock import Clock, Wrong
from tests.sim.scenario.fake_world import SOME, play


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    offset, drift = random.choice([("3s", None), ("-1h", "200ppm"), (None, "-5%"), (None, "50%")])
    return Wrong(node=SOME, offset=offset, drift=drift)


def test_a_clock_is_told_in_seconds_and_shares():
    world = play(Clock(at=5.0, for_=1.0, clock=Wrong(node="w-1", offset="-3s", drift="100ppm")))
    ((_, _, fields),) = world.events("fault")
    assert fields["detail"] == {"offset": -3.0, "drift": pytest.approx(1e-4), "seconds": 1.0}
    assert [entry[0] for entry in world.events("fault_undone", "quiet")] == [6.0, 6.0]
    assert world.cuts == {}
