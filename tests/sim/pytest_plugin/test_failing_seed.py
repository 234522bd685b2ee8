"""What is told of a seed that fails: what led to it, where it parts from one that passed, how to run it again."""

import re

import pytest

from tests.sim.pytest_plugin.inner_runs import ALONE, ECHO

pytest_plugins = ["pytester"]


def test_a_failing_seed_is_shown_with_its_causal_lines_and_the_command_that_replays_it(run, pytester):
    text = f"""{ECHO}
@pytest.mark.simulated(seeds=20)
async def test_echo(simulation):
    simulation.add_node("server").start(serve)
    await asyncio.sleep(0.1)
    assert await ask(b"x") == (b"y" if simulation.seed == 17 else b"x")
"""
    result = run(text)
    result.assert_outcomes(passed=19, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*test_echo?seed17?*",
            "E *AssertionError*",
            "*seed 17*",
            "what led to it*",
            "  line *server  received from='test'*(answers line *",
            "  line *test  received from='server'*(answers line *",
            "run it again: pytest test_it.py::test_echo --sim-seed 17",
        ]
    )
    again = pytester.runpytest_inprocess(*ALONE, "test_it.py::test_echo", "--sim-seed", "17")
    again.assert_outcomes(failed=1)
    pytester.runpytest_inprocess(*ALONE, "test_it.py::test_echo", "--sim-seed", "16").assert_outcomes(passed=1)


SILENT = f"""{ECHO}
@pytest.mark.simulated(seeds=4)
@pytest.mark.parametrize("word", [b"a", b"b"])
async def test_echo(simulation, word):
    server = simulation.add_node("server")
    server.start(serve)
    await asyncio.sleep(0.1)
    if (simulation.seed, word) == (3, b"b"):
        server.kill()
    assert await ask(word) == word
"""


def test_a_failing_seed_is_shown_with_where_it_parts_from_one_that_passed(run):
    result = run(SILENT)
    result.assert_outcomes(passed=7, failed=1)
    result.stdout.fnmatch_lines(
        [
            "seed 3 fails, seed 2 passed; the first that only one of them has:",
            "  seed 3: line 1: 0.101000 s  test  tcp_refused to='server'",
            "  seed 2: line 1: 0.101000 s  test  tcp_connected to='server'",
            "run it again: *",
        ],
        consecutive=True,
    )


def test_what_led_to_the_difference_is_shown_too_and_messages_count(run):
    text = f"""{ECHO}
async def mute(reader, writer):
    await reader.read()
    writer.close()

@pytest.mark.simulated(seeds=2)
async def test_echo(simulation):
    global echo
    if simulation.seed == 2:
        echo = mute
    simulation.add_node("server").start(serve)
    await asyncio.sleep(0.1)
    async with asyncio.timeout(1):
        await ask(b"x")
"""
    result = run(text)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "seed 2 fails, seed 1 passed; the first that only one of them has:",
            "  seed 2: nothing",
            "  seed 1: line 4: * server  sent to='test' *(answers line 3)",
            "    because of line 3: * server  received from='test' *(answers line 2)",
            "    because of line 2: * test  sent to='server' *",
        ],
        consecutive=True,
    )


def test_seeds_with_the_same_kinds_of_events_part_where_something_else_happened(run):
    text = f"""{ECHO}
@pytest.mark.simulated(seeds=2)
async def test_echo(simulation):
    simulation.add_node("server").start(serve)
    await asyncio.sleep(0.1)
    text = b"x" * simulation.seed
    assert await ask(text) == b"x"
"""
    result = run(text)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "seed 2 fails, seed 1 passed; they have the same kinds of events, and the first that differs, times aside:",
            "  seed 2: line 2: * sent to='server' protocol='tcp' bytes=2 *",
            "    because of line 1: * tcp_connected to='server'",
            "  seed 1: line 2: * sent to='server' protocol='tcp' bytes=1 *",
            "    because of line 1: * tcp_connected to='server'",
        ],
        consecutive=True,
    )


