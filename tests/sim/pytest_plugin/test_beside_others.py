"""The plugin beside pytest-asyncio and xdist, and how pytest finds and loads it; in processes of their own."""

import subprocess
import sys

import pytest

from tests.sim.pytest_plugin.inner_runs import PASSES

pytest_plugins = ["pytester"]

AUTO = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
STRICT = ("-o", "asyncio_mode=strict", "-o", "asyncio_default_fixture_loop_scope=function")

BESIDE = f"""{PASSES}
async def test_of_asyncio():
    assert type(asyncio.get_running_loop()).__module__.startswith("asyncio")

def test_plain():
    pass
"""


@pytest.mark.gate
def test_pytest_asyncio_in_auto_mode_keeps_its_own_tests(run_apart):
    run_apart(BESIDE, *AUTO).assert_outcomes(passed=7)


@pytest.mark.gate
def test_pytest_asyncio_in_strict_mode_keeps_its_own_tests(run_apart):
    run_apart(BESIDE.replace("async def test_of", "@pytest.mark.asyncio\nasync def test_of"), *STRICT).assert_outcomes(
        passed=7
    )


@pytest.mark.gate
def test_failures_beside_pytest_asyncio_replay_too(run_apart):
    text = "@pytest.mark.simulated(seeds=3)\nasync def test_it(simulation):\n    assert simulation.seed != 2\n"
    result = run_apart(text, *AUTO)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["run it again: pytest test_it.py::test_it --sim-seed 2"])


@pytest.mark.gate
def test_xdist_spreads_the_seeds_and_shows_the_failing_one(run_apart):
    text = "@pytest.mark.simulated(seeds=6)\nasync def test_it(simulation):\n    assert simulation.seed != 4\n"
    result = run_apart(text, "-p", "no:asyncio", "-n", "2")
    result.assert_outcomes(passed=5, failed=1)
    # The first seeds are shared out two by two.
    result.stdout.fnmatch_lines(
        ["seed 4 fails, seed 3 passed;*", "run it again: pytest test_it.py::test_it --sim-seed 4"]
    )


def test_loading_the_plugin_imports_nothing_of_the_simulator():
    code = (
        "import sys, sim.pytest_plugin; print(*[m for m in sys.modules if m.split('.')[0] in "
        "{'sim', 'rpcnet', 'simpy', 'networkx', 'msgpack', 'msgspec', 'asyncio'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"sim", "sim.extras", "sim.pytest_plugin", "asyncio"} | {
        name for name in done.stdout.split() if name.startswith("asyncio.")
    }


@pytest.mark.gate
def test_the_plugin_is_found_by_its_entry_point(run_apart):
    result = run_apart(PASSES, "-p", "no:asyncio", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.simulated(seeds=1, *"])
