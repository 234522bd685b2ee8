"""What a marked test has: a node, a seed, virtual time, and all else that pytest gives to tests."""

import re
from pathlib import Path

import pytest

from tests.sim.pytest_plugin.inner_runs import ALONE, ECHO, PASSES

pytest_plugins = ["pytester"]


def test_the_body_is_a_node_and_runs_with_each_seed(run):
    result = run(PASSES, "-v")
    result.assert_outcomes(passed=5)
    result.stdout.fnmatch_lines(["*test_time_is_virtual?seed1? PASSED*", "*test_time_is_virtual?seed5? PASSED*"])


def test_other_nodes_are_added_and_answer(run):
    text = f"""{ECHO}
@pytest.mark.simulated(seeds=3, network={{"latency": "20ms"}})
async def test_echo(simulation):
    simulation.add_node("server").start(serve)
    await asyncio.sleep(0.1)
    before = simulation.now
    assert await ask(b"x") == b"x"
    assert simulation.now - before == pytest.approx(0.08)
"""
    run(text).assert_outcomes(passed=3)


def test_other_fixtures_and_parameters_are_there_anew_for_each_seed(run):
    text = """
@pytest.fixture
def table():
    return []

@pytest.mark.simulated(seeds=2)
@pytest.mark.parametrize("word", ["a", "b"])
async def test_it(simulation, table, tmp_path, word):
    assert not table and not list(tmp_path.iterdir())
    table.append(word)
    (tmp_path / word).write_text(word)
"""
    run(text).assert_outcomes(passed=4)


def test_a_test_without_the_fixture_runs_in_a_simulation_as_well(run):
    run("@pytest.mark.simulated\nasync def test_it():\n    await asyncio.sleep(10 ** 3)\n").assert_outcomes(passed=1)


def test_the_fixture_of_a_conftest_may_extend_ours(run, pytester):
    pytester.makeconftest(
        "import pytest\n@pytest.fixture\ndef simulation(simulation):\n"
        "    simulation.add_node('other')\n    return simulation\n"
    )
    text = "@pytest.mark.simulated\nasync def test_it(simulation):\n    assert 'other' in simulation.nodes\n"
    run(text).assert_outcomes(passed=1)


def test_methods_and_markers_of_classes_work_and_the_nearest_decides(run):
    text = """
@pytest.mark.simulated(seeds=2, network="lan")
class TestIt:
    async def test_two(self, simulation):
        assert self is not None

    @pytest.mark.simulated(seeds=3)
    async def test_three(self, simulation):
        await asyncio.sleep(1)
"""
    run(text).assert_outcomes(passed=5)


def test_each_step_takes_the_markers_cpu_on_every_node(run):
    text = f"""{ECHO}
@pytest.mark.simulated(cpu="1ms", network={{"latency": "0ms"}})
async def test_echo(simulation):
    simulation.add_node("server").start(serve)
    await asyncio.sleep(0.1)
    before = asyncio.get_running_loop().time()
    assert await ask(b"x") == b"x"
    assert asyncio.get_running_loop().time() - before > 0.005
"""
    run(text).assert_outcomes(passed=1)


def test_skip_and_xfail_mean_what_they_mean(run):
    text = """
@pytest.mark.simulated
async def test_skipped():
    pytest.skip("not today")

@pytest.mark.simulated
@pytest.mark.xfail(strict=True)
async def test_expected():
    assert False
"""
    run(text).assert_outcomes(skipped=1, xfailed=1)


def test_the_same_seed_is_the_same_run(run):
    text = f"""{ECHO}
@pytest.mark.simulated(seeds=2, network="wan")
async def test_it(simulation):
    simulation.add_node("server").start(serve)
    await asyncio.sleep(1)
    await ask(b"x")
    print("digest", simulation.seed, simulation.digest())
"""

    def digests(result: pytest.RunResult) -> list[str]:
        return re.findall(r"digest (?:1|2) \w+", result.stdout.str())

    first = digests(run(text, "-s"))
    assert len(set(first)) == 2
    assert digests(run(text, "-s", "--sim-seed", "2")) == first[1:]


def test_the_examples_of_the_howto_pass(pytester):
    page = (Path(__file__).parents[3] / "docs" / "howto" / "testing.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    pytester.makepyfile(test_it="".join(blocks))
    pytester.runpytest_inprocess(*ALONE, "-W", "error").assert_outcomes(passed=21)
