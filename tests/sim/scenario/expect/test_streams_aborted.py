"""streams_aborted: every stream with an end at a node ended at both ends, by an error or a cancel."""

import math

import pytest

from sim.scenario.expect.streams_aborted import StreamsAborted
from sim.scenario.verdict import Verdict


@pytest.fixture
def pair(story):
    return story.start("client").start("worker").start("other").end(40, "client", "worker", "other")


def opened(story, stream, *, time=1.0, server="worker", shape="server_streaming"):
    story.at(
        time,
        "client",
        "call_started",
        connection="c1",
        stream=stream,
        method="tokens",
        shape=shape,
        peer="10.0.0.2:7000",
    )
    if server:
        fields = {"connection": "c1", "stream": stream, "method": "tokens", "shape": shape, "peer": "10.0.0.1:40000"}
        story.at(time + 0.1, server, "handler_started", **fields)
    return story


def ended(story, stream, status, *, caller=None, handler=None):
    """The call ends at the client, and the handler at the worker, at these times."""
    for time, node, name in ((caller, "client", "call_ended"), (handler, "worker", "handler_ended")):
        if time is not None:
            fields = {"connection": "c1", "stream": stream, "method": "tokens", "seconds": 1.0}
            story.at(time, node, name, status=status, shape="server_streaming", **fields)
    return story


def test_after_a_crash_the_other_end_must_end(pair):
    opened(pair, 1).crash(10, "worker")
    ended(pair, 1, "TIMEOUT", caller=12)
    judgement = StreamsAborted(streams_aborted="worker", within=5.0).judge(pair.context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.saw == (
        "1 stream ended by an error or a cancel at both ends that were up, the last 2 s after crash (limit 5 s)"
    )
    assert judgement.measured == {"streams": 1, "abort_p50": 2, "abort_last": 2}
    assert pair.line(judgement.line).name == "call_ended"


def test_a_caller_that_waits_for_ever_fails(pair):
    opened(pair, 1).crash(10, "worker")
    judgement = StreamsAborted(streams_aborted="worker", within=5.0).judge(pair.context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == "the call of stream 1 (tokens) at client was still open 5 s after crash (limit 5 s)"
    assert judgement.measured["abort_last"] == math.inf
    assert pair.line(judgement.line).name == "call_started"


def test_an_end_that_comes_late_fails_at_its_line(pair):
    opened(pair, 1).crash(10, "worker")
    ended(pair, 1, "TIMEOUT", caller=17)
    judgement = StreamsAborted(streams_aborted="worker", within=5.0).judge(pair.context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw.endswith("(limit 5 s); it ended 7 s after crash")
    assert judgement.measured == {"streams": 1, "abort_p50": 7, "abort_last": 7}
    assert pair.line(judgement.line)[1:4] == (17, "client", "call_ended")


def test_a_handler_that_goes_on_after_its_caller_died_fails(pair):
    opened(pair, 1).crash(10, "client")
    judgement = StreamsAborted(streams_aborted="client", within=5.0).judge(pair.context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw.startswith("the handler of stream 1 (tokens) at worker was still open")


def test_a_stream_that_ended_well_before_is_not_concerned(pair):
    ended(opened(pair, 1), 1, "OK", caller=5, handler=4.9)
    ended(opened(pair, 3).crash(10, "worker"), 3, "UNAVAILABLE", caller=11)
    judgement = StreamsAborted(streams_aborted="worker", within=5.0).judge(pair.context())
    assert (judgement.verdict, judgement.measured["streams"]) == (Verdict.HOLDS, 1)


def test_one_that_ends_well_afterwards_fails(pair):
    opened(pair, 1).crash(10, "worker")
    judgement = StreamsAborted(streams_aborted="worker", within=5.0).judge(ended(pair, 1, "OK", caller=11).context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == "the call of stream 1 (tokens) at client ended well, with OK, 1 s after crash"


def test_streams_opened_after_the_fault_or_elsewhere_are_not_concerned(pair):
    opened(pair, 1).crash(10, "worker")
    ended(pair, 1, "TIMEOUT", caller=12)
    opened(pair, 3, time=13, server=None)
    pair.at(
        2, "client", "call_started", connection="c2", stream=1, method="m", shape="bidirectional", peer="10.0.0.3:1"
    )
    judgement = StreamsAborted(streams_aborted="worker", within=5.0).judge(pair.context())
    assert (judgement.verdict, judgement.measured["streams"]) == (Verdict.HOLDS, 1)


def test_a_call_whose_handler_never_began_is_known_by_its_peer(pair):
    opened(pair, 1, time=9.999, server=None).crash(10, "worker")
    judgement = StreamsAborted(streams_aborted="worker", within=5.0).judge(pair.context())
    assert judgement.verdict is Verdict.FAILS


def test_unary_calls_are_no_streams(pair):
    opened(pair, 1, shape="unary").crash(10, "worker")
    judgement = StreamsAborted(streams_aborted="worker", within=5.0).judge(pair.context())
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.saw == "no stream with an end at worker was open at 10 s, at crash"


def test_a_process_that_came_back_owes_nothing_for_the_one_before(pair):
    opened(pair, 1).crash(10, "worker").start("worker", 12)
    ended(pair, 1, "UNAVAILABLE", caller=12.5)
    assert StreamsAborted(streams_aborted="worker", within=5.0).judge(pair.context()).verdict is Verdict.HOLDS


def test_a_process_that_stands_still_at_the_deadline_is_not_asked(pair):
    opened(pair, 1).pause(10, "worker", 20)
    ended(pair, 1, "TIMEOUT", caller=12, handler=30.1)
    assert StreamsAborted(streams_aborted="worker", within=5.0).judge(pair.context()).verdict is Verdict.HOLDS


def test_without_a_fault_all_streams_must_end_so_and_the_cancels_delay_is_measured(pair):
    for stream, at in ((1, 3), (3, 5)):
        ended(opened(pair, stream), stream, "CANCELLED", caller=at, handler=at + 0.02)
    judgement = StreamsAborted(streams_aborted="client", max={"cancel_delay_last": 0.05}).judge(pair.context())
    assert judgement.verdict is Verdict.HOLDS
    assert round(judgement.measured["cancel_delay_last"], 6) == 0.02
    ended(opened(pair, 5), 5, "OK", caller=6, handler=6)
    judgement = StreamsAborted(streams_aborted="client").judge(pair.context())
    assert judgement.verdict is Verdict.FAILS
    assert "stream 5" in judgement.saw


def test_ending_only_because_the_run_ends_is_too_late(pair):
    opened(pair, 1)
    ended(pair, 1, "CANCELLED", caller=40.1, handler=40.1)
    judgement = StreamsAborted(streams_aborted="client").judge(pair.context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == ("the call of stream 1 (tokens) at client was still open at 40 s; 2 such ends in all")


def test_no_stream_at_all_is_inconclusive(pair):
    judgement = StreamsAborted(streams_aborted="client").judge(pair.context())
    assert (judgement.verdict, judgement.saw) == (
        Verdict.INCONCLUSIVE,
        "no stream with an end at client was ever opened",
    )
