"""Thousands of seeds: what is kept of each, how the command line asks for more, the page of one that fails."""

import json

import pytest

from sim.trace import read
from tests.sim.pytest_plugin.inner_runs import ALONE, ECHO

pytest_plugins = ["pytester"]

KEPT_BLOCKS = 100
"""Blocks of memory that an item may take: it takes some forty."""
KEPT_OBJECTS = 25
"""Objects that may stay of a run: pytest's three reports of it have some fourteen, ours are none."""


def test_collecting_more_seeds_takes_the_same_memory_for_each(pytester, write):
    pytester.makeconftest(
        """
import gc, sys

def pytest_collection_finish(session):
    gc.collect()
    print("blocks", sys.getallocatedblocks())
"""
    )

    def blocks(seeds):
        write(f"@pytest.mark.simulated(seeds={seeds})\nasync def test_it(): pass")
        result = pytester.runpytest_inprocess(*ALONE, "--collect-only", "-q", "-s")
        [line] = [line for line in result.outlines if line.startswith("blocks")]
        return int(line.split()[1])

    blocks(300)
    few, many = blocks(300), blocks(600)
    assert (many - few) / 300 < KEPT_BLOCKS


def test_nothing_of_a_seed_that_passed_stays_but_pytests_reports(pytester, run_apart):
    pytester.makeconftest(
        """
import gc
ran, counted = [], []

def pytest_runtest_logfinish(nodeid):
    ran.append(nodeid)
    if len(ran) in (100, 300):
        gc.collect()
        counted.append(len(gc.get_objects()))

def pytest_sessionfinish():
    print("objects", (counted[1] - counted[0]) / 200)
"""
    )
    result = run_apart(  # within this process pytester keeps what it sees
        f"""{ECHO}
@pytest.mark.simulated(seeds=301)
async def test_echo(simulation):
    simulation.add_node("server").start(serve)
    await asyncio.sleep(0.1)
    assert await ask(b"x") == b"x"
""",
        "-p",
        "no:asyncio",
        "-q",
        "-s",
    )
    result.assert_outcomes(passed=301)
    [line] = [line for line in result.outlines if "objects " in line]
    assert float(line.rpartition(" ")[2]) < KEPT_OBJECTS


SEVERAL = """
import pathlib

def seen(simulation, name):
    with pathlib.Path(name).open("a") as file:
        file.write(f"{simulation.seed} ")

@pytest.mark.simulated
async def test_one(simulation): seen(simulation, "one")

@pytest.mark.simulated(seeds=2)
async def test_two(simulation): seen(simulation, "two")

@pytest.mark.simulated(seeds=range(100, 103))
async def test_range(simulation): seen(simulation, "range")

@pytest.mark.simulated(seeds=[9, 5])
async def test_list(simulation): seen(simulation, "list")

@pytest.mark.simulated(seeds=6)
async def test_more(simulation): seen(simulation, "more")
"""


def test_sim_seeds_raises_the_count_of_seeds(run, pytester):
    run(SEVERAL, "--sim-seeds", "4").assert_outcomes(passed=22)
    assert {file: (pytester.path / file).read_text().split() for file in ("one", "two", "range", "list", "more")} == {
        "one": ["1", "2", "3", "4"],
        "two": ["1", "2", "3", "4"],
        "range": ["100", "101", "102", "103"],
        "list": ["9", "5", "10", "11"],
        "more": ["1", "2", "3", "4", "5", "6"],
    }


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--sim-seeds", "0"], "--sim-seeds is how many seeds, at least 1, not 0"),
        (["--sim-seeds", "5", "--sim-seed", "3"], "give --sim-seed or --sim-seeds, not both"),
    ],
)
def test_a_count_of_seeds_that_makes_no_sense_is_refused(run, words, why):
    result = run("", *words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {why}"])


def test_a_failing_seed_leaves_its_page_where_sim_report_says(run_apart, pytester):
    text = f"""{ECHO}
@pytest.mark.simulated(seeds=3)
async def test_echo(simulation):
    simulation.add_node("server").start(serve)
    await asyncio.sleep(0.1)
    assert await ask(b"x") == (b"y" if simulation.seed == 2 else b"x")
"""
    # Within this process the modules that draw would be loaded a second time.
    result = run_apart(text, "-p", "no:asyncio", "--sim-report", "pages")
    result.assert_outcomes(passed=2, failed=1)
    [folder] = (pytester.path / "pages").iterdir()
    assert folder.name == "test_it.py-test_echo-seed2"
    result.stdout.fnmatch_lines([f"its page: {folder}/index.html", "run it again: *"], consecutive=True)
    page, told = (folder / "index.html").read_text(), json.loads((folder / "result.json").read_bytes())
    assert "test_it.py::test_echo[seed2]" in page and "AssertionError" in page
    assert (told["seed"], told["verdict"]) == (2, "fails")
    assert told["command"] == "pytest test_it.py::test_echo --sim-seed 2"
    assert "tcp_connected" in {event.name for event in read(folder / "trace.msgpack")}


def test_a_directory_of_pages_that_cannot_be_is_refused_before_anything_runs(run, pytester):
    (pytester.path / "pages").write_text("a file")
    result = run("@pytest.mark.simulated\nasync def test_it(): assert False", "--sim-report", "pages/x")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --sim-report */pages/x: */pages is no directory"])
    result.stdout.no_fnmatch_line("*1 failed*")


def test_a_page_that_cannot_be_written_is_told_beside_the_failure(run):
    text = """
@pytest.mark.simulated
async def test_it():
    import os
    os.rmdir("pages")
    open("pages", "w").close()
    assert False
"""
    result = run(text, "--sim-report", "pages")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["its page: cannot be written: *", "run it again: *"])


def test_a_test_that_spins_fails_at_its_wall_limit(run):
    text = """
@pytest.mark.simulated(wall_limit=0.1)
async def test_it():
    while True:
        pass
"""
    result = run(text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["it has run for 0.1 s of real time*at 0 s, test was in test_it (*, task test_it"])


@pytest.mark.parametrize("style", ["auto", "short"])
def test_the_traceback_of_a_failing_seed_begins_in_the_test(run, style):
    text = """
async def helper():
    await asyncio.sleep(1)
    raise ValueError("broken")

@pytest.mark.simulated
async def test_it(simulation):
    await helper()
"""
    lines = run(text, "--tb", style).outlines
    told = [line for line in lines if ".py:" in line and line[0].isalpha() and "::" not in line]
    assert [line.split(":")[:2] for line in told] == [["test_it.py", "11"], ["test_it.py", "7"]]
