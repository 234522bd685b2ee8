"""logged: so many records hold a text."""

import pytest

from sim.scenario.expect.logged import Logged
from sim.scenario.verdict import Verdict


@pytest.fixture
def told(story):
    story.start("a").start("b").fault(3, "crash", "b", name="moved")
    story.at(5, "a", "log", level="WARNING", logger="app", text="worker-2 is gone, moving on")
    return story.at(6, "b", "moved", why="worker is gone").end(40, "a", "b")


def test_holds_when_a_log_line_or_a_record_holds_it(told):
    judgement = Logged(logged="is gone").judge(told.context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.saw == '2 records held "is gone", the first by a at 5 s'
    assert (judgement.measured, told.line(judgement.line).name) == ({"records": 2}, "log")


def test_the_name_of_an_event_counts_and_the_runner_does_not(told):
    assert Logged(logged="moved").judge(told.context()).measured == {"records": 1}


def test_too_few_fail(told):
    judgement = Logged(logged="is gone", min=3).judge(told.context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == '2 records held "is gone", the first by a at 5 s; 3 must'


def test_too_many_fail_at_the_first_that_is_too_much(told):
    judgement = Logged(logged="is gone", max_count=1).judge(told.context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw.endswith("; at most 1 may")
    assert told.line(judgement.line)[1:4] == (6, "b", "moved")


def test_none_is_demanded_where_only_a_most_is_said(told):
    assert Logged(logged="panic", max_count=0).judge(told.context()).verdict is Verdict.HOLDS
    assert Logged(logged="panic").judge(told.context()).verdict is Verdict.FAILS


def test_by_selects_who_recorded_it(told):
    assert Logged(logged="is gone", by="b").judge(told.context()).measured == {"records": 1}
