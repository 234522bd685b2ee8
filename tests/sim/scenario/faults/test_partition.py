"""`partition`: groups."""

from sim.scenario.faults.partition import Partition, Split
from sim.scenario.schema import Pick
from tests.sim.scenario.fake_world import play

SEEN = ["a", "b"], {"groups": [["a"], ["b"]], "one_way": False}
"""Targets and detail of one that lies between a and b (tests/sim/scenario/test_warn.py)."""


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    return Split(groups=[Pick(pick="minority"), "all"], one_way=random.random() < 0.5)


def test_who_is_in_two_groups_belongs_to_the_first():
    world = play(Partition(at=5.0, partition=Split(groups=[Pick(pick="minority", of="role=w"), "all"])))
    ((_, _, fields),) = world.events("fault")
    first, second = fields["detail"]["groups"]
    assert len(first) == 1
    assert sorted(first + second) == ["a", "w-1", "w-2", "w-3", "w-4"]


def test_a_label_names_its_groups_or_counts_them():
    assert Partition.whom(["a", "b"], {"groups": [["a"], ["b", "c", "d"]]}) == "a | 3 nodes"
    assert Partition.whom(["a", "b"], {}) == "a, b"
