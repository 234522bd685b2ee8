"""`kill`: the process ends."""

from sim.scenario.faults.kill import Kill
from tests.sim.scenario.fake_world import SOME, play


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    return SOME


def test_a_killed_node_starts_again_with_for():
    world = play(Kill(at=10.0, for_=3.0, kill="w-2"))
    assert [entry[:2] for entry in world.events("fault", "restart", "fault_undone")] == [
        (10.0, "fault"),
        (13.0, "restart"),
        (13.0, "fault_undone"),
    ]
