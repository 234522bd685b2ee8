"""The plugin as its users meet it: whole pytest runs; beside pytest-asyncio and xdist in processes of their own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

# A run within this process leaves the modules that it found here as they are.
import sim.simulated_test  # noqa: F401

pytest_plugins = ["pytester"]

# This suite switches pytest-asyncio off; here each run says whether it is there.
ALONE = ("-p", "no:asyncio", "-p", "no:cacheprovider")
AUTO = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
STRICT = ("-o", "asyncio_mode=strict", "-o", "asyncio_default_fixture_loop_scope=function")


@pytest.fixture
def write(pytester: pytest.Pytester):
    """Write the test file."""
    return lambda text: pytester.makepyfile(test_it=f"import asyncio\nimport pytest\n\n{text}")


@pytest.fixture
def run(pytester: pytest.Pytester, write):
    """Write a test file and run it."""

    def run(text: str, *arguments: str) -> pytest.RunResult:
        write(text)
        return pytester.runpytest_inprocess(*ALONE, "-W", "error", *arguments)

    return run


@pytest.fixture
def run_apart(pytester: pytest.Pytester, write):
    """Write a test file and run it in a process of its own, with these plugins."""

    def run(text: str, *arguments: str) -> pytest.RunResult:
        write(text)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", *arguments, timeout=100)

    return run


PASSES = """
@pytest.mark.simulated(seeds=5, network="wan")
async def test_time_is_virtual(simulation):
    loop = asyncio.get_running_loop()
    before = loop.time()
    await asyncio.sleep(1000)
    assert loop.time() - before == 1000
    assert "test" in simulation.nodes
"""

ECHO = """
async def echo(reader, writer):
    writer.write(await reader.read(100))
    writer.close()

async def serve():
    server = await asyncio.start_server(echo, "0.0.0.0", 7)
    async with server:
        await server.serve_forever()

async def ask(text):
    reader, writer = await asyncio.open_connection("server", 7)
    writer.write(text)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer
"""


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


def test_a_task_that_is_left_behind_fails_the_test(run):
    text = """
kept = []

@pytest.mark.simulated
async def test_it():
    kept.append(asyncio.create_task(asyncio.sleep(100000), name="forgotten"))
"""
    result = run(text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the test passed, but:", "*test left a task behind: forgotten*test_it*"])


def test_a_transport_that_is_left_open_fails_the_test(run):
    text = f"""{ECHO}
kept = []

@pytest.mark.simulated
async def test_it(simulation):
    simulation.add_node("server").start(serve)
    await asyncio.sleep(0.1)
    kept.append(await asyncio.open_connection("server", 7))
"""
    result = run(text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the test passed, but:", "*test left a transport behind*"])


@pytest.mark.parametrize(
    "raises",
    [
        "simulation.add_node('other').start(boom)",
        "asyncio.get_running_loop().call_soon(lambda: 1 / 0)",
        "asyncio.create_task(boom())",
    ],
)
def test_an_exception_that_nobody_handled_fails_the_test(run, raises):
    text = f"""
async def boom():
    raise ZeroDivisionError("division by zero")

@pytest.mark.simulated
async def test_it(simulation):
    {raises}
    await asyncio.sleep(1)
"""
    result = run(text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["the test passed, but:", "*ZeroDivisionError: division by zero*"])


def test_what_broke_another_node_is_told_with_the_failure(run):
    text = """
async def boom():
    raise ValueError("the server is broken")

@pytest.mark.simulated
async def test_it(simulation):
    simulation.add_node("server").start(boom)
    await asyncio.sleep(1)
    raise AssertionError("no answer")
"""
    result = run(text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *no answer", "also: server at 0 s: *the server is broken*"])


def test_a_node_that_is_killed_on_purpose_leaves_nothing(run):
    text = f"""{ECHO}
@pytest.mark.simulated
async def test_it(simulation):
    server = simulation.add_node("server")
    server.start(serve)
    await asyncio.sleep(0.1)
    server.kill()
    with pytest.raises(ConnectionRefusedError):
        await ask(b"x")
