"""tags_converged: everybody ends with the owner's latest tags."""

from sim.scenario.expect.tags_converged import TagsConverged
from sim.scenario.verdict import Verdict


def published(story):
    story.cluster("a", "b", "owner")
    for version, tags in ((1, {"zone": "x"}), (2, {"zone": "y", "role": "worker"})):
        story.at(10 + version, "owner", "tags_published", member="owner", run=1, version=version, tags=tags)
        story.sees(11 + version, "a", "tags_changed", "owner", version=version, tags=tags)
    return story.end(40, "a", "b", "owner")


def test_fails_naming_what_the_observer_holds(story):
    published(story).sees(12.5, "b", "tags_changed", "owner", version=1, tags={"zone": "x"})
    judgement = TagsConverged(tags_converged=True, after="start", within=20.0).judge(story.context())
    assert judgement.verdict is Verdict.FAILS
    assert judgement.saw == (
        "20 s after the start (limit 20 s) b listed owner with tags {'zone': 'x'} "
        "instead of {'zone': 'y', 'role': 'worker'}"
    )
    assert story.line(judgement.line)[1:4] == (12.5, "b", "tags_changed")


def test_holds_once_the_last_has_the_latest(story):
    published(story).sees(14, "b", "tags_changed", "owner", version=2, tags={"role": "worker", "zone": "y"})
    judgement = TagsConverged(tags_converged=True, after="start", within=20.0).judge(story.context())
    assert judgement.verdict is Verdict.HOLDS
    assert judgement.measured["converged_at"] == 14
    assert judgement.saw.startswith("3 observers agreed on who is alive and on everybody's tags from 14 s after")


def test_tags_that_come_with_a_join_count(story):
    published(story).start("late", 20).join("late", 20).sees(20.1, "a", "member_joined", "late")
    story.sees(20.1, "b", "member_joined", "late").sees(20.1, "owner", "member_joined", "late")
    story.sees(14, "b", "tags_changed", "owner", version=2, tags={"role": "worker", "zone": "y"})
    for member, version, tags in (("a", 0, {}), ("b", 0, {}), ("owner", 2, {"zone": "y", "role": "worker"})):
        story.sees(20.2, "late", "member_joined", member, version=version, tags=tags)
    assert TagsConverged(tags_converged=True).judge(story.context()).verdict is Verdict.HOLDS


def test_a_member_needs_no_tags(story):
    story.cluster("a", "b").end(40, "a", "b")
    assert TagsConverged(tags_converged=True).judge(story.context()).verdict is Verdict.HOLDS


def test_nobody_with_a_cluster_is_inconclusive(story):
    story.start("a").end(40, "a")
    assert TagsConverged(tags_converged=True).judge(story.context()).verdict is Verdict.INCONCLUSIVE
