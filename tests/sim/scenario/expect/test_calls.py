"""calls: the share that succeeded, and how long they took."""

from sim.scenario.expect.calls import Calls
from sim.scenario.verdict import Verdict


def called(story, *outcomes):
    story.start("client").start("other")
    for n, (status, seconds) in enumerate(outcomes, 1):
        fields = {"connection": "c", "stream": n, "method": "echo", "shape": "unary"}
        story.at(n, "client", "call_ended", status=status, seconds=seconds, **fields)
        story.at(n, "other", "call_ended", status="INTERNAL", seconds=9.0, **fields)
    return story.end(40, "client")


def test_measures_share_and_percentiles(story):
    judgement = Calls(calls="client", min_success=0.5).judge(
        called(story, ("OK", 0.1), ("OK", 0.3), ("OK", 0.2), ("UNAVAILABLE", 5)).context()
    )
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.saw == "3 of 4 calls succeeded (75.00%)"
    assert judgement.measured == {"calls": 4, "success": 0.75, "p50": 0.2, "p90": 0.3, "p99": 0.3, "last": 0.3}


def test_too_few_fail_naming_the_first(story):
    context = called(story, ("OK", 0.1), ("UNAVAILABLE", 5)).context()
    judgement = Calls(calls="client", min_success=0.9).judge(context)
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw.endswith("the first that did not: echo of client at 2 s, UNAVAILABLE")
    assert story.line(judgement.line).time == 2


def test_a_percentile_may_be_limited(story):
    context = called(story, ("OK", 0.1)).context()
    assert Calls(calls="client", max={"p99": 0.05}).judge(context).verdict is Verdict.FAILS


def test_no_call_is_inconclusive(story):
    assert Calls(calls="client").judge(called(story).context()).verdict is Verdict.INCONCLUSIVE
