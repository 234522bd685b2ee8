"""member_left: a leave reaches every observer as a leave."""

from sim.scenario.expect.member_left import MemberLeft
from sim.scenario.verdict import Verdict


def left(story, **times):
    story.cluster("a", "b", "worker").fault(10, "stop", "worker")
    story.at(10, "worker", "node_stopping").at(10.4, "worker", "cluster_left")
    story.at(10.5, "worker", "node_exited", status="cancelled")
    for observer, time in times.items():
        story.sees(time, observer, "member_left", "worker")
    return story.end(40, "a", "b")


def test_holds_when_each_observer_recorded_it_as_left(story):
    judgement = MemberLeft(member_left="worker", within=1.0).judge(left(story, a=10.1, b=10.2).context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.saw == "a and b recorded worker as left 0.1 s to 0.2 s after stop (limit 1 s)"
    assert round(judgement.measured["notice_last"], 6) == 0.2


def test_failed_instead_of_left_does_not_count(story):
    left(story, a=10.1).sees(16, "b", "member_failed", "worker")
    judgement = MemberLeft(member_left="worker").judge(story.context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == "a recorded worker as left 0.1 s after stop; b never did"
    assert story.line(judgement.line).name == "member_failed"


def test_a_crash_is_no_leave(story):
    story.cluster("a", "worker").crash(10, "worker").end(40, "a")
    judgement = MemberLeft(member_left="worker", within=1.0).judge(story.context())
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.saw == "no fault took effect that it could be counted from"


def test_a_leave_of_its_own_needs_no_fault(story):
    story.cluster("a", "worker").at(7, "worker", "cluster_left").sees(7.5, "a", "member_left", "worker").end(40, "a")
    judgement = MemberLeft(member_left="worker").judge(story.context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.saw == "a recorded worker as left at 7.5 s"
