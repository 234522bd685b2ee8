"""A scenario is run and judged; what a Run says of it."""

import asyncio
import gc
import json
import shlex
import sys
from pathlib import Path

import msgspec
import pytest

from sim.backends.program import ProgramError
from sim.history import History
from sim.scenario import Scenario, ScenarioError, Verdict
from sim.scenario.expect.logged import Logged
from sim.scenario.faults import severs
from sim.scenario.faults.crash import Crash
from sim.scenario.faults.isolate import Isolate
from sim.scenario.faults.link import Link, LinkChange
from sim.scenario.load import load_text
from sim.scenario.override import parse
from sim.scenario.run import command_of
from sim.scenario.schema import Network, Node

APP = """
import asyncio
from contextlib import contextmanager

greeting = "hello"


async def main(node, *, word: str = "nothing", wait: float = 0.5) -> None:
    node.ready()
    while True:
        await asyncio.sleep(wait * node.random.random())
        node.record("said", word=word, greeting=greeting)


async def raises(node) -> None:
    node.ready()
    await asyncio.sleep(1)
    raise ValueError("the disk is on fire")


async def spins(node) -> None:
    node.ready()
    while True:
        await asyncio.sleep(0)


@contextmanager
def silence():
    global greeting
    greeting = "…"
    yield
    greeting = "hello"
"""

FILE = """\
name = "talk"
summary = "Does everybody speak?"
duration = "3s"
seed = 7

[[node]]
name = "one"
app = "run_test_app:main"

[[expect]]
logged = "hello"
by = "one"
"""


