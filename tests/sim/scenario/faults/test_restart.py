"""`restart`: who is down starts again."""

from sim.scenario.faults.crash import Crash
from sim.scenario.faults.restart import Restart
from sim.scenario.run import run
from sim.scenario.schema import Node, Scenario
from tests.sim.scenario.fake_world import SOME, play


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    return SOME


def test_a_node_that_another_fault_took_down_since_is_not_started_with_the_first():
    world = play(
        Crash(at=5.0, for_=10.0, crash="a"),
        Restart(at=7.0, restart="a"),
        Crash(at=8.0, crash="a"),
    )
    assert world.events("crash", "restart") == [(5.0, "crash", "a"), (7.0, "restart", "a"), (8.0, "crash", "a")]
    assert world.events("fault_undone") == []


def test_a_node_that_has_not_started_yet_is_not_said_to_run():
    late = Node(name="late", app="sim.apps.member:main", start=10.0)
    soon = Node(name="soon", app="sim.apps.member:main")
    found = run(Scenario(name="x", duration=12.0, node=(soon, late), fault=(Restart(at=5.0, restart="all"),)), seed=1)
    assert found.warnings == (
        'fault "restart" touched nobody at 5 s: soon: running already at that time; late: not started yet at that time',
    )


def test_only_who_is_started_again_is_told_as_undone_and_nobody_waits_for_who_runs():
    world = play(Crash(at=5.0, for_=10.0, crash="role=w"), Restart(at=7.0, restart="w-2"))
    ((time, _, fields),) = world.events("fault_undone")
    assert (time, fields["targets"]) == (15.0, ["w-1", "w-3", "w-4"])