def test_how_a_passed_seed_was_ended_is_no_difference_to_one_that_failed_before_that(run):
    text = """
async def forever():
    await asyncio.Event().wait()

@pytest.mark.simulated(seeds=2)
async def test_it(simulation):
    task = asyncio.create_task(forever())
    simulation.nodes["test"].record("said")
    assert simulation.seed == 1
    task.cancel()
"""
    result = run(text)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["seed 2 fails, seed 1 passed; times aside, the same was recorded of both"])


@pytest.mark.parametrize(
    "test",
    [
        "@pytest.mark.simulated(seeds=[5])\nasync def test_it(simulation):\n    assert 0",
        # The first seed has nothing to be compared with, and other parameters make another test.
        "@pytest.mark.simulated(seeds=2)\nasync def test_it(simulation):\n    assert simulation.seed == 2",
        "@pytest.mark.simulated(seeds=2)\n@pytest.mark.parametrize('n', [1, 2])\n"
        "async def test_it(simulation, n):\n    assert n == 1",
    ],
)
def test_where_no_seed_of_the_same_test_has_passed_before_there_is_no_comparison(run, test):
    result = run(test)
    assert result.parseoutcomes()["failed"] >= 1
    result.stdout.fnmatch_lines(["run it again: *"])
    result.stdout.no_fnmatch_line("*passed;*")


def test_traces_of_passed_seeds_are_let_go_of_with_their_function(run, pytester):
    pytester.makeconftest(
        """
import os, pytest
from sim.pytest_plugin import PASSED

@pytest.hookimpl(trylast=True)
def pytest_runtest_logfinish(nodeid):
    kept = config.stash[PASSED].values()
    print("kept", nodeid, [passed.seed for passed in kept], len(os.listdir("/proc/self/fd")) - files)

def pytest_configure(config):
    globals()["config"] = config

def pytest_runtestloop():
    globals()["files"] = len(os.listdir("/proc/self/fd"))
"""
    )
    text = """
@pytest.mark.simulated(seeds=3)
async def test_a(simulation):
    pass

@pytest.mark.simulated
async def test_b():
    pass

class TestIt:
    @pytest.mark.simulated(seeds=2)
    @pytest.mark.parametrize("n", range(20))
    async def test_c(self, n):
        pass
"""
    result = run(text, "-s")
    told = dict(re.findall(r"kept test_it.py::(\S+) (.*)", result.stdout.str()))
    assert told["test_a[seed1]"] == "[1] 1" and told["test_a[seed2]"] == "[2] 1"
    assert told["test_a[seed3]"] == told["test_b"] == told["TestIt::test_c[seed2-19]"] == "[] 0"
    assert told["TestIt::test_c[seed1-19]"] == f"{[1] * 16} 16"


def test_the_command_keeps_other_parameters_and_leads_there_from_where_one_stands(run, pytester):
    text = """
@pytest.mark.simulated(seeds=[4, 5])
@pytest.mark.parametrize("word", ["a-b", "c"])
async def test_it(simulation, word):
    assert word == "c"
"""
    result = run(text)
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["run it again: pytest 'test_it.py::test_it?a-b?' --sim-seed 5"])
    pytester.runpytest_inprocess(*ALONE, "test_it.py::test_it[a-b]", "--sim-seed", "5").assert_outcomes(failed=1)


def test_a_parameter_that_is_called_like_a_seed_stays_in_the_command(run, pytester):
    text = """
@pytest.mark.simulated(seeds=2)
@pytest.mark.parametrize("word", ["seed2", "b-seed2-c"])
async def test_it(simulation, word):
    assert simulation.seed == 1
"""
    result = run(text)
    result.assert_outcomes(passed=2, failed=2)
    for word in ("seed2", "b-seed2-c"):
        result.stdout.fnmatch_lines([f"run it again: pytest 'test_it.py::test_it?{word}?' --sim-seed 2"])
        pytester.runpytest_inprocess(*ALONE, f"test_it.py::test_it[{word}]", "--sim-seed", "2").assert_outcomes(
            failed=1
        )
