"""What led to an event."""

import pytest

from sim.trace import Event, Trace
from sim.trace.cause import brief, chain, chains, shown


def story(*told):
    return [Event(line, line / 10, node, name, cause, {}) for line, (node, name, cause) in enumerate(told, 1)]


ASKED = story(
    ("a", "call_started", 0),
    ("a", "sent", 0),
    ("c", "sent", 0),
    ("b", "received", 2),
    ("b", "handler_started", 4),
    ("b", "sent", 4),
    ("a", "received", 6),
    ("a", "call_ended", 7),
)


def test_a_chain_goes_back_from_an_answer_to_the_question():
    assert [event.line for event in chain(ASKED, 8)] == [1, 2, 4, 6, 7, 8]


def test_a_chain_is_cut_at_its_limit_and_keeps_what_is_nearest():
    assert [event.line for event in chain(ASKED, 8, limit=3)] == [6, 7, 8]


def test_what_a_timer_did_follows_from_what_its_node_recorded_before_messages_aside():
    told = story(("a", "member_suspected", 0), ("a", "sent", 0), ("b", "node_ready", 0), ("a", "member_failed", 0))
    assert [event.name for event in chain(told, 4)] == ["member_suspected", "member_failed"]


def test_where_a_node_did_nothing_before_the_last_fault_leads_there():
    told = story(("", "fault", 0), ("b", "token", 0), ("", "quiet", 0), ("a", "unhandled", 0))
    assert [event.name for event in chain(told, 4)] == ["fault", "unhandled"]


def test_messages_are_what_went_before_where_a_node_records_nothing_else():
    told = story(("a", "received", 0), ("b", "token", 0), ("a", "unhandled", 0))
    assert [event.name for event in chain(told, 3)] == ["received", "unhandled"]


def test_several_chains_are_read_together_and_lines_that_are_not_there_are_left_out():
    found = chains(ASKED, [5, 3, 99, 0])
    assert {line: [event.line for event in events] for line, events in found.items()} == {3: [3], 5: [1, 2, 4, 5]}


@pytest.mark.parametrize("line", [0, 9])
def test_of_an_event_that_does_not_exist_there_is_no_chain(line):
    assert chain(ASKED, line) == []


def test_a_trace_is_read_no_further_than_the_event_in_question():
    class Once:
        read = 0

        def __iter__(self):
            for event in ASKED:
                self.read = max(self.read, event.line)
                yield event

    once = Once()
    chain(once, 4)
    assert once.read == 4


def test_a_chain_is_read_back_from_a_file(tmp_path):
    from sim.scenario.run import RunTrace

    with Trace(tmp_path / "trace") as trace:
        for event in ASKED:
            trace.record(event.time, event.node, event.name, event.cause)
    assert chain(RunTrace(tmp_path / "trace"), 8) == chain(ASKED, 8)


def test_an_event_is_one_line_of_bounded_length():
    event = Event(7, 1.25, "", "said", 3, {"word": "hi", "text": "two\nlines", "bytes": 12, "long": "x" * 500})
    text = shown(event)
    assert text.startswith("line 7: 1.250000 s  -  said word='hi' text='two\\nlines' bytes=12 long='xxx")
    assert text.endswith("…  (answers line 3)")
    assert len(text) < 170
    assert brief(event)["text"].endswith("…")
    assert brief(event._replace(fields={}))["text"] == ""
