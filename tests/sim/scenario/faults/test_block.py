"""`block`: again and again."""

from sim.scenario.faults.block import Block
from sim.scenario.schema import Pick
from tests.sim.scenario.fake_world import SOME, play


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    return SOME


def test_every_strikes_until_the_end_and_draws_each_time():
    world = play(Block(at=5.0, every=5.0, for_=1.0, block=Pick(pick="one", of="role=w")), duration=60.0)
    strikes = world.events("pause")
    assert [entry[0] for entry in strikes] == [5.0 * i for i in range(1, 12)]
    assert len({entry[2] for entry in strikes}) > 1
    assert strikes != play(Block(at=5.0, every=5.0, for_=1.0, block=Pick(pick="one", of="role=w")), seed=2).events(
        "pause"
    )
