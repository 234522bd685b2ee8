"""`reset`: one after the other."""

from sim.scenario.faults.reset import Reset
from sim.scenario.schema import Each
from tests.sim.scenario.fake_world import SOME, play


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    return SOME


def test_a_rolling_reset_takes_one_node_after_the_other():
    world = play(Reset(at=5.0, reset=Each(each="role=w", next="2s")))
    assert world.events("reset") == [(5.0 + 2 * i, "reset", f"w-{i + 1}") for i in range(4)]
