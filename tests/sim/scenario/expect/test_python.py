"""python: a function of one's own judges."""

import pytest

from sim.scenario.expect.python import Python
from sim.scenario.verdict import ExpectationError, Figure, Judgement, Verdict


def judge(trace, *, verdict="holds", least=0):
    events = list(trace)
    assert len(events) >= least, f"only {len(events)} events"
    if verdict == "judgement":
        return Judgement(name="mine", verdict=Verdict.HOLDS, saw="all is well", line=3, measured={"events": 1.0})
    return {"holds": Verdict.HOLDS, "inconclusive": Verdict.INCONCLUSIVE, "true": True, "false": False}[verdict]


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """This file, as a scenario names it."""
    import sys

    monkeypatch.setitem(sys.modules, "judges", sys.modules[__name__])


def build(**table):
    own = {key: table.pop(key) for key in ("python", "max") if key in table}
    return Python(**{"python": "judges:judge"} | own, keys=table)


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("holds", Verdict.HOLDS),
        ("inconclusive", Verdict.INCONCLUSIVE),
        ("true", Verdict.HOLDS),
        ("false", Verdict.FAILS),
    ],
)
def test_the_functions_answer_is_the_verdict(story, answer, verdict):
    judgement = build(verdict=answer).judge(story.context())
    assert (judgement.verdict, judgement.name) == (verdict, "python judges:judge")


def test_a_judgement_is_taken_as_it_is_and_max_limits_it(story):
    judgement = build(verdict="judgement").judge(story.context())
    assert (judgement.saw, judgement.line, judgement.measured) == ("all is well", 3, {"events": 1.0})
    assert build(verdict="judgement", max={"events": Figure(0.5)}).judge(story.context()).verdict is Verdict.FAILS


def test_an_assertion_is_a_verdict(story):
    judgement = build(least=99).judge(story.context())
    assert (judgement.verdict, judgement.saw) == (Verdict.FAILS, "only 0 events")


def test_a_function_that_breaks_fails_and_says_where(story):
    judgement = build(verdict="nonsense").judge(story.context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw.startswith("judges:judge raised KeyError: 'nonsense' (")
    assert "test_python.py:" in judgement.saw
    assert build(unknown=1).judge(story.context()).verdict is Verdict.FAILS


@pytest.mark.parametrize(
    "name",
    ["judges", "judges:", ":judge", "judges:nobody", "no_such_module:judge", "judges:__name__", "..:judge", ".x:y"],
)
def test_what_cannot_be_imported_is_refused_before_the_run(story, name):
    with pytest.raises(ExpectationError, match="python = "):
        build(python=name).check((), story.select)
