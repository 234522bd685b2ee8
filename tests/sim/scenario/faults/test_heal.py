"""`heal`: by name, or all."""

from sim.scenario.faults.heal import Heal
from sim.scenario.faults.isolate import Isolate
from sim.scenario.faults.partition import Partition, Split
from tests.sim.scenario.fake_world import play


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    return "all"


def test_heal_undoes_by_name_and_is_told():
    world = play(
        Partition(at=5.0, partition=Split(groups=["a", "role=w"]), name="split"),
        Isolate(at=6.0, isolate="w-1"),
        Heal(at=9.0, heal="split"),
    )
    assert [(time, event, fields["name"]) for time, event, fields in world.events("fault", "fault_undone")] == [
        (5.0, "fault", "split"),
        (6.0, "fault", "isolate"),
        (9.0, "fault", "heal"),
        (9.0, "fault_undone", "split"),
        (60.0, "fault_undone", "isolate"),
    ]


def test_heal_all_undoes_everything_and_it_is_quiet_then():
    world = play(
        Partition(at=5.0, partition=Split(groups=["a", "role=w"])),
        Isolate(at=6.0, isolate="w-1"),
        Heal(at=9.0, heal="all"),
    )
    assert world.cuts == {}
    assert world.events("quiet") == [(9.0, "quiet", {})]


def test_a_cut_healed_before_its_time_is_not_undone_twice():
    world = play(Partition(at=5.0, for_=10.0, partition=Split(groups=["a", "role=w"])), Heal(at=9.0, heal="all"))
    assert [entry[0] for entry in world.events("fault_undone")] == [9.0]
    assert [entry[0] for entry in world.events("quiet")] == [15.0]
