"""One body, two worlds: the same program leaves the same events, and each fault does what its name says."""

import itertools
from typing import Any

import pytest

from sim.backends import runner, words
from sim.backends.program import ProgramError, Ready, Script, World


def test_a_node_starts_is_ready_is_stopped_and_leaves_nothing(stage: Any) -> None:
    played = stage.play({"a": "idle"})
    assert played.outcome.error is None
    assert played.names("a") == [
        "node_started",
        "node_ready",
        "node_stopping",
        "cleaned_up",
        "node_exited",
        "leaks_checked",
    ]
    assert played.names("") == ["run_started", "zero", "run_ended"]
    assert played.events[0].name == "run_started"
    assert played.events[-1].name == "run_ended"
    assert played.one("a", "node_ready").time <= 0 <= played.one("a", "node_stopping").time
    assert played.one("a", "node_exited").fields == {"status": "cancelled"}
    assert played.one("a", "leaks_checked").fields == {"found": 0}


def test_an_application_gets_its_arguments_labels_and_randomness(stage: Any) -> None:
    one = {"app": "says", "arguments": {"word": "x", "times": 2}, "labels": {"role": "speaker"}}
    first, second = (stage.play({"a": one, "b": {**one, "labels": {}}}) for _ in range(2))
    said = first.one("a", "said").fields
    assert (said["words"], said["label"]) == (("x", "x"), "speaker")
    assert said["drawn"] == second.one("a", "said").fields["drawn"] != first.one("b", "said").fields["drawn"]
    assert first.one("a", "node_exited").fields == {"status": "ok"}
    assert first.one("a", "node_started").fields["labels"] == {"role": "speaker"}


def test_the_draws_of_a_node_are_the_same_in_both_worlds(simulated: Any, sockets: Any) -> None:
    node = {"a": {"app": "says", "arguments": {"word": "x"}}}
    drawn = [world.play(node).one("a", "said").fields["drawn"] for world in (simulated, sockets)]
    assert drawn[0] == drawn[1]


def test_sys_exit_is_the_end_of_its_node_and_a_failure_unless_it_is_0(stage: Any) -> None:
    nodes: dict[str, Any] = {
        name: {"app": "quits", "arguments": {"code": code}} for name, code in (("well", 0), ("ill", 3))
    }
    played = stage.play(nodes | {"b": "idle"}, duration=0.5)
    assert played.one("well", "node_exited").fields == {"status": "ok"}
    assert not played.of("well", "node_failed")
    assert "3" in played.one("ill", "node_failed").fields["error"]
    assert played.one("b", "node_exited").fields == {"status": "cancelled"}


def test_sys_exit_in_a_task_is_told_of_its_node(stage: Any) -> None:
    nodes = {"a": {"app": "quits", "arguments": {"code": 4, "in_a_task": True}}, "b": "idle"}
    played = stage.play(nodes, duration=0.5)
    assert played.one("a", "node_failed").fields["error"] == "SystemExit: 4"
    assert played.outcome.error.startswith("a (apps_under_test:quits): SystemExit: 4")
    assert played.one("b", "node_exited").fields == {"status": "cancelled"}
    assert played.events[-1].name == "run_ended"


def test_a_node_may_be_called_anything(stage: Any) -> None:
    assert stage.play({"ä b": "ticks"}).of("ä b", "started")


def test_a_program_without_parameters_runs_as_well(stage: Any) -> None:
    played = stage.play({"a": "bare"})
    assert played.names("a")[:2] == ["node_started", "node_ready"]
    assert played.one("a", "node_exited").fields == {"status": "ok"}


def test_an_application_that_raises_is_told_with_its_traceback(stage: Any) -> None:
    played = stage.play({"a": {"app": "raises", "arguments": {"after": 0.05}}, "b": "idle"}, duration=0.4)
    failed = played.one("a", "node_failed").fields
    assert failed["error"] == "ValueError: the disk is on fire"
    assert "apps_under_test.py" in failed["traceback"]
    assert "/" not in failed["traceback"].partition("apps_under_test.py")[0]
    assert played.outcome.error.startswith("a (apps_under_test:raises): ValueError: the disk is on fire\nTraceback")
    assert played.one("a", "node_exited").fields == {"status": "error"}
    assert played.one("b", "node_exited").fields == {"status": "cancelled"}


