"""sim.report.words: figures with units, events as sentences."""

import re
from pathlib import Path

import pytest

from sim.report.words import SAID, at, counted, figure, seconds, sentence
from sim.trace import Event


def said(name: str, /, **fields: object) -> str:
    return sentence(Event(1, 0.0, "a", name, 0, fields), {"10.0.0.2": "server"})


@pytest.mark.parametrize(
    ("value", "text"),
    [(12.3456, "12.35 s"), (0.0314, "31.4 ms"), (5e-6, "0.005 ms"), (0.0, "0 ms"), (86_400.0, "86,400 s")],
)
def test_a_duration_has_the_unit_that_suits_it(value: float, text: str) -> None:
    assert seconds(value) == text


def test_a_moment_is_never_minus_zero() -> None:
    assert at(-0.0001) == "0.000 s"


def test_figures_have_units_and_what_never_happened_is_none() -> None:
    assert figure("detection_p50", 0.25) == "250 ms"
    assert figure("success", 0.5) == "50 %"
    assert figure("leaks", 2.0) == "2"
    assert figure("p99", float("inf")) == "none" == figure("p99", None)


def test_one_and_many() -> None:
    assert (counted(1, "node"), counted(2_000, "node")) == ("1 node", "2,000 nodes")


def test_every_event_of_the_docs_is_a_sentence() -> None:
    text = Path("docs/trace.md").read_text(encoding="utf-8").partition("## Events of a run")[2]
    names = {name for row in re.findall(r"^\| (`.*?) \|", text, re.M) for name in re.findall(r"`(\w+)`", row)}
    assert names == set(SAID)


@pytest.mark.parametrize("name", sorted(SAID))
def test_an_event_without_its_fields_is_told_nevertheless(name: str) -> None:
    assert said(name)
    assert said(name, tags=3, targets=3, seconds="x", pairs=3)


def test_sentences_say_who_and_how_long() -> None:
    assert said("member_failed", member="b") == "recorded b as failed"
    assert said("token", index=3) == "recorded token: index 3"
    call = {"method": "echo", "shape": "unary", "stream": 4, "connection": "c"}
    assert said("call_started", peer="10.0.0.2:7000", **call) == (
        "started its call of echo (unary, stream 4) at server (10.0.0.2:7000)"
    )
    assert said("call_ended", status="OK", seconds=0.3, queue_seconds=0.1, **call) == (
        "saw the end of its call of echo (unary, stream 4) OK after 300 ms, having waited 100 ms before"
    )
    assert said("dropped", to="b", protocol="udp", reason="cut") == "a message (udp) to b was dropped: cut off"


def test_a_long_value_is_cut() -> None:
    assert len(said("token", text="x" * 10_000)) < 300
