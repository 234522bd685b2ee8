"""What only a simulation has: no time passes, and the same seed is the same run."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sim.backends import simulated as backend
from sim.backends.graph import graph_of
from sim.backends.program import NodeProgram, Program, ProgramError, Script, World

PROGRAM: dict[str, Any] = {
    "b": "echo",
    "a": {"app": "pings", "arguments": {"peer": "b"}},
    "c": {"app": "talks", "arguments": {"peer": "b"}},
    "d": {"app": "raises", "arguments": {"after": 1.0}},
    "e": "leaks",
    "f": "logs",
}


def faults(world: World) -> Script:
    yield 0.5
    world.crash("b")
    yield 0.5
    world.restart("b")
    yield 0.5
    world.partition("split", [["a"], ["b", "c"]])
    world.pause("c", 0.3)
    yield 0.5
    world.heal("split")


def test_the_same_seed_is_the_same_run_and_another_is_another(simulated: Any) -> None:
    settings: dict[str, Any] = {"duration": 3.0, "link": {"preset": "wifi"}, "tie_break": "random"}
    digests = [simulated.play(PROGRAM, faults, seed=seed, **settings).outcome.digest for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


ELSEWHERE = """
import sys
from pathlib import Path
import test_simulated, conftest
stage = conftest.Stage("sim", Path(sys.argv[1]))
print(stage.play(test_simulated.PROGRAM, test_simulated.faults, duration=3.0).outcome.digest)
"""


def test_the_digest_depends_on_neither_process_nor_hash_seed_nor_directory(tmp_path: Path) -> None:
    root, here = Path(backend.__file__).parent.parent.parent, Path(__file__).parent
    digests = set()
    for number in ("1", "2"):
        folder = tmp_path / number
        folder.mkdir()
        result = subprocess.run(
            [sys.executable, "-c", ELSEWHERE, str(folder)],
            cwd=folder,
            capture_output=True,
            check=True,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(here)]), "PYTHONHASHSEED": number},
        )
        digests.add(result.stdout)
    assert len(digests) == 1


def test_a_stall_that_begins_when_another_ends_is_one_of_its_own(simulated: Any) -> None:
    def script(world: World) -> Script:
        yield 0.5
        assert world.pause("a", 0.25)
        assert not world.block("a", 0.25)
        yield 0.25
        assert world.block("a", 0.25)
        yield 60

    played = simulated.play({"a": "idle"}, script, duration=1.5)
    stalls = played.of("a", "node_paused", "node_blocked", "node_resumed")
    assert [(event.time, event.name) for event in stalls] == [
        (pytest.approx(0.5), "node_paused"),
        (pytest.approx(0.75), "node_resumed"),
        (pytest.approx(0.75), "node_blocked"),
        (pytest.approx(1.0), "node_resumed"),
    ]


def test_a_generator_that_draws_draws_from_the_seed_unless_it_is_given_one() -> None:
    def edges(text: str, seed: int) -> list[Any]:
        nodes = (NodeProgram(name="a", app="x:y"),)
        program = Program(scenario="", seed=seed, duration=1, nodes=nodes, scripts=lambda world: [], graph=text)
        return sorted(graph_of(program).edges)

    for text in ("barabasi_albert_graph(30, 2)", "random_regular_graph(3, 30)", "random_geometric_graph(30, 0.5)"):
        assert edges(text, 1) == edges(text, 1) != edges(text, 2)
    for text in ("barabasi_albert_graph(30, 2, 7)", "barabasi_albert_graph(30, 2, seed=7)", "cycle_graph(30)"):
        assert edges(text, 1) == edges(text, 2)


def test_an_hour_takes_no_time_to_speak_of(simulated: Any) -> None:
    played = simulated.play({"a": "idle"}, duration=3600.0)
    assert played.outcome.virtual_seconds >= 3600
    assert played.one("a", "node_stopping").time == 3600


def test_a_program_that_blocks_its_loop_passes_virtual_time(simulated: Any) -> None:
    played = simulated.play({"a": {"app": "sleeps", "arguments": {"seconds": 5.0}}}, duration=10.0)
    assert played.one("a", "slept").time - played.one("a", "node_ready").time == pytest.approx(5.0)


def test_a_run_works_inside_a_running_loop(simulated: Any) -> None:
    async def notebook_cell() -> None:
        assert simulated.play({"a": "bare"}).outcome.error is None

    asyncio.run(notebook_cell())


def test_what_a_node_prints_is_no_data(simulated: Any, capsys: pytest.CaptureFixture[str]) -> None:
    simulated.play({"a": "prints"})
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "hello from the node\n")


def test_a_program_that_lets_no_time_pass_ends_the_run_by_name(simulated: Any) -> None:
    played = simulated.play({"a": "spins", "b": "idle"}, duration=10.0)
    assert "a has run" in played.outcome.error
    assert "never waited" in played.outcome.error
    assert played.events[-1].name == "run_ended"


def test_what_a_dead_node_does_in_its_finally_blocks_is_not_told(simulated: Any) -> None:
    def script(world: World) -> Script:
        yield 0.1
        world.crash("a")
        world.kill("b")

    played = simulated.play({"a": "idle", "b": "idle", "c": "idle"}, script, duration=1.0)
    assert [e.node for e in played.events if e.name == "cleaned_up"] == ["c"]


def test_variables_that_differ_between_nodes_are_refused(simulated: Any) -> None:
    nodes = {name: {"app": "greets", "environment": {"RPCNET_TEST_VARIABLE": name}} for name in ("a", "b")}
    with pytest.raises(ProgramError, match="simulated nodes share one process"):
        simulated.play(nodes)


def test_messages_name_their_cause(simulated: Any) -> None:
    played = simulated.play({"b": "echo", "a": {"app": "pings", "arguments": {"peer": "b"}}})
    heard = played.of("b", "heard")[0]
    cause = played.events[heard.cause - 1]
    assert (cause.name, cause.node) == ("received", "b")
    assert played.events[cause.cause - 1].name == "sent"
