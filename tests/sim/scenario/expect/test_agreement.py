"""agree(): the replay finds the moment, whatever the order in which things are recorded."""

import math

from sim.scenario.expect.agreement import agree
from sim.scenario.expect.timed import Window


def by(deadline, **more):
    """The whole run up to that time."""
    return Window(start=-math.inf, deadline=deadline, since="", limit=None, due=True, **more)


def test_it_names_all_that_differ(story):
    story.cluster("a", "b", "c").sees(5, "a", "member_failed", "b").sees(6, "a", "member_failed", "c")
    agreement = agree(story.sees(7, "c", "member_left", "b").context().history, by(40.0), tags=False)
    assert agreement.since is None
    assert agreement.observers == ["a", "b", "c"]
    assert agreement.differs == {"a": ["not b, which is up", "not c, which is up"], "c": ["not b, which is up"]}


def test_it_looks_no_further_than_the_deadline(story):
    story.cluster("a", "b").sees(5, "a", "member_failed", "b").sees(6, "a", "member_recovered", "b")
    history = story.context().history
    assert agree(history, by(4.0), tags=False).since == -1.0
    assert agree(history, by(5.5), tags=False).since is None
    assert agree(history, by(40.0), tags=False).since == 6


def test_what_comes_after_the_deadline_is_told_but_not_judged(story):
    story.cluster("a", "b").sees(5, "a", "member_failed", "b").sees(8, "a", "member_recovered", "b")
    history = story.sees(9, "b", "member_failed", "a").sees(12, "b", "member_recovered", "a").context().history
    late = agree(history, by(6.0), tags=False)
    assert (late.since, late.late, late.differs) == (None, 8, {"a": ["not b, which is up"]})
    assert agree(history, by(6.0, until=7.0), tags=False).late is None
    assert agree(history, by(10.0), tags=False).late == 12


def test_a_restarted_observer_begins_with_an_empty_list(story):
    story.cluster("a", "b").crash(10, "a").start("a", 12).join("a", 12, run=2).sees(12.5, "b", "member_joined", "a", 2)
    agreement = agree(story.context().history, by(40.0), tags=False)
    assert agreement.differs == {"a": ["not b, which is up"]}


def test_tags_are_compared_only_where_they_are_asked_for(story):
    story.cluster("a", "b").at(5, "b", "tags_published", member="b", run=1, version=1, tags={"x": "1"})
    history = story.context().history
    assert agree(history, by(40.0), tags=False).since == -1.0
    assert agree(history, by(40.0), tags=True).differs == {"a": ["b with tags {} instead of {'x': '1'}"]}
