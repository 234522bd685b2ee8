"""calls: the share that succeeded, and how long they took."""

import pytest

from sim.scenario.expect.calls import Calls
from sim.scenario.verdict import ExpectationError, Verdict


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
    assert judgement.saw == "3 of 4 calls succeeded (75.00%); the slowest: echo of client, 0.3 s"
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


def made(story, *calls):
    """Calls of the client: when each was put on a connection, seconds it took and waited before, method, status."""
    story.start("client")
    for number, (time, took, queued, method, status) in enumerate(calls, 1):
        where = {"connection": "c", "stream": number, "method": method, "shape": "unary"}
        story.at(time, "client", "call_started", **where)
        story.at(time + took, "client", "call_ended", status=status, seconds=took, queue_seconds=queued, **where)
    return story.end(40, "client").context(slack=3.0)


def cut(story):
    return story.fault(10, "partition", "client", name="cut", undone=15)


@pytest.mark.parametrize(
    ("method", "share"),
    [("Ledger.enter", 1.0), ("Ledger.*", 0.5), ("*.enter", 0.5), ("*", 1 / 3)],
)
def test_only_calls_of_the_method_are_judged(story, method, share):
    context = made(
        story,
        (1, 0.1, 0, "Ledger.enter", "OK"),
        (2, 0.1, 0, "Ledger.read", "INTERNAL"),
        (3, 0.1, 0, "Other.enter", "INTERNAL"),
    )
    assert Calls(calls="client", method=method).judge(context).measured["success"] == pytest.approx(share)


def test_a_method_that_nobody_called_is_inconclusive_and_says_what_was_called(story):
    context = made(story, (1, 0.1, 0, "enter", "OK"), (2, 0.1, 0, "enter", "OK"), (3, 0.1, 0, "read", "OK"))
    judgement = Calls(calls="client", method="entre").judge(context)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.saw.endswith("they called enter (2 times) and read (1 times)")


@pytest.mark.parametrize(
    ("expectation", "meant"),
    [
        (Calls(calls="client", after="cut"), 4),
        (Calls(calls="client", after="cut", within=1.0), 1),
        (Calls(calls="client", after="end of cut"), 2),
        (Calls(calls="client", after="end of cut", within=5.0), 1),
        (Calls(calls="client", after="start", within=10.0), 2),
        (Calls(calls="client", within=1.0), 1),
        (Calls(calls="client"), 6),
    ],
)
def test_only_calls_that_began_in_the_window_are_judged_whatever_the_slack(story, expectation, meant):
    context = made(
        cut(story),
        (1, 0.1, 0, "enter", "OK"),
        (9.9, 0.1, 0, "enter", "OK"),
        (10, 0.1, 0, "enter", "OK"),
        (16, 0.1, 2, "enter", "OK"),  # it waited for a connection: the application made it at 14 s
        (15, 20, 0, "enter", "OK"),
        (20, 0.1, 0, "enter", "OK"),
    )
    assert expectation.judge(context).measured["calls"] == meant


def test_a_call_that_failed_after_the_window_began_in_it(story):
    context = made(cut(story), (16, 9, 0, "enter", "DEADLINE_EXCEEDED"))
    judgement = Calls(calls="client", after="end of cut", within=2.0, min_success=1.0).judge(context)
    assert judgement.verdict is Verdict.FAILS
    assert "begun within 2 s of the end of cut" in judgement.saw


def test_a_window_without_a_call_is_inconclusive(story):
    context = made(cut(story), (1, 0.1, 0, "enter", "OK"))
    judgement = Calls(calls="client", after="end of cut", within=5.0).judge(context)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert judgement.saw == "no call of these nodes begun within 5 s of the end of cut ended"


def test_each_strike_is_judged_alone(story):
    cut(story).fault(20, "partition", "client", name="cut", undone=25)
    calls = [(time, 0.1, 0, "enter", "OK") for time in range(1, 20)]
    context = made(story, *calls, (26, 0.1, 0, "enter", "UNAVAILABLE"))
    judgement = Calls(calls="client", after="end of cut", within=5.0, min_success=0.5).judge(context)
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw.startswith("0 of 1 call succeeded (0.00%), of those begun within 5 s of the end of cut")


def test_a_fault_that_never_took_effect_is_inconclusive(story):
    judgement = Calls(calls="client", after="cut").judge(made(story, (1, 0.1, 0, "enter", "OK")))
    assert judgement.verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("keys", "key"), [({"method": ""}, "method"), ({"after": "start", "within": 0.0}, "within")])
def test_what_means_no_call_is_refused(story, keys, key):
    with pytest.raises(ExpectationError) as caught:
        Calls(calls="client", **keys).check([], story.select)
    assert caught.value.key == key


def test_two_expectations_of_one_node_have_different_titles():
    titles = {Calls(calls="client", **keys).title for keys in ({}, {"method": "a"}, {"method": "b"}, {"after": "cut"})}
    assert titles == {"calls client", "calls client of a", "calls client of b", "calls client after cut"}
