"""What the marker refuses with words: other functions than coroutine functions, arguments that make no sense."""

import pytest

pytest_plugins = ["pytester"]


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
        ("sedes=3", "takes no 'sedes'; allowed: seeds, network, tie_break, interleaving, cpu, limit"),
        ("seeds=0", "seeds is how many (20), or which"),
        ("seeds='1:20'", "seeds is how many (20), or which"),
        ("seeds=[[1]]", "seeds is how many (20), or which"),
        ("20", "write seeds=20"),
        ("limit=0", "limit is virtual seconds above 0"),
        ("network='wann'", "unknown preset 'wann'; did you mean \"wan\"? allowed: *"),
        ("network={'latncy': '1ms'}", "unknown link setting 'latncy'*did you mean \"latency\"*"),
        ("network=5", 'network is a preset ("wan"), or settings'),
        ("cpu='fast'", "*'fast' is not a duration*"),
        ("interleaving='lifo'", "interleaving is one of fifo, random, *"),
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


def test_a_real_thread_that_answers_fails_its_test_by_name(run):
    text = """
import asyncio, queue, threading

questions = queue.Queue()

def work():
    try:
        questions.get()()
    except Exception:
        pass

thread = threading.Thread(target=work, name="a-real-one")
thread.start()

@pytest.mark.simulated
async def test_it():
    loop = asyncio.get_running_loop()
    answered = loop.create_future()
    questions.put(lambda: loop.call_soon_threadsafe(answered.set_result, 42))
    thread.join()
    await asyncio.wait_for(answered, 10)
"""
    result = run(text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*a thread of the real world, 'a-real-one' of test_*, calls call_soon_threadsafe*"])
    result.stdout.no_fnmatch_line("*_throw*")
