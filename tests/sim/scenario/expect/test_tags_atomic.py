"""tags_atomic: a batch is seen whole or not at all, and never an older one later."""

import pytest

from sim.scenario.expect.tags_atomic import TagsAtomic
from sim.scenario.verdict import Verdict

EXPECTATION = TagsAtomic(tags_atomic=True)


@pytest.fixture
def batches(story):
    story.cluster("a", "owner")
    for version in (1, 2):
        tags = {"left": str(version), "right": str(version)}
        story.at(version, "owner", "tags_published", member="owner", run=1, version=version, tags=tags)
    return story.end(40, "a", "owner")


def sees(story, time, version, tags, run=1):
    return story.sees(time, "a", "tags_changed", "owner", run, version=version, tags=tags)


def test_holds_when_each_sight_is_a_whole_batch(batches):
    sees(batches, 1.5, 1, {"right": "1", "left": "1"})
    judgement = EXPECTATION.judge(sees(batches, 2.5, 2, {"left": "2", "right": "2"}).context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.saw == "6 sights of tags, each one of the 2 batches as published, none going back"
    assert judgement.measured == {"batches": 2, "seen": 6}


def test_half_a_batch_fails_and_shows_both(batches):
    sees(batches, 1.5, 1, {"left": "1", "right": "1"})
    judgement = EXPECTATION.judge(sees(batches, 2.5, 2, {"left": "2", "right": "1"}).context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == (
        "a saw owner with tags {'left': '2', 'right': '1'} (version 2) at 2.5 s; "
        "owner published {'left': '2', 'right': '2'}: not the whole batch"
    )
    assert batches.line(judgement.line)[1:4] == (2.5, "a", "tags_changed")


def test_a_version_that_nobody_published_fails(batches):
    judgement = EXPECTATION.judge(sees(batches, 2.5, 3, {"left": "3"}).context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw.endswith("(version 3) at 2.5 s, a version that owner never published")


def test_a_version_that_goes_back_fails(batches):
    sees(batches, 2.5, 2, {"left": "2", "right": "2"})
    judgement = EXPECTATION.judge(sees(batches, 3, 1, {"left": "1", "right": "1"}).context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw.endswith("(version 1) at 3 s after version 2: versions went back")


def test_a_restarted_observer_may_begin_with_an_older_version(batches):
    sees(batches, 2.5, 2, {"left": "2", "right": "2"})
    batches.crash(3, "a").start("a", 4).join("a", 4, run=2)
    assert EXPECTATION.judge(sees(batches, 5, 1, {"left": "1", "right": "1"}).context()).verdict is Verdict.HOLDS


def test_a_restarted_owner_counts_its_versions_anew(batches):
    sees(batches, 2.5, 2, {"left": "2", "right": "2"})
    batches.crash(3, "owner").start("owner", 4).join("owner", 4, run=2)
    batches.at(5, "owner", "tags_published", member="owner", run=2, version=1, tags={"new": "1"})
    assert EXPECTATION.judge(sees(batches, 6, 1, {"new": "1"}, run=2).context()).verdict is Verdict.HOLDS


def test_tags_of_another_run_are_no_batch_of_this_one(batches):
    batches.crash(3, "owner").start("owner", 4).join("owner", 4, run=2)
    sees(batches, 2.5, 2, {"left": "2", "right": "2"})
    judgement = EXPECTATION.judge(sees(batches, 6, 2, {"left": "2", "right": "2"}, run=2).context())
    assert judgement.verdict is Verdict.FAILS


def test_nothing_published_or_nothing_seen_is_inconclusive(story, batches):
    assert EXPECTATION.judge(batches.context()).saw == "nobody saw anybody's tags"
    other = type(story)().cluster("a", "b").end(40, "a", "b")
    judgement = EXPECTATION.judge(other.context())
    assert (judgement.verdict, judgement.saw) == (Verdict.INCONCLUSIVE, "nobody published any tags")