def test_a_process_that_kills_itself_has_failed(stage: Any) -> None:
    played = stage.play({"a": "kills_itself", "b": "idle"}, duration=0.4)
    assert played.names("a") == ["node_started", "node_ready", "node_failed"]
    assert played.one("a", "node_failed").fields == {"error": "the process ended by SIGKILL", "traceback": ""}
    assert played.outcome.error == "a (apps_under_test:kills_itself): the process ended by SIGKILL"
    assert played.one("b", "node_exited").fields == {"status": "cancelled"}


def test_an_application_that_fails_before_it_is_ready_ends_the_run(stage: Any) -> None:
    played = stage.play({"a": "raises", "b": "idle"}, duration=60)
    assert "the disk is on fire" in played.outcome.error
    assert "zero" not in played.names("")


def test_an_application_that_is_never_ready_ends_the_run_by_name(stage: Any) -> None:
    played = stage.play({"a": "never_ready"}, duration=60, ready_timeout=1.0)
    assert played.outcome.error == (
        "a (apps_under_test:never_ready): not ready after 1 s: its main must call node.ready()"
    )


def test_what_an_application_leaves_behind_is_a_leak(stage: Any) -> None:
    played = stage.play({"a": "leaks"}, grace=0.3)
    kinds = [leak.fields["kind"] for leak in played.of("a", "leak")]
    assert "task" in kinds
    assert "timer" in kinds
    assert played.one("a", "leaks_checked").fields["found"] == len(kinds)
    assert any("forgotten" in leak.fields["what"] for leak in played.of("a", "leak"))


def test_an_application_that_ignores_its_stop_is_a_leak_and_ends_with_the_run(stage: Any) -> None:
    played = stage.play({"a": "stubborn"}, grace=0.3)
    assert played.one("a", "node_exited").fields == {"status": "error"}
    assert [leak.fields["kind"] for leak in played.of("a", "leak")] == ["task"]
    assert played.one("a", "leaks_checked").fields == {"found": 1}


def test_a_handler_of_sigterm_is_asked_instead_of_cancelling(stage: Any) -> None:
    played = stage.play({"a": "handles_sigterm"})
    assert played.names("a")[-4:] == ["node_stopping", "said_goodbye", "node_exited", "leaks_checked"]
    assert played.one("a", "node_exited").fields == {"status": "ok"}


def test_warnings_are_events_and_what_is_below_is_not(stage: Any) -> None:
    played = stage.play({"a": "logs"})
    assert [log.fields for log in played.of("a", "log")] == [
        {"level": "WARNING", "logger": "app", "text": "something odd: 42"}
    ]


def test_warnings_of_functions_in_the_executor_are_events_of_their_node(stage: Any) -> None:
    played = stage.play({"a": "logs_in_a_thread", "b": "idle"})
    assert [log.fields["text"] for log in played.of("a", "log")] == ["odd in here too"]
    assert played.of("b", "log") == []


def test_defects_and_variables_reach_every_node(stage: Any) -> None:
    node = {"app": "greets", "environment": {"RPCNET_TEST_VARIABLE": "set"}}
    played = stage.play({"a": node}, defects=("apps_under_test:rude",))
    assert played.one("a", "greeted").fields == {"text": "what", "variable": "set"}
    assert stage.play({"a": node}).one("a", "greeted").fields["text"] == "good day"


def test_a_node_may_start_later(stage: Any) -> None:
    played = stage.play({"a": "idle", "b": {"app": "idle", "start": 0.2}}, duration=3.0)
    assert played.one("b", "node_started").time >= 0.2
    assert played.one("b", "node_exited").fields == {"status": "cancelled"}


def test_a_killed_process_is_noticed_at_once(stage: Any) -> None:
    def script(world: World) -> Script:
        yield 0.3
        assert world.is_up("b")
        assert world.kill("b")
        assert not world.is_up("b")
        assert not world.kill("b")
        assert not world.stop("b")
        assert not world.crash("b")

    played = stage.play(
        {
            "b": "echo",
            "c": {"app": "talks", "arguments": {"peer": "b"}},
            "d": {"app": "connects", "arguments": {"peer": "b"}},
        },
        script,
        duration=1.2,
    )
    died = played.one("b", "node_killed").time
    assert played.outcome.error is None
    assert played.one("c", "over").fields["how"] in {"eof", "ConnectionResetError"}
    assert played.one("c", "over").time >= died
    tried = [e for e in played.of("d", "tried") if e.time > died + 0.2]
    assert {e.fields["how"] for e in tried} == {"ConnectionRefusedError"}
    assert "node_exited" not in played.names("b")


