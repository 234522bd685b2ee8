"""`stop`: a node is asked to end, and started again."""

from sim.scenario.faults.stop import Stop
from sim.scenario.schema import Each
from tests.sim.scenario.fake_world import SOME, FakeWorld, play


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    return Each(each="role=worker", next=random.choice(["ready + 0.5s", "1s"])) if ends else SOME


def test_stopped_node_is_started_again_only_when_it_has_ended():
    class Slow(FakeWorld):
        stop_time = 4.02

    world = play(Stop(at=1.0, for_=1.0, stop="a"), world=Slow)
    ((time, *_),) = world.events("restart")
    assert 5.0 < time < 5.2
