"""no_leaks: what ended in order left nothing behind."""

from sim.scenario.expect.no_leaks import NoLeaks
from sim.scenario.verdict import Verdict

EXPECTATION = NoLeaks(no_leaks=True)


def closed(story, node="a", **held):
    fields = {"side": "server", "handlers": 0, "streams": 0, "queued_bytes": 0, "connections": 0}
    return story.at(40.15, node, "rpc_closed", **(fields | held))


def ended(story, *nodes, found=0):
    for node in nodes:
        story.start(node).at(40.2, node, "leaks_checked", found=found)
    return story.end(40, *nodes)


def test_holds_when_all_that_ended_is_clean(story):
    judgement = EXPECTATION.judge(closed(ended(story, "a", "b")).context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.saw == "a and b ended and left nothing behind"
    assert judgement.measured == {"leaks": 0, "nodes": 2}


def test_a_leak_fails_and_says_what_and_where(story):
    ended(story, "a", found=1).at(40.19, "a", "leak", kind="task", what="pump()", where="app.py:12")
    judgement = EXPECTATION.judge(story.context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == "a left a task behind: pump() (app.py:12)"
    assert story.line(judgement.line).name == "leak"
    assert judgement.measured == {"leaks": 1, "nodes": 1}


def test_a_count_without_its_leaks_fails_as_well(story):
    judgement = EXPECTATION.judge(ended(story, "a", found=2).context())
    assert (judgement.verdict, judgement.saw) == (Verdict.FAILS, "a left 2 things behind")


def test_several_leaks_are_counted(story):
    ended(story, "a", found=2).at(40.19, "a", "leak", kind="task", what="pump()", where="")
    story.at(40.19, "a", "leak", kind="timer", what="tick()", where="")
    judgement = EXPECTATION.judge(story.context())
    assert judgement.saw == "a left a task behind: pump(); 1 more leak"
    assert judgement.measured["leaks"] == 2


def test_a_server_that_held_something_when_it_was_closed_fails(story):
    judgement = EXPECTATION.judge(closed(ended(story, "a"), streams=2, queued_bytes=10).context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == "a server of a held 2 streams and 10 queued bytes when it was closed"
    assert judgement.measured["leaks"] == 1


def test_a_node_that_never_ended_after_it_was_asked_to_fails(story):
    ended(story, "a").start("b").at(40, "b", "node_stopping")
    judgement = EXPECTATION.judge(story.context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == "b was asked to stop at 40 s and never ended"


def test_crashed_and_killed_nodes_are_not_looked_at(story):
    story.start("a").start("b").crash(10, "a").at(11, "b", "node_killed").end(40)
    judgement = EXPECTATION.judge(story.context())
    assert (judgement.verdict, judgement.saw) == (Verdict.INCONCLUSIVE, "no node was stopped in order")