def test_a_crash_is_silent(stage: Any) -> None:
    def script(world: World) -> Script:
        yield 0.3
        assert world.crash("b")
        assert not world.is_up("b")
        assert not world.crash("b")

    played = stage.play(
        {
            "b": "echo",
            "c": {"app": "talks", "arguments": {"peer": "b"}},
            "d": {"app": "connects", "arguments": {"peer": "b"}},
        },
        script,
        duration=1.6,
    )
    died = played.one("b", "node_crashed").time
    assert played.outcome.error is None
    assert played.of("c", "line")
    assert not played.of("c", "over")
    assert {e.fields["how"] for e in played.of("d", "tried") if e.time > died + 0.1} == {"silence"}


def test_a_crash_is_silent_even_to_a_node_that_was_paused_when_it_happened(stage: Any) -> None:
    def script(world: World) -> Script:
        yield 0.2
        world.pause("c", 0.5)
        yield 0.2
        world.crash("b")

    nodes = {"b": "echo", "c": {"app": "talks", "arguments": {"peer": "b"}}}
    played = stage.play(nodes, script, duration=1.2)
    assert played.of("c", "node_resumed")
    assert not played.of("c", "over")


def test_a_process_that_dies_behind_a_cut_is_noticed_once_it_is_healed(stage: Any) -> None:
    def script(world: World) -> Script:
        yield 0.2
        world.partition("split", [["b"], ["c"]])
        yield 0.2
        world.kill("b")
        yield 0.4
        world.heal("split")

    nodes = {"b": "echo", "c": {"app": "talks", "arguments": {"peer": "b"}}}
    played = stage.play(nodes, script, duration=2.4)
    assert played.one("c", "over").time >= 0.8


def test_a_restart_runs_the_entry_again_under_the_same_address_with_what_was_kept(stage: Any) -> None:
    def script(world: World) -> Script:
        yield 0.2
        assert not world.restart("a")
        world.crash("a")
        yield 0.1
        assert world.restart("a")
        assert not world.restart("a")
        yield Ready("a")
        assert world.is_up("a")
        world.record("it_is_ready")
        yield 0.2

    for duration in (3.0, 12.0, 48.0):  # a busy machine takes its time to start a process
        played = stage.play({"a": "ticks", "b": "idle"}, script, duration=duration)
        if played.of("", "it_is_ready"):
            break
    first, second = (e.fields for e in played.of("a", "started"))
    assert (first["starts"], second["starts"]) == (1, 2)
    assert first["address"] == second["address"]
    assert played.one("", "it_is_ready").time >= played.of("a", "node_ready")[1].time
    assert played.one("a", "node_exited").fields == {"status": "cancelled"}
    assert played.one("a", "leaks_checked").fields == {"found": 0}


@pytest.mark.parametrize(("verb", "event"), [("pause", "node_paused"), ("block", "node_blocked")])
def test_a_stalled_node_does_nothing_and_then_goes_on(stage: Any, verb: str, event: str) -> None:
    def script(world: World) -> Script:
        yield 0.2
        assert getattr(world, verb)("a", 0.5)
        assert world.is_up("a")
        yield 0.1
        assert not getattr(world, verb)("a", 0.1)

    played = stage.play({"a": {"app": "ticks", "arguments": {"every": 0.05}}}, script, duration=1.1)
    stalled, resumed = played.one("a", event), played.one("a", "node_resumed")
    assert stalled.fields == {"seconds": 0.5}
    assert resumed.time - stalled.time >= 0.45
    ticks = [e.time for e in played.of("a", "tick")]
    assert max(b - a for a, b in itertools.pairwise(ticks)) >= 0.45
    assert not [t for t in ticks if stalled.time + 0.01 < t < resumed.time - 0.01]
    assert [t for t in ticks if t > resumed.time]


PHASES = (0.5, 2.0, 8.0)
"""Seconds that one phase of a script lasts. What is claimed of a phase holds however late a process gets its turn; a
phase in which none got one says nothing, and the run is repeated with longer ones."""


def pings_between(played: Any, first: str, last: str) -> set[int]:
    """The numbers of those that surely left between these two events of the script."""
    marks = {e.name: e.time for e in played.of("", first, last)}
    # Each is recorded before it is sent, so all but the last one recorded by then are gone.
    before = [e for e in played.of("a", "ping") if e.time <= marks.get(last, 0.0)][:-1]
    return {e.fields["number"] for e in before if e.time >= marks[first]}


