"""Who is asked: nodes that restart within the window, that come later, that are taken down again."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.scenario.expect.converged import Converged
from sim.scenario.expect.member_failed import MemberFailed
from sim.scenario.expect.member_left import MemberLeft
from sim.scenario.expect.member_recovered import MemberRecovered
from sim.scenario.load import load_text
from sim.scenario.run import run
from sim.scenario.verdict import Verdict

ROLLING = """
name = "rolling"
duration = "25s"
[cluster]
preset = "lan"
[[node]]
name = "m"
count = 3
app = "sim.apps.member:main"
[[fault]]
at = "5s"
for = "1s"
stop = { each = "m-*", next = "ready + 2s" }
[[expect]]
member_left = "m-*"
within = "6s"
[[expect]]
member_recovered = "m-*"
within = "6s"
[[expect]]
converged = true
within = "6s"
"""


def test_a_rolling_restart_of_all_observers_is_judged_by_all_their_runs():
    found = run(load_text(ROLLING, Path("rolling.toml")), seed=1)
    assert {judgement.name: str(judgement.verdict) for judgement in found.expectations} == {
        "member_left m-*": "holds",
        "member_recovered m-*": "holds",
        "converged": "holds",
    }


def restart(story, node, down, up, run=2):
    """The node ends and joins again under a new run; it lists itself alone."""
    return story.at(down, node, "node_crashed").start(node, up).join(node, up, run=run)


def judged(story, expectation):
    return expectation.judge(story.end(40, "a", "b").context())


def test_what_an_observer_recorded_before_its_restart_counts(story):
    story.cluster("a", "b", "v").crash(10, "v").sees(12, "a", "member_failed", "v").sees(13, "b", "member_failed", "v")
    judgement = judged(restart(story, "b", 14, 15), MemberFailed(member_failed="v", within=10.0))
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.measured["detection_last"] == 3.0


def test_who_restarted_before_it_could_notice_owes_nothing(story):
    story.cluster("a", "b", "v").crash(10, "v").sees(12, "a", "member_failed", "v")
    judgement = judged(restart(story, "b", 11, 12.5), MemberFailed(member_failed="v", within=10.0))
    assert (judgement.verdict, judgement.measured["detection_last"]) == (Verdict.HOLDS, 2.0)


@pytest.mark.parametrize(("up", "verdict"), [(9.9, Verdict.FAILS), (10, Verdict.HOLDS)])
def test_who_started_at_the_moment_of_the_strike_and_never_knew_the_member_owes_nothing(story, up, verdict):
    """As in a rolling restart whose next one follows as soon as the one before is ready."""
    restart(story.cluster("a", "b", "v"), "b", 7, up).crash(10, "v").sees(12, "a", "member_failed", "v")
    assert judged(story, MemberFailed(member_failed="v", within=10.0)).verdict is verdict


def test_who_restarted_and_still_listed_the_struck_run_owes_it(story):
    story.cluster("a", "b", "v").crash(10, "v").sees(12, "a", "member_failed", "v")
    restart(story, "b", 10.5, 11).sees(11.1, "b", "member_joined", "v")
    judgement = judged(story, MemberFailed(member_failed="v", within=10.0))
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw.endswith("; b never did")


def test_who_came_later_and_listed_only_the_new_run_owes_nothing(story):
    story.cluster("a", "b", "v").crash(10, "v").sees(12, "a", "member_failed", "v")
    restart(story, "b", 10.5, 13).start("v", 12.5).join("v", 12.5, run=2).sees(13.1, "b", "member_joined", "v", 2)
    assert judged(story, MemberFailed(member_failed="v", within=10.0)).verdict is Verdict.HOLDS


def test_who_was_up_all_the_time_owes_it_though_it_restarted_before(story):
    restart(story.cluster("a", "b", "v"), "b", 5, 6).crash(10, "v").sees(12, "a", "member_failed", "v")
    judgement = judged(story, MemberFailed(member_failed="v", within=10.0))
    assert judgement.verdict is Verdict.FAILS


def test_who_is_down_at_the_deadline_is_not_asked_though_it_comes_back(story):
    story.cluster("a", "b", "v").crash(10, "v").sees(12, "a", "member_failed", "v")
    judgement = judged(restart(story, "b", 19, 21), MemberFailed(member_failed="v", within=10.0))
    assert judgement.verdict is Verdict.HOLDS


def test_a_restarted_observer_that_joins_the_returned_member_has_it_back(story):
    story.cluster("a", "b", "v").fault(10, "crash", "v", undone=14).at(10, "v", "node_crashed")
    story.sees(11, "a", "member_failed", "v").sees(11, "b", "member_failed", "v")
    story.start("v", 14).join("v", 14, run=2).sees(14.5, "a", "member_joined", "v", 2)
    restart(story, "b", 13, 15).sees(15.2, "b", "member_joined", "v", 2)
    judgement = judged(story, MemberRecovered(member_recovered="v", within=5.0))
    assert (judgement.verdict, judgement.measured["recovery_last"]) == (Verdict.HOLDS, pytest.approx(1.2))


def test_a_late_record_of_another_run_is_not_that_of_this_one(story):
    story.cluster("a", "b", "v").fault(10, "crash", "v", name="first").at(10, "v", "node_crashed")
    story.start("v", 20).join("v", 20, run=2).sees(20.1, "a", "member_joined", "v", 2)
    story.fault(25, "crash", "v", name="second").at(25, "v", "node_crashed").sees(27, "a", "member_failed", "v", 2)
    judgement = judged(story, MemberFailed(member_failed="v", by="a", after="first", within=5.0))
    assert judgement.verdict is Verdict.FAILS
    assert judgement.measured["detection_last"] == float("inf")


def rolled(story, *, told):
    """b and then c restart by one fault; `told`: when a lists c's new run."""
    story.cluster("a", "b", "c")
    for node, down in (("b", 10.0), ("c", 14.0)):
        story.fault(down, "stop", node, undone=down + 1).sees(down, "a", "member_left", node)
        restart(story, node, down, down + 1).sees(down + 1.1, node, "member_joined", "a")
    story.sees(10, "c", "member_left", "b").sees(11.5, "a", "member_joined", "b", 2)
    story.sees(11.5, "c", "member_joined", "b", 2).sees(14, "b", "member_left", "c")
    story.sees(15.5, "b", "member_joined", "c", 2).sees(15.5, "c", "member_joined", "b", 2)
    return story.sees(told, "a", "member_joined", "c", 2)


