"""`slow`: a machine that is too slow."""

import pytest

from sim import Scenario
from sim.scenario.faults.slow import Slow, Strain
from sim.scenario.mistake import ScenarioError
from sim.scenario.schema import Node
from tests.sim.scenario.fake_world import SOME, play


def example(random, ends):
    """One for the storm (tests/sim/scenario/test_storm.py)."""
    return Strain(node=SOME, factor=random.choice([1.5, 10.0, 100.0]))


def test_a_slow_machine_is_told_with_its_factor():
    world = play(Slow(at=5.0, for_=1.0, slow=Strain(node="w-1", factor=20.0)))
    ((_, _, fields),) = world.events("fault")
    assert fields["detail"] == {"factor": 20.0, "seconds": 1.0}
    assert [entry[0] for entry in world.events("fault_undone", "quiet")] == [6.0, 6.0]
    assert world.cuts == {}


@pytest.mark.parametrize("factor", [0.5, 0.0, -1.0, float("inf"), float("nan")])
def test_a_factor_below_one_is_refused_with_its_place(factor):
    fault = Slow(at=1.0, slow=Strain(node="a", factor=factor))
    scenario = Scenario(name="s", duration=2.0, node=(Node(name="a", app="sim.apps.echo:client"),), fault=(fault,))
    with pytest.raises(ScenarioError, match=r"fault\[0\].slow.factor.*at least 1"):
        scenario.run()


APP = """
import asyncio

async def main(node):
    node.ready()
    while True:
        await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        for _ in range(100):
            await asyncio.sleep(0)
        node.record("worked", seconds=asyncio.get_running_loop().time() - began)
"""


def test_what_a_slow_machine_does_takes_time_as_long_as_it_is_slow(tmp_path, monkeypatch):
    (tmp_path / "slow_test_app.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    fault = Slow(at=3.2, for_=3.0, slow=Strain(node="a", factor=20.0))
    nodes = tuple(Node(name=name, app="slow_test_app:main") for name in ("a", "b"))
    run = Scenario(name="s", duration=9.0, node=nodes, fault=(fault,)).run()
    took = {
        name: [(e.time, e.fields["seconds"]) for e in run.trace if (e.node, e.name) == (name, "worked")]
        for name in "ab"
    }
    slow = [seconds > 0.05 for time, seconds in took["a"]]
    assert slow == [3.3 < time < 6.3 for time, _ in took["a"]]
    assert any(slow) and slow.count(False) > 4
    assert {seconds for _, seconds in took["b"]} == {0.0}
