"""Faults that strike nodes: lists, and one node after the other."""

import pytest

from sim.scenario.faults.crash import Crash
from sim.scenario.faults.isolate import Isolate
from sim.scenario.faults.of_nodes import parse_next
from sim.scenario.faults.reset import Reset
from sim.scenario.faults.stop import Stop
from sim.scenario.schema import Each, Pick
from tests.sim.scenario.fake_world import play


@pytest.mark.parametrize("fault", [Crash, Isolate, Reset])
def test_a_list_of_selectors_means_all_of_them(fault):
    world = play(fault(at=10.0, **{fault.verb: ["a", Pick(pick="one", of="w-1"), "w-3"]}))
    ((_, _, fields),) = world.events("fault")
    assert fields["targets"] == ["a", "w-1", "w-3"]


def test_rolling_restart_goes_one_after_the_other():
    world = play(Stop(at=1.0, for_=3.0, stop=Each(each="role=w", next="ready + 2s")))
    assert [entry[:3] for entry in world.events("crash", "restart")][:4] == [
        (1.0, "crash", "w-1"),
        (4.0, "restart", "w-1"),
        (6.5, "crash", "w-2"),
        (9.5, "restart", "w-2"),
    ]
    assert len(world.events("fault")) == 4
    assert world.events("quiet") == [(world.events("fault_undone")[-1][0], "quiet", {})]


@pytest.mark.parametrize(
    ("text", "meaning"), [("ready", (True, 0.0)), ("ready + 2s", (True, 2.0)), ("1m", (False, 60.0))]
)
def test_next_is_read(text, meaning):
    assert parse_next(text) == meaning


def test_next_that_is_neither_is_refused():
    with pytest.raises(ValueError, match='next is "ready", "ready \\+ 2s" or a duration'):
        parse_next("soon")