def test_a_strike_within_the_window_of_another_is_judged_by_its_own(story):
    judgement = judged(rolled(story, told=19.5), Converged(converged=True, within=6.0))
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.measured == {"converged_at": 5.5, "observers": 3.0}
    assert judgement.saw.startswith("3 observers agreed") and judgement.saw.endswith(
        "; of 2 strikes the slowest took 5.5 s"
    )


def test_the_last_strike_excuses_nobody(story):
    judgement = judged(rolled(story, told=21), Converged(converged=True, within=6.0))
    assert judgement.verdict is Verdict.FAILS
    assert judgement.measured["converged_at"] == 7.0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    noticed=st.one_of(st.none(), st.floats(10.5, 30)),
    down=st.floats(10.2, 30),
    away=st.floats(0.1, 8),
    shown=st.booleans(),
)
def test_the_rule_for_one_observer_that_restarts(story, noticed, down, away, shown):
    """v leaves at 10, within = 8 s; b restarts once, and may be shown v as it was."""
    story, up, deadline = type(story)(), down + away, 18.0
    story.cluster("a", "b", "v").fault(10, "stop", "v").at(10.1, "v", "cluster_left").sees(
        10.1, "a", "member_left", "v"
    )
    restart(story, "b", down, up)
    if shown:
        story.sees(up + 0.01, "b", "member_joined", "v")
    if noticed is not None:
        story.sees(noticed, "b", "member_left", "v")
    judgement = judged(story, MemberLeft(member_left="v", by="b", within=deadline - 10))
    is_asked = not down <= deadline < up
    in_time = noticed is not None and noticed <= deadline
    owes = down > deadline or (shown and up + 0.01 <= deadline)
    expected = Verdict.HOLDS if in_time else Verdict.FAILS if owes else Verdict.INCONCLUSIVE
    assert judgement.verdict is (expected if is_asked else Verdict.INCONCLUSIVE)
    if is_asked and (in_time or owes):
        last = judgement.measured["notice_last"]
        assert last == (float("inf") if noticed is None else pytest.approx(noticed - 10))
