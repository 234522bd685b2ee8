"""member_failed: detection by each observer, in time."""

import math

import pytest

from sim.scenario.expect.member_failed import MemberFailed
from sim.scenario.verdict import ExpectationError, Verdict

NODES = ("director", "worker-1", "worker-2", "client")


def crashed(story, *times):
    """worker-2 crashes at 10; director, worker-1 and client record it at these times."""
    story.cluster(*NODES).crash(10, "worker-2")
    for observer, time in zip(("director", "worker-1", "client"), times, strict=False):
        story.sees(time, observer, "member_suspected", "worker-2")
        story.sees(time, observer, "member_failed", "worker-2")
    return story.end(40, "director", "worker-1", "client")


def test_holds_when_all_record_it_in_time_and_measures_how_long_it_took(story):
    judgement = MemberFailed(member_failed="worker-2", within=10.0).judge(crashed(story, 16, 17, 18.5).context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.name == "member_failed worker-2"
    assert judgement.saw == "all 3 observers recorded worker-2 as failed 6 s to 8.5 s after crash (limit 10 s)"
    assert judgement.measured == {
        "detection_first": 6.0,
        "detection_p50": 7.0,
        "detection_p99": 8.5,
        "detection_last": 8.5,
    }
    assert (judgement.time, story.line(judgement.line).node) == (18.5, "client")


def test_fails_naming_the_observer_that_never_did(story):
    judgement = MemberFailed(member_failed="worker-2", within=10.0).judge(crashed(story, 16.42, 17).context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == (
        "director and worker-1 recorded worker-2 as failed 6.42 s to 7 s after crash (limit 10 s); client never did"
    )
    assert (judgement.measured["detection_p50"], judgement.measured["detection_last"]) == (7.0, math.inf)
    assert story.line(judgement.line).fields["member"] == "worker-2"
    assert story.line(judgement.line).node == "client"


def test_fails_naming_the_late_one_and_its_line(story):
    judgement = MemberFailed(member_failed="worker-2", within=10.0).judge(crashed(story, 16, 17, 22.5).context())
    assert judgement.verdict is Verdict.FAILS
    assert "client only 12.5 s after crash" in judgement.saw
    assert (judgement.measured["detection_p50"], judgement.measured["detection_last"]) == (7.0, 12.5)
    assert story.line(judgement.line)[1:4] == (22.5, "client", "member_failed")


def test_fails_when_nobody_noticed(story):
    judgement = MemberFailed(member_failed="worker-2", within=10.0).judge(crashed(story).context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == (
        "nobody recorded worker-2 as failed within 10 s of crash; director, worker-1 and client should have"
    )


def test_a_failure_recorded_before_the_fault_does_not_count(story):
    crashed(story, 16, 17).sees(5, "client", "member_failed", "worker-2")
    assert MemberFailed(member_failed="worker-2", within=10.0).judge(story.context()).verdict is Verdict.FAILS


def test_only_the_selected_observers_are_asked(story):
    judgement = MemberFailed(member_failed="worker-2", by="worker-*", within=10.0).judge(
        crashed(story, 16, 17).context()
    )
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.saw == "worker-1 recorded worker-2 as failed 7 s after crash (limit 10 s)"


def test_who_is_down_at_the_deadline_is_not_asked(story):
    crashed(story, 16, 17).at(15, "client", "node_killed")
    assert MemberFailed(member_failed="worker-2", within=10.0).judge(story.context()).verdict is Verdict.HOLDS


def test_who_started_later_and_never_knew_the_member_is_not_asked(story):
    crashed(story, 16, 17, 18).start("late", 15).join("late", 15)
    assert MemberFailed(member_failed="worker-2", within=10.0).judge(story.context()).verdict is Verdict.HOLDS


def test_who_runs_no_cluster_is_not_asked(story):
    crashed(story, 16, 17, 18).start("bystander")
    assert MemberFailed(member_failed="worker-2", within=10.0).judge(story.context()).verdict is Verdict.HOLDS


def test_slack_widens_the_limit(story):
    context = crashed(story, 16, 17, 28).context(slack=2.0)
    judgement = MemberFailed(member_failed="worker-2", within=10.0).judge(context)
    assert judgement.verdict is Verdict.HOLDS
    assert "(limit 20 s)" in judgement.saw


def test_a_limit_on_a_measured_figure_can_fail_what_held(story):
    expectation = MemberFailed(member_failed="worker-2", within=10.0, max={"detection_last": 8.0})
    judgement = expectation.judge(crashed(story, 16, 17, 18.5).context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw.startswith("detection_last is 8.5 s, above its limit 8 s; ")


def test_a_limit_on_a_figure_that_was_not_measured_is_inconclusive(story):
    expectation = MemberFailed(member_failed="worker-2", max={"detection": 8.0})
    judgement = expectation.judge(crashed(story, 16, 17, 18.5).context())
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "detection was not measured" in judgement.saw
    assert "detection_last" in judgement.saw


def test_a_limit_beyond_the_end_of_the_run_is_inconclusive_while_somebody_is_missing(story):
    context = crashed(story, 16, 17).context()
    judgement = MemberFailed(member_failed="worker-2", within=60.0).judge(context)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.saw.endswith("the run ended 30 s after crash, before that limit")


def test_a_limit_that_only_slack_carries_beyond_the_end_still_fails(story):
    judgement = MemberFailed(member_failed="worker-2", within=20.0).judge(crashed(story, 16, 17).context(slack=3.0))
    assert judgement.verdict is Verdict.FAILS


def test_what_happens_while_the_run_is_being_ended_does_not_count(story):
    crashed(story, 16, 17).sees(40.05, "client", "member_failed", "worker-2")
    assert MemberFailed(member_failed="worker-2").judge(story.context()).verdict is Verdict.FAILS


def test_a_fault_that_never_took_effect_is_inconclusive(story):
    story.cluster(*NODES).at(10, "", "fault_idle", name="crash", why="down").end(40, *NODES)
    judgement = MemberFailed(member_failed="worker-2", within=10.0).judge(story.context())
    assert judgement.verdict is Verdict.INCONCLUSIVE
    judgement = MemberFailed(member_failed="worker-2", within=10.0, after="crash").judge(story.context())
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.saw == 'the fault "crash" never took effect'


def test_a_member_that_never_was_one_is_inconclusive(story):
    story.start("worker-2").start("client").join("client").crash(10, "worker-2").end(40, "client")
    judgement = MemberFailed(member_failed="worker-2", within=10.0).judge(story.context())
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.saw == "worker-2 was never a member of a cluster"


def test_nobody_left_to_notice_is_inconclusive(story):
    story.cluster("worker-2").crash(10, "worker-2").end(40)
    assert MemberFailed(member_failed="worker-2", within=10.0).judge(story.context()).verdict is Verdict.INCONCLUSIVE


def test_each_victim_of_a_rolling_fault_has_its_own_time(story):
    story.cluster("a", "b", "client")
    for time, victim in ((10, "a"), (20, "b")):
        story.fault(time, "crash", victim).at(time, victim, "node_crashed")
        story.sees(time + 6, "client", "member_failed", victim)
    story.sees(16.5, "b", "member_failed", "a").end(40, "client")
    judgement = MemberFailed(member_failed="?", within=7.0).judge(story.context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.measured["detection_last"] == 6.0 or judgement.measured["detection_last"] == 6.5


def test_it_is_judged_alike_from_a_trace_file(story, tmp_path):
    context = crashed(story, 16, 17, 18.5).written(tmp_path / "trace")
    assert MemberFailed(member_failed="worker-2", within=10.0).judge(context) == MemberFailed(
        member_failed="worker-2", within=10.0
    ).judge(story.context())


class TestBeforeTheRun:
    """What the loader asks: check(faults, select)."""

    @staticmethod
    def check(story, expectation, *faults):
        declared = story.cluster(*NODES)
        for verb, target, name in faults:
            declared.fault(1, verb, target, name=name, latency="1s")
        context = declared.context()
        expectation.check(context.faults, context.select)

    def test_exactly_one_fault_fits(self, story):
        faults = (("crash", "worker-2", "crash"), ("crash", "worker-1", "crash-2"), ("restart", "worker-2", "restart"))
        self.check(story, MemberFailed(member_failed="worker-2", within=10.0), *faults)

    @pytest.mark.parametrize("verb", ["hold", "slow_receive"])
    def test_what_keeps_news_back_fits_where_nothing_likelier_does(self, story, verb):
        expectation = MemberFailed(member_failed="worker-2", within=10.0)
        self.check(story, expectation, (verb, "worker-2", verb))
        self.check(story, expectation, (verb, "worker-2", verb), ("crash", "worker-2", "crash"))

    def test_two_faults_that_fit_are_refused_and_named(self, story):
        faults = (("crash", "worker-2", "crash"), ("pause", "worker-2", "stall"))
        with pytest.raises(ExpectationError, match=r"2 faults fit \(crash and stall\)") as caught:
            self.check(story, MemberFailed(member_failed="worker-2", within=10.0), *faults)
        assert caught.value.key == "after"
        assert caught.value.allowed == ("crash", "stall", "start", "quiet")

    def test_no_fault_that_fits_is_refused(self, story):
        with pytest.raises(ExpectationError, match="no fault fits"):
            self.check(story, MemberFailed(member_failed="worker-2", within=10.0), ("crash", "client", "crash"))

    def test_without_within_nothing_needs_to_fit(self, story):
        self.check(story, MemberFailed(member_failed="worker-2"))

    def test_an_unknown_after_is_refused_with_the_nearest_name(self, story):
        with pytest.raises(ExpectationError, match='did you mean "crash"'):
            self.check(story, MemberFailed(member_failed="worker-2", after="crahs"), ("crash", "worker-2", "crash"))
