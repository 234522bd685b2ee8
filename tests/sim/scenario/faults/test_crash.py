"""`crash`: silence, and a start again with `for`."""

from sim.scenario.faults.crash import Crash
from tests.sim.scenario.fake_world import SOME, play


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    return SOME


def test_crash_is_told_with_its_targets_and_then_it_is_quiet():
    world = play(Crash(at=10.0, crash="role=w", name="outage"))
    assert [entry[:3] for entry in world.events("crash")] == [(10.0, "crash", f"w-{i}") for i in (1, 2, 3, 4)]
    (fault,) = world.events("fault")
    assert fault == (
        10.0,
        "fault",
        {"name": "outage", "verb": "crash", "targets": ["w-1", "w-2", "w-3", "w-4"], "detail": {}, "line": 0},
    )
    assert world.events("fault_undone", "restart") == []
    assert world.events("quiet") == [(10.0, "quiet", {})]


def test_crash_for_some_time_starts_the_node_again():
    world = play(Crash(at=10.0, for_=3.0, crash="w-2"))
    assert world.events("crash", "restart", "fault_undone", "quiet") == [
        (10.0, "crash", "w-2"),
        (13.0, "restart", "w-2"),
        (13.0, "fault_undone", {"name": "crash", "verb": "crash", "targets": ["w-2"]}),
        (13.0, "quiet", {}),
    ]