def pongs_between(played: Any, first: str, last: str) -> list[float]:
    """Seconds of the round trips that surely began and ended between these two events of the script."""
    marks = {e.name: e.time for e in played.of("", first, last)}
    sent = {e.fields["number"] for e in played.of("a", "ping") if e.time >= marks.get(first, 1e9)}
    back = [e for e in played.of("a", "pong") if e.time <= marks.get(last, 0.0)]
    return [e.fields["seconds"] for e in back if e.fields["number"] in sent]


@pytest.mark.timeout(240)
def test_a_partition_drops_datagrams_holds_streams_and_heals(stage: Any) -> None:
    for phase in PHASES:
        results = []

        def script(world: World, phase: float = phase, results: list[bool] = results) -> Script:
            world.record("began")
            yield phase
            world.record("cutting")
            results.append(world.partition("split", [["b"], ["a", "c"]]))
            results.append(world.partition("again", [["b"], ["a"]]))
            yield 0.0  # until it has been applied everywhere
            world.record("cut")
            yield phase
            world.record("healing")
            results.append(world.heal("again"))
            results.append(world.heal("split"))
            results.append(world.heal("split"))
            yield 0.0
            world.record("healed")
            yield 1.5 * phase
            world.record("over")

        played = stage.play(
            {
                "b": "echo",
                "a": {"app": "pings", "arguments": {"peer": "b"}},
                "c": {"app": "talks", "arguments": {"peer": "b"}},
            },
            script,
            duration=4 * phase,
        )
        assert results == [True, False, True, True, False][: len(results)]
        cut = pings_between(played, "cut", "healing")
        assert not cut & {e.fields["number"] for e in played.of("a", "pong")}
        lines = played.of("c", "line")
        assert not played.of("c", "over")
        assert [e.fields["number"] for e in lines] == list(range(len(lines)))
        before, after = pongs_between(played, "began", "cutting"), pongs_between(played, "healed", "over")
        # Written while cut off: it came once the cut was healed.
        held = [e for e in lines if e.fields["seconds"] > phase / 2]
        if before and cut and held and after:
            return
    pytest.fail(f"too busy for anything to happen in {PHASES[-1]} s")


@pytest.mark.timeout(240)
def test_a_one_way_cut_silences_the_first_group_and_nobody_else(stage: Any) -> None:
    for phase in PHASES:

        def script(world: World, phase: float = phase) -> Script:
            yield phase / 2
            assert world.partition("deaf", [["b"], ["a"]], one_way=True)
            yield 0.0
            world.record("cut")
            yield phase
            world.record("over")

        played = stage.play(
            {"b": "echo", "a": {"app": "pings", "arguments": {"peer": "b"}}}, script, duration=2 * phase
        )
        sent = pings_between(played, "cut", "over")
        assert not sent & {e.fields["number"] for e in played.of("a", "pong")}
        if sent & {e.fields["number"] for e in played.of("b", "heard")}:
            return
    pytest.fail(f"too busy for anything to happen in {PHASES[-1]} s")


@pytest.mark.timeout(240)
def test_an_isolated_node_hears_nobody(stage: Any) -> None:
    for phase in PHASES:

        def script(world: World, phase: float = phase) -> Script:
            world.record("began")
            yield phase
            world.record("cutting")
            assert world.isolate("alone", "b")
            assert not world.isolate("again", "b")
            yield 0.0
            world.record("cut")
            yield phase
            world.record("over")

        played = stage.play(
            {"b": "echo", "a": {"app": "pings", "arguments": {"peer": "b"}}}, script, duration=2.5 * phase
        )
        heard = {e.fields["number"] for e in played.of("b", "heard")}
        cut = pings_between(played, "cut", "over")
        assert not cut & heard
        if cut and pings_between(played, "began", "cutting") & heard:
            return
    pytest.fail(f"too busy for anything to happen in {PHASES[-1]} s")


