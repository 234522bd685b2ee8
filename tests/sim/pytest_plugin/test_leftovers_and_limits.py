"""What fails a test whose body passed or never ends: what it leaves behind, what broke elsewhere, its limit."""

import pytest

from tests.sim.pytest_plugin.inner_runs import ECHO

pytest_plugins = ["pytester"]


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
