"""`pause`: never beyond the run."""

from sim.scenario.faults.pause import Pause
from tests.sim.scenario.fake_world import SOME, play


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    return SOME


def test_pause_never_outlives_the_run_and_is_undone_at_the_end():
    world = play(Pause(at=8.0, for_=5.0, pause="w-1"), duration=10.0)
    assert world.events("pause") == [(8.0, "pause", "w-1", 2.0)]
    assert world.events("fault_undone", "quiet") == [
        (10.0, "fault_undone", {"name": "pause", "verb": "pause", "targets": ["w-1"]}),
        (10.0, "quiet", {}),
    ]
