"""sim.report.answers: what, when, who, why. The ten pages of planted failures are in test_failures.py."""

from pathlib import Path
from typing import Any

from sim.report import tabulate
from sim.report.answers import answers, lasted, lines_of
from sim.trace import Event, read


def told(trace: Path, **expectation: Any) -> Any:
    result = {"verdict": "fails", "expectations": [{"name": "x", "verdict": "fails", "saw": "", **expectation}]}
    return answers(result, tabulate(read(trace), lines_of(result), 39.5))[0]


def test_the_moment_is_told_from_the_last_fault(trace: Path) -> None:
    assert told(trace, time=12.5).when == "at 12.500 s, 2.5 s after fault 1 (crash worker-2)"
    assert told(trace, time=5.0).when == "at 5.000 s"
    assert "the run was being ended since 39.500 s" in told(trace, time=39.8).when


def test_nodes_are_those_that_are_named_with_their_state_then(trace: Path) -> None:
    answer = told(trace, saw="client lost worker-2, not worker-9", time=12.0)
    assert answer.who == [("client", "up"), ("worker-2", "down: crashed at 10.000 s")]


def test_a_fault_that_lasts_is_said_to_and_one_before_is_not_the_cause(trace: Path) -> None:
    assert any("was never undone: it lasted until the run was ended" in why for why in told(trace, time=12.0).why)
    assert told(trace, time=5.0).why[0] == "no fault was in effect at that time"


def test_dropped_messages_and_silence_are_told_of_the_nodes_in_question(trace: Path) -> None:
    why = "\n".join(told(trace, saw="worker-2", time=14.0).why)
    assert "from or to worker-2 were dropped in the 5 s before" in why
    assert "worker-2 had recorded nothing but messages since 10.000 s, when it crashed: lost power" in why


def test_what_holds_is_not_explained_and_stands_last(trace: Path) -> None:
    result = {
        "expectations": [
            {"name": "good", "verdict": "holds", "saw": "client", "time": 1.0},
            {"name": "bad", "verdict": "inconclusive", "saw": "client", "time": 1.0},
        ]
    }
    bad, good = answers(result, tabulate(read(trace)))
    assert (bad.name, bad.letter, good.name, good.letter, good.why) == ("bad", "A", "good", "", [])


def test_a_fault_that_is_undone_by_the_end_of_the_run_was_never_undone() -> None:
    fault = {"name": "split", "verb": "partition", "targets": ["a", "b"], "detail": {}}
    events = [
        Event(1, 0.0, "", "zero", 0, {}),
        Event(2, 1.0, "", "fault", 0, {**fault, "line": 3}),
        Event(3, 9.0, "", "fault_undone", 0, fault),
        Event(4, 9.0, "a", "node_stopping", 0, {}),
    ]
    tables = tabulate(events, duration=9.0)
    assert lasted(tables.faults[0], tables) == "never: it lasted until the run was ended"
    tables = tabulate(events, duration=20.0)
    assert lasted(tables.faults[0], tables) == "9.000 s"