"""
    run(text).assert_outcomes(passed=1)


def test_a_test_that_can_never_end_says_where_it_waits(run):
    result = run("@pytest.mark.simulated\nasync def test_it():\n    await asyncio.Event().wait()\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the test can never end*", "*test: test_it waits in test_it*"])


@pytest.mark.parametrize("end", ["crash", "kill"])
def test_a_test_that_ends_its_own_node_is_told_so(run, end):
    result = run(
        "@pytest.mark.simulated\nasync def test_it(simulation):\n"
        f"    await asyncio.sleep(2)\n    simulation.nodes['test'].{end}()\n    await asyncio.sleep(1)\n"
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['*"test", which the test itself runs on, went down at 2 s*'])


def test_a_test_that_goes_on_and_on_is_ended_at_its_limit(run):
    text = """
@pytest.mark.simulated(limit=50)
async def test_it():
    while True:
        await asyncio.sleep(1)
"""
    result = run(text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*not ended after 50 virtual seconds*test_it*limit=*"])


def test_the_limit_holds_for_a_test_whose_next_event_is_its_last(run):
    result = run("@pytest.mark.simulated(limit=5)\nasync def test_it():\n    await asyncio.sleep(50)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*not ended after 5 virtual seconds*its sleep to end at 50 s*limit=*"])


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


@pytest.mark.parametrize("definition", ["def test_it(simulation):\n    pass", "async def test_it():\n    yield"])
def test_what_is_no_coroutine_function_is_refused_with_words(run, definition):
    result = run(f"@pytest.mark.simulated\n{definition}\n", "-W", "default")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_it: @pytest.mark.simulated: *write `async def`*"])


@pytest.mark.parametrize("marks", ["@pytest.mark.simulated\n{given}", "{given}\n@pytest.mark.simulated"])
def test_what_hypothesis_calls_many_times_is_refused_with_words(run, marks):
    given = "@hypothesis.given(n=hypothesis.strategies.integers())"
    result = run(f"import hypothesis\n{marks.format(given=given)}\nasync def test_it(n):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*@given runs a test many times*call sim.run(coroutine) in it"])


def test_a_method_of_unittest_is_refused_with_words(run):
    text = """
import unittest

class TestIt(unittest.TestCase):
    @pytest.mark.simulated
    def test_it(self):
        pass
"""
    result = run(text)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*methods of plain classes, not for unittest's*"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("sedes=3", "takes no 'sedes'; allowed: seeds, network, tie_break, limit"),
        ("seeds=0", "seeds is how many (20), or which"),
        ("seeds='1:20'", "seeds is how many (20), or which"),
        ("seeds=[[1]]", "seeds is how many (20), or which"),
        ("20", "write seeds=20"),
        ("limit=0", "limit is virtual seconds above 0"),
        ("network='wann'", "unknown preset 'wann'; did you mean \"wan\"? allowed: *"),
        ("network={'latncy': '1ms'}", "unknown link setting 'latncy'*did you mean \"latency\"*"),
        ("network=5", 'network is a preset ("wan"), or settings'),
        ("tie_break='lifo'", 'tie_break is "fifo" or "random"*'),
    ],
)
def test_a_marker_that_makes_no_sense_is_refused_with_words(run, arguments, words):
    result = run(f"@pytest.mark.simulated({arguments})\nasync def test_it():\n    pass\n")
    assert result.parseoutcomes().get("errors") == 1
    result.stdout.fnmatch_lines([f"*test_it: @pytest.mark.simulated: *{words.replace('[', '[[]')}*"])
    result.stdout.no_fnmatch_line("*another exception*")


def test_the_fixture_without_the_marker_is_refused_with_words(run):
    result = run("def test_it(simulation):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*`simulation` is for tests that are marked @pytest.mark.simulated*"])


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


def test_loading_the_plugin_imports_nothing_of_the_simulator():
    code = (
        "import sys, sim.pytest_plugin; print(*[m for m in sys.modules if m.split('.')[0] in "
        "{'sim', 'rpcnet', 'simpy', 'networkx', 'msgpack', 'msgspec', 'asyncio'}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= {"sim", "sim.pytest_plugin", "asyncio"} | {
        name for name in done.stdout.split() if name.startswith("asyncio.")
    }


@pytest.mark.gate
def test_the_plugin_is_found_by_its_entry_point(run_apart):
    result = run_apart(PASSES, "-p", "no:asyncio", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.simulated(seeds=1, *"])


def test_the_example_of_the_howto_passes(pytester):
    page = (Path(__file__).parents[2] / "docs" / "howto" / "testing.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    pytester.makepyfile(test_it=block)
    pytester.runpytest_inprocess(*ALONE, "-W", "error").assert_outcomes(passed=20)