@pytest.mark.timeout(240)
def test_latency_lies_on_every_way_and_can_be_changed_in_one_direction(stage: Any) -> None:
    for phase in PHASES:

        def script(world: World, phase: float = phase) -> Script:
            world.record("began")
            yield phase
            world.record("slowing")
            assert world.link("slow", "b", "a", latency="150ms")
            assert not world.link("same", "b", "a", latency="150ms")
            yield 0.0
            world.record("slowed")
            yield phase
            # What is sent back from here on may be fast again, here and at the end of the run.
            world.record("healing")
            assert world.heal("slow")
            assert world.heal("same")
            assert not world.heal("same")
            yield 0.0
            world.record("healed")
            yield phase
            world.record("over")

        played = stage.play(
            {
                "b": "echo",
                "a": {"app": "pings", "arguments": {"peer": "b"}},
                "c": {"app": "talks", "arguments": {"peer": "b"}},
            },
            script,
            duration=4 * phase,
            link={"latency": "30ms"},
        )
        before = pongs_between(played, "began", "slowing")
        slowed = pongs_between(played, "slowed", "healing")
        healed = pongs_between(played, "healed", "over")
        lines = [e.fields["seconds"] for e in played.of("c", "line")]
        assert min(before + healed, default=1.0) >= 0.0599
        assert min(slowed, default=1.0) >= 0.1799
        assert min(lines, default=1.0) >= 0.0599
        assert all(e.fields["seconds"] >= 0.0599 for e in played.of("c", "connected"))
        if stage.backend == "sim":
            # Nobody is late there, so it is exactly this; and the way of c is as it was.
            assert before + healed == pytest.approx([0.06] * len(before + healed))
            assert slowed == pytest.approx([0.18] * len(slowed))
            assert lines == pytest.approx([0.06] * len(lines))
        # Fast before and after shows that it is the change that made it slow.
        fast = [seconds for seconds in (min(before, default=1.0), min(healed, default=1.0)) if seconds < 0.18]
        if len(fast) == 2 and slowed and lines:
            return
    pytest.fail(f"too busy for anything to happen in {PHASES[-1]} s")


def test_a_lossy_link_loses_datagrams_and_delays_streams(stage: Any) -> None:
    played = stage.play(
        {
            "b": "echo",
            "a": {"app": "pings", "arguments": {"peer": "b", "every": 0.01}},
            "c": {"app": "talks", "arguments": {"peer": "b", "every": 0.02}},
        },
        duration=1.5,
        link={"loss": "20%", "latency": "1ms"},
    )
    lines = [e.fields["number"] for e in played.of("c", "line")]
    sent, back = len(played.of("a", "ping")), len(played.of("a", "pong"))
    assert 0 < back < sent * 0.9
    assert lines == list(range(len(lines)))
    assert max(e.fields["seconds"] for e in played.of("c", "line")) > 0.1


@pytest.mark.parametrize("backend", ["sim", "sockets"])
@pytest.mark.parametrize(
    ("nodes", "settings", "says"),
    [
        ({"a": "idel"}, {}, "a: 'apps_under_test' has no 'idel'; did you mean \"idle\"?"),
        ({"a": {"app": "says", "arguments": {}}}, {}, "a: argument 'word' is missing"),
        ({"a": "idle"}, {"cluster": {"preset": "moon"}}, "unknown cluster preset 'moon'"),
        ({"a": "idle"}, {"seeds": ("b",)}, "seed 'b' is no node"),
        ({"a": "idle"}, {"link": {"latency": "soon"}}, "latency"),
        ({"a": "idle"}, {"link": {"latencey": "1ms"}}, 'did you mean "latency"'),
        ({"a": "idle"}, {"graph": "no_such_generator(3)"}, "no_such_generator"),
        ({"a": "idle"}, {"graph": "nowhere.graphml"}, "nowhere.graphml"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_starts(
    request: pytest.FixtureRequest, backend: str, nodes: Any, settings: Any, says: str
) -> None:
    world = request.getfixturevalue("simulated" if backend == "sim" else "sockets")
    with pytest.raises(ProgramError) as caught:
        world.play(nodes, **settings)
    assert says in str(caught.value)


def test_a_graph_of_networkx_lies_between_the_nodes(stage: Any) -> None:
    nodes = {"b": "echo", "s": "idle", "a": {"app": "pings", "arguments": {"peer": "b"}}}
    played = stage.play(nodes, duration=0.4, graph="path_graph(3)", link={"latency": "20ms"})
    # Two links each way.
    assert min(e.fields["seconds"] for e in played.of("a", "pong")) >= 0.0799


def test_both_worlds_have_every_word_of_a_world() -> None:
    assert words("sim") == words("sockets") >= {"crash", "heal", "link", "record"}
    with pytest.raises(ProgramError, match="no backend 'moon'; allowed: sim, sockets"):
        runner("moon")
