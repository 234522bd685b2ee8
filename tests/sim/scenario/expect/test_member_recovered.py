"""member_recovered: who lost a member records it as back."""

from sim.scenario.expect.member_recovered import MemberRecovered
from sim.scenario.verdict import Verdict


def healed(story):
    story.cluster("a", "b", "worker").partition(10, ["a", "b"], ["worker"], undone=25)
    return story.sees(18, "a", "member_failed", "worker").sees(18.5, "b", "member_failed", "worker")


def test_holds_counted_from_the_healing(story):
    healed(story).sees(26, "a", "member_recovered", "worker").sees(26.5, "b", "member_recovered", "worker")
    judgement = MemberRecovered(member_recovered="worker", within=5.0).judge(story.end(40, "a", "b").context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.saw == "a and b recorded worker as recovered 1 s to 1.5 s after the end of partition (limit 5 s)"
    assert judgement.measured["recovery_last"] == 1.5


def test_fails_when_one_never_saw_it_again(story):
    healed(story).sees(26, "a", "member_recovered", "worker")
    judgement = MemberRecovered(member_recovered="worker", within=5.0).judge(story.end(40, "a", "b").context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw.endswith("; b never did")
    assert story.line(judgement.line)[1:4] == (18.5, "b", "member_failed")


def test_a_restart_that_joins_again_is_a_return(story):
    story.cluster("a", "worker").crash(10, "worker").fault(20, "restart", "worker").start("worker", 20)
    story.join("worker", 20.2, run=2).sees(17, "a", "member_failed", "worker")
    story.sees(20.5, "a", "member_joined", "worker", 2).end(40, "a", "worker")
    judgement = MemberRecovered(member_recovered="worker", within=2.0).judge(story.context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.saw == "a recorded worker as recovered 0.5 s after restart (limit 2 s)"


def test_lost_again_after_its_return_fails(story):
    healed(story).sees(26, "a", "member_recovered", "worker").sees(28, "a", "member_failed", "worker")
    story.sees(26, "b", "member_recovered", "worker").end(40, "a", "b", "worker")
    assert MemberRecovered(member_recovered="worker", within=5.0).judge(story.context()).verdict is Verdict.FAILS


def test_a_loss_by_the_next_strike_undoes_no_return_from_this_one(story):
    story.cluster("a", "v")
    for time in (10, 20):
        story.partition(time, ["a"], ["v"], undone=time + 5).sees(time + 3, "a", "member_failed", "v")
    story.sees(16, "a", "member_recovered", "v").sees(27, "a", "member_recovered", "v")
    judgement = MemberRecovered(member_recovered="v", within=8.0).judge(story.end(40, "a", "v").context())
    assert judgement.verdict is Verdict.HOLDS
    assert (judgement.measured["recovery_first"], judgement.measured["recovery_last"]) == (1.0, 2.0)


def test_who_never_lost_it_is_not_asked_and_nobody_is_inconclusive(story):
    story.cluster("a", "worker").pause(10, "worker", 2).end(40, "a", "worker")
    judgement = MemberRecovered(member_recovered="worker", within=5.0).judge(story.context())
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.saw == "nobody had recorded worker as failed or left, so there was nothing to recover from"