@pytest.fixture(autouse=True)
def _app(tmp_path, monkeypatch):
    (tmp_path / "run_test_app.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("run_test_app", None)


@pytest.fixture
def talk():
    return held(FILE)


def held(text, overrides=()):
    """A text as what users hold."""
    return Scenario(**msgspec.structs.asdict(load_text(text, Path("talk.toml"), overrides)))


def nodes(app="main", count=2, **arguments):
    return (Node(name="n", app=f"run_test_app:{app}", count=count, args=arguments),)


def test_a_run_holds_and_says_what_it_saw(talk):
    run = talk.run()
    assert run.verdict is Verdict.HOLDS
    assert (run.seed, run.backend, run.error, run.warnings) == (7, "sim", None, ())
    assert 3.0 <= run.virtual_seconds < 14.0
    assert [judgement.verdict for judgement in run.expectations] == [Verdict.HOLDS]
    assert {"run_started", "said", "quiet", "run_ended"} <= {event.name for event in run.trace}
    assert list(run.trace) == list(run.trace)


def test_the_same_seed_gives_the_same_digest_and_another_one_another(talk):
    assert talk.run().digest == talk.run().digest != talk.run(seed=8).digest


def test_an_application_that_raises_fails_the_run_with_its_node_and_traceback():
    run = Scenario(name="x", duration=3.0, node=nodes("raises", 1)).run()
    assert run.verdict is Verdict.FAILS
    assert "n-1" in run.error and "ValueError: the disk is on fire" in run.error and "run_test_app.py" in run.error


def test_an_application_that_goes_in_circles_fails_the_run():
    run = Scenario(name="x", duration=3.0, node=nodes("spins", 1)).run()
    assert run.verdict is Verdict.FAILS
    assert "n-1 has run" in run.error and "never waited" in run.error


def test_what_never_happened_is_no_success(talk):
    run = talk.run(overrides={"expect.logged.logged": "good-bye"})
    assert run.verdict is Verdict.FAILS


def test_a_defect_is_switched_on_for_the_run_and_off_again(talk):
    assert talk.run(defects=["run_test_app:silence"]).verdict is Verdict.FAILS
    assert talk.run().verdict is Verdict.HOLDS
    with pytest.raises(ProgramError, match="unknown defect"):
        talk.run(defects=["silense"])


def test_overrides_change_one_run_and_stand_in_the_command(talk):
    run = talk.run(seed=3, overrides={"duration": 2, "node.one.args.word": "a b"})
    assert run.scenario.duration == 2.0
    assert any(event.fields.get("word") == "a b" for event in run.trace)
    words = shlex.split(run.command)
    assert words[:5] == ["rpcnet-sim", "run", "talk.toml", "--seed", "3"]
    assert words[5:] == ["--set", "duration=2s", "--set", "node.one.args.word=a b"]
    again = held(FILE, words[6::2])
    assert again.run(seed=3).digest == run.digest
    assert run.scenario.run(seed=3, overrides={"seed": 5}).scenario.duration == 2.0


@pytest.mark.parametrize(
    "value",
    [
        " a b ",
        "1",
        "true",
        "two\nlines",
        "\U0001f600 é",
        ["\U0001f600", "\x7f"],
        {"a b": {"c.d": 1}},
        [1.5, False, "x"],
    ],
    ids=repr,
)
def test_a_value_from_python_is_read_from_the_command_as_it_was(value):
    (override,) = parse({"node.one.args.word": value})
    (read,) = parse([override.written])
    assert read.value == value


def test_the_last_of_several_overrides_is_the_last_in_the_command():
    overrides = ["node.one.args={word = 'a'}", "node.one.args.word=b", "node.one.args={word = 'c'}"]
    scenario = held(FILE, overrides)
    assert scenario.node[0].args == {"word": "c"}
    words = shlex.split(command_of(scenario, 1))
    assert held(FILE, words[words.index("--set") + 1 :: 2]).node == scenario.node


def test_a_scenario_built_in_python_runs_and_has_no_command():
    run = Scenario(name="x", duration=2.0, node=nodes(), expect=(Logged(logged="hello"),)).run()
    assert run.verdict is Verdict.HOLDS
    assert run.command is None


def test_a_scenario_built_in_python_is_checked_too():
    scenario = Scenario(name="x", duration=2.0, node=nodes(), fault=(Crash(at=1.0, crash="m-1"),))
    with pytest.raises(ScenarioError, match=r'scenario x\.fault\[0\]\.crash: unknown node "m-1"; did you mean "n-1"'):
        scenario.run()
    with pytest.raises(ScenarioError, match="overrides change a file"):
        scenario.run(overrides={"duration": 1})


@pytest.mark.parametrize("seed", ["7", 1.5, True, 2**63])
def test_a_seed_that_is_none_is_refused(talk, seed):
    with pytest.raises(ProgramError, match="a seed is "):
        talk.run(seed=seed)


def test_unknown_backend_is_refused(talk):
    with pytest.raises(ProgramError, match="there is no backend 'moon'"):
        talk.run(backend="moon")


def test_faults_are_told_as_they_were_drawn_and_idle_ones_warned_of():
    scenario = Scenario(
        name="x",
        duration=5.0,
        node=nodes(),
        fault=(
            Crash(at=1.0, crash="n-1"),
            Crash(at=2.0, crash="n-1", name="again"),
            Isolate(at=3.0, isolate="n-2", name="cut"),
        ),
    )
    run = scenario.run()
    assert [(fault["name"], fault["targets"], fault["time"]) for fault in run.faults] == [
        ("crash", ["n-1"], 1.0),
        ("cut", ["n-2"], 3.0),
    ]
    again, cut = run.warnings
    assert again.startswith('fault "again" touched nobody at 2 s')
    assert cut.startswith('fault "cut" cut n-2 at 3 s, and no packet met it')


def test_links_of_a_graph_that_are_cut_at_the_same_time_part_nodes_for_as_long_as_both_are_cut():
    def cut(at, seconds, *between):
        return Link(at=at, for_=seconds, link=LinkChange(between=between, loss=1.0))

    scenario = Scenario(
        name="x",
        duration=12.0,
        network=Network(graph="cycle_graph(4)"),
        node=nodes(count=4),
        fault=(
            cut(1.0, 5.0, "n-1", "n-2"),
            cut(2.0, 8.0, "n-1", "n-4"),
            cut(3.0, 1.0, "n-2", "n-3"),
            cut(7.0, 1.0, "n-3", "n-4"),
        ),
    )
    run = scenario.run()
    reach = History(run.trace, scenario.duration, severs).reach
    assert reach.apart("n-1", "n-2") == reach.apart("n-1", "n-3") == [(2.0, 6.0)]
    assert reach.apart("n-1", "n-4") == [(2.0, 6.0), (7.0, 8.0)]
    assert reach.apart("n-3", "n-4") == [(7.0, 8.0)]
    assert reach.apart("n-2", "n-3") == [(3.0, 4.0)]
    assert reach.apart("n-2", "n-4") == [(3.0, 4.0), (7.0, 8.0)]


def test_the_result_can_be_written_and_read(talk):
    result = msgspec.json.decode(msgspec.json.encode(talk.run().result()))
    assert result["verdict"] == "holds"
    assert result["expectations"][0]["line"] == 10
    assert result["nodes"] == {"one": {}}
    assert result["versions"]["simpy"]
    assert set(json.loads(json.dumps(talk.run().to_json()))) == {
        "scenario", "seed", "backend", "verdict", "digest", "virtual_seconds", "wall_seconds", "expectations", "why",
        "error", "report",
    }  # fmt: skip


def test_a_figure_that_several_expectations_measure_is_told_apart(talk):
    run = held(FILE + FILE[FILE.index("[[expect]]") :].replace("hello", "said")).run()
    (one, other) = (judgement.measured for judgement in run.expectations)
    assert set(one) == set(other) != set()
    assert set(run.measured) == {f"{judgement.name}: {name}" for judgement in run.expectations for name in one}


def test_a_temporary_trace_goes_with_its_run_and_a_named_one_stays(talk, tmp_path):
    run = talk.run()
    path = run.trace.path
    assert path.exists()
    del run
    gc.collect()
    assert not path.exists()
    kept = tmp_path / "deep" / "x.trace"
    assert talk.run(trace=kept).trace.path == kept
    assert kept.exists()


def test_a_run_works_inside_a_running_loop_as_in_a_notebook(talk):
    async def cell():
        return talk.run()

    assert asyncio.run(cell()).digest == talk.run().digest
