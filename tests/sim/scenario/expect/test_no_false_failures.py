"""no_false_failures: a stall of up to three seconds kills nobody; death and separation may."""

import pytest

from sim.scenario.expect.no_false_failures import NoFalseFailures
from sim.scenario.verdict import ExpectationError, Verdict

EXPECTATION = NoFalseFailures(no_false_failures=True)


@pytest.fixture
def three(story):
    return story.cluster("a", "b", "worker").end(60, "a", "b", "worker")


def judged(story):
    return EXPECTATION.judge(story.context(60))


def test_holds_when_nobody_was_declared_failed(three):
    assert judged(three).verdict is Verdict.HOLDS
    assert judged(three).saw == "nobody recorded any member as failed"


def test_fails_when_a_reachable_member_was(three):
    judgement = judged(three.sees(12.5, "a", "member_failed", "worker").sees(12.6, "b", "member_failed", "worker"))
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == (
        "a recorded worker as failed at 12.5 s, although it was up and a could reach it; 2 false records in all"
    )
    assert three.line(judgement.line)[1:4] == (12.5, "a", "member_failed")
    assert judgement.measured == {"false_failures": 2, "failures": 2}


@pytest.mark.parametrize("seconds", [0.5, 3.0])
def test_a_stall_of_up_to_three_seconds_kills_nobody(three, seconds):
    three.pause(10, "worker", seconds).sees(10 + seconds, "a", "member_failed", "worker")
    judgement = judged(three)
    assert judgement.verdict is Verdict.FAILS
    assert f"it had only stalled for {seconds:g} s" in judgement.saw


def test_a_longer_stall_may(three):
    three.pause(10, "worker", 10).sees(16, "a", "member_failed", "worker")
    judgement = judged(three)
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.saw == "1 record of a failure, each of a member that was down or out of reach"


def test_a_longer_stall_may_not_within_its_first_three_seconds(three):
    judgement = judged(three.pause(10, "worker", 10).sees(12, "a", "member_failed", "worker"))
    assert judgement.verdict is Verdict.FAILS
    assert "only 2 s after it was last within reach" in judgement.saw


def test_a_stall_that_was_meant_to_be_short_but_came_late_to_its_end_is_short(three):
    three.at(10, "worker", "node_paused", seconds=3.0).at(13.4, "worker", "node_resumed")
    assert judged(three.sees(14, "a", "member_failed", "worker")).verdict is Verdict.FAILS


def test_a_crash_is_no_false_failure(three):
    three.crash(10, "worker").sees(16, "a", "member_failed", "worker")
    assert judged(three).verdict is Verdict.HOLDS


def test_a_crash_declared_at_once_is_a_guess(three):
    judgement = judged(three.crash(10, "worker").sees(11, "a", "member_failed", "worker"))
    assert judgement.verdict is Verdict.FAILS
    assert "only 1 s after it was last up" in judgement.saw


def test_a_killed_process_may_be_declared_at_once(three):
    three.fault(10, "kill", "worker").at(10, "worker", "node_killed").sees(10.5, "a", "member_failed", "worker")
    assert judged(three).verdict is Verdict.HOLDS


def test_a_partition_separates_its_groups_and_nobody_else(three):
    three.partition(10, ["a"], ["worker"], undone=30).sees(18, "a", "member_failed", "worker")
    assert judged(three).verdict is Verdict.HOLDS
    assert judged(three.sees(19, "b", "member_failed", "worker")).verdict is Verdict.FAILS


def test_a_cut_one_way_is_a_separation(three):
    three.partition(10, ["worker"], ["a", "b"], undone=30, one_way=True).sees(18, "a", "member_failed", "worker")
    assert judged(three.sees(18, "worker", "member_failed", "b")).verdict is Verdict.HOLDS


def test_news_may_take_a_while_after_a_long_separation(three):
    three.partition(10, ["a", "b"], ["worker"], undone=30).sees(30.2, "a", "member_failed", "worker")
    assert judged(three).verdict is Verdict.HOLDS
    assert judged(three.sees(33.5, "b", "member_failed", "worker")).verdict is Verdict.FAILS


@pytest.mark.parametrize(("loss", "verdict"), [(1.0, Verdict.HOLDS), (0.5, Verdict.FAILS)])
def test_only_a_link_that_loses_everything_separates(three, loss, verdict):
    three.fault(10, "link", "a", "worker", pairs=[["a", "worker"]], loss=loss).sees(20, "a", "member_failed", "worker")
    assert judged(three).verdict is verdict


def test_an_isolated_node_is_out_of_everybodys_reach(three):
    three.fault(10, "isolate", "worker").sees(20, "b", "member_failed", "worker")
    assert judged(three.sees(20, "worker", "member_failed", "a")).verdict is Verdict.HOLDS


def test_the_death_of_an_earlier_run_is_not_held_against_the_new_one(three):
    three.crash(10, "worker").start("worker", 12).join("worker", 12, run=2)
    assert judged(three.sees(16, "a", "member_failed", "worker", 1)).verdict is Verdict.HOLDS
    assert judged(three.sees(17, "a", "member_failed", "worker", 2)).verdict is Verdict.FAILS


def test_a_run_that_was_raised_in_its_life_is_the_same_member(three):
    three.sees(5, "worker", "member_joined", "worker", 9)
    assert judged(three.sees(17, "a", "member_failed", "worker", 9)).verdict is Verdict.FAILS


def test_of_selects_members(three):
    three.sees(12, "a", "member_failed", "worker")
    assert NoFalseFailures(no_false_failures=True, of="b").judge(three.context(60)).verdict is Verdict.HOLDS


def test_no_cluster_is_inconclusive(story):
    judgement = judged(story.start("a").end(60, "a"))
    assert (judgement.verdict, judgement.saw) == (Verdict.INCONCLUSIVE, "nobody ran a cluster")


def test_false_says_nothing_and_is_refused(story):
    with pytest.raises(ExpectationError, match="no_false_failures = false expects nothing"):
        NoFalseFailures(no_false_failures=False).check((), story.select)
