"""stream_completes: what an application opened it completed."""

import math

from sim.scenario.expect.stream_completes import StreamCompletes
from sim.scenario.verdict import Verdict


def told(story, *streams):
    """(stream, opened, completed)."""
    story.start("client")
    for stream, opened, completed in streams:
        story.at(opened, "client", "stream_opened", stream=stream)
        if completed is not None:
            story.at(completed, "client", "stream_completed", stream=stream)
    return story.end(40, "client")


def test_holds_when_all_completed(story):
    judgement = StreamCompletes(stream_completes="client").judge(told(story, (1, 1, 9), (2, 2, 14.5)).context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.saw == "all 2 streams of client completed, the last at 14.5 s"
    assert judgement.measured == {"streams": 2, "completed": 2, "seconds_last": 12.5}


def test_fails_naming_the_first_that_did_not(story):
    judgement = StreamCompletes(stream_completes="client").judge(told(story, (1, 1, 9), (2, 2, None)).context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == (
        "stream 2 of client, opened at 2 s, was not completed by the end of the run; 1 of 2 streams completed"
    )
    assert story.line(judgement.line)[1:4] == (2, "client", "stream_opened")
    assert judgement.measured == {"streams": 2, "completed": 1, "seconds_last": math.inf}


def test_within_is_about_the_streams_opened_by_then(story):
    told(story, (1, 1, 12), (2, 11, 39)).fault(10, "crash", "worker")
    assert StreamCompletes(stream_completes="client", within=5.0).judge(story.context()).verdict is Verdict.HOLDS
    judgement = StreamCompletes(stream_completes="client", within=1.0).judge(story.context())
    assert judgement.verdict is Verdict.FAILS
    assert "was not completed within 1 s of crash, but only at 12 s" in judgement.saw
    assert judgement.measured == {"streams": 1, "completed": 1, "seconds_last": 11}


def test_completion_while_the_run_is_being_ended_is_too_late(story):
    assert (
        StreamCompletes(stream_completes="client").judge(told(story, (1, 1, 40.1)).context()).verdict is Verdict.FAILS
    )


def test_a_stream_opened_again_must_complete_again(story):
    assert (
        StreamCompletes(stream_completes="client").judge(told(story, (1, 1, 5), (1, 6, None)).context()).verdict
        is Verdict.FAILS
    )


def test_no_stream_is_inconclusive(story):
    judgement = StreamCompletes(stream_completes="client").judge(told(story).context())
    assert (judgement.verdict, judgement.saw) == (Verdict.INCONCLUSIVE, "client recorded no stream as opened")
