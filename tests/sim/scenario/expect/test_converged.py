"""converged: the observers' lists come to agree with the truth, and are seen not to."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.scenario.expect.converged import Converged
from sim.scenario.verdict import ExpectationError, Verdict


def split(story):
    """a and b part from c at 10, and meet again at 25."""
    story.cluster("a", "b", "c").partition(10, ["a", "b"], ["c"], undone=25).at(25, "", "quiet")
    for observer, member in (("a", "c"), ("b", "c"), ("c", "a"), ("c", "b")):
        story.sees(17, observer, "member_suspected", member).sees(20, observer, "member_failed", member)
    return story.end(40, "a", "b", "c")


def reunited(story, last=27.0):
    for observer, member, time in (("a", "c", 26), ("b", "c", 26.5), ("c", "a", 26.2), ("c", "b", last)):
        story.sees(time, observer, "member_recovered", member)
    return story


def test_holds_from_the_moment_of_the_last_recovery(story):
    judgement = Converged(converged=True, after="quiet", within=10.0).judge(reunited(split(story)).context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.saw == "3 observers agreed on who is alive from 2 s after it was quiet on (limit 10 s)"
    assert judgement.measured["converged_at"] == 2.0
    assert story.line(judgement.line)[1:4] == (27.0, "c", "member_recovered")


def test_fails_naming_who_listed_what(story):
    judgement = Converged(converged=True, after="quiet", within=10.0).judge(reunited(split(story), 36).context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == (
        "10 s after it was quiet (limit 10 s) c listed not b, which is up; all agreed only 11 s after it was quiet"
    )
    assert judgement.measured == {"converged_at": 11.0, "observers": 3.0}
    assert story.line(judgement.line)[1:4] == (20, "c", "member_failed")


def test_without_within_the_end_of_the_run_is_meant(story):
    assert Converged(converged=True).judge(reunited(split(story), 36).context()).verdict is Verdict.HOLDS
    judgement = Converged(converged=True).judge(story.sees(39, "a", "member_failed", "b").context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == "30 s after partition a listed not b, which is up"
    assert judgement.measured["converged_at"] == math.inf


def test_a_suspected_member_is_still_listed(story):
    story.cluster("a", "b").sees(39, "a", "member_suspected", "b").end(40, "a", "b")
    assert Converged(converged=True).judge(story.context()).verdict is Verdict.HOLDS


def test_who_is_down_must_be_off_the_lists(story):
    story.cluster("a", "b", "c").crash(10, "c").sees(16, "a", "member_failed", "c").end(40, "a", "b")
    judgement = Converged(converged=True, within=20.0).judge(story.context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == "20 s after crash (limit 20 s) b listed c, which is not up"
    judgement = Converged(converged=True, within=20.0).judge(story.sees(17, "b", "member_failed", "c").context())
    assert (judgement.verdict, judgement.measured["converged_at"]) == (Verdict.HOLDS, 7)


def test_who_left_in_order_must_be_off_the_lists(story):
    story.cluster("a", "b").at(10, "b", "cluster_left").sees(9.9, "a", "member_left", "b").end(40, "a", "b")
    judgement = Converged(converged=True).judge(story.context())
    assert (judgement.verdict, judgement.measured["observers"]) == (Verdict.HOLDS, 1)


def test_a_restarted_member_must_be_listed_under_its_new_run(story):
    story.cluster("a", "b").crash(10, "b").start("b", 11).join("b", 11, run=2).sees(11.1, "b", "member_joined", "a")
    judgement = Converged(converged=True).judge(story.end(40, "a", "b").context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw.endswith("a listed an earlier run of b, which has restarted")
    judgement = Converged(converged=True).judge(story.sees(11.2, "a", "member_joined", "b", 2).context())
    assert judgement.verdict is Verdict.HOLDS


def test_stopping_at_the_end_disturbs_nothing(story):
    story.cluster("a", "b").end(40, "a", "b").sees(40.05, "a", "member_left", "b")
    judgement = Converged(converged=True).judge(story.context())
    assert (judgement.verdict, judgement.saw) == (Verdict.HOLDS, "2 observers agreed on who is alive all the time")
    judgement = Converged(converged=True, after="start", within=1.0).judge(story.context())
    assert judgement.saw == "2 observers agreed on who is alive ever since the start (limit 1 s)"


def test_never_quiet_is_inconclusive(story):
    story.cluster("a", "b").at(40, "", "quiet").end(40, "a", "b")
    judgement = Converged(converged=True, after="quiet", within=5.0).judge(story.context())
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "it was never quiet" in judgement.saw


def test_nobody_with_a_cluster_is_inconclusive(story):
    assert Converged(converged=True).judge(story.start("a").end(40, "a").context()).verdict is Verdict.INCONCLUSIVE


def test_two_faults_and_no_after_are_refused(story):
    split(story).crash(30, "c")
    with pytest.raises(ExpectationError, match=r"2 faults fit \(partition and crash\)"):
        Converged(converged=True, within=1.0).check(story.context().faults, story.select)
    with pytest.raises(ExpectationError, match="2 faults fit"):
        Converged(converged=True, within=1.0).judge(story.context())


CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["member_suspected", "member_failed", "member_recovered", "member_left"]),
    ),
    max_size=30,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES)
def test_it_holds_exactly_when_every_last_record_lists_the_member(story, changes):
    story = type(story)().cluster("a", "b", "c")
    last = {}
    for number, (observer, member, name) in enumerate(changes):
        story.sees(1 + number, observer, name, member)
        last[observer, member] = name
    holds = not any(name in {"member_failed", "member_left"} for name in last.values())
    judgement = Converged(converged=True).judge(story.end(40, "a", "b", "c").context())
    assert (judgement.verdict is Verdict.HOLDS) == holds
    if holds:
        assert judgement.measured["converged_at"] <= len(changes)
