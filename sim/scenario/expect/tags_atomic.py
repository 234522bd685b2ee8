"""`tags_atomic`: whoever sees a member's tags sees a set that its owner published whole, and never an older one later.

A batch of tags is one publication: (member, run, version) → tags. What an observer records must equal it exactly;
version 0 without tags is what a member has before it published any.

Tests: tests/sim/scenario/expect/test_tags_atomic.py.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

from sim.history import History, Sighting
from sim.scenario.expect.flag import Flag
from sim.scenario.expect.words import count, seconds
from sim.scenario.verdict import Context, Judgement, Verdict

__all__ = ["TagsAtomic"]

_Key = tuple[str, int, int]
"""Member, run, version."""


class TagsAtomic(Flag, frozen=True, kw_only=True):
    """Measures batches: how many were published; seen: how many sights of one were judged."""

    KEY: ClassVar[str] = "tags_atomic"
    MEASURES: ClassVar[tuple[str, ...] | None] = ("batches", "seen")

    tags_atomic: bool
    """true"""

    def examine(self, context: Context) -> Judgement:
        history = context.history
        published: dict[_Key, Mapping[str, Any]] = {}
        for publication in history.publications:
            published[publication.member, publication.run, publication.version] = publication.tags
        seen = [s for s in history.sightings if s.tags is not None]
        measured = {"batches": float(len(published)), "seen": float(len(seen))}
        if not any(published.values()):
            return self.answer(Verdict.INCONCLUSIVE, "nobody published any tags", measured=measured)
        if not any(sighting.tags for sighting in seen):
            return self.answer(Verdict.INCONCLUSIVE, "nobody saw anybody's tags", measured=measured)
        wrong = _first_wrong(history, seen, published)
        if wrong is not None:
            sighting, why = wrong
            of = (sighting.member, sighting.run)
            lines = [p.line for p in history.publications if (p.member, p.run) == of and p.line < sighting.line][-2:]
            return self.answer(
                Verdict.FAILS, why, time=sighting.time, line=sighting.line, measured=measured, looked_at=lines
            )
        batches = count(len(published), "batch").replace("batchs", "batches")
        text = f"{count(len(seen), 'sight')} of tags, each one of the {batches} as published, none going back"
        return self.answer(Verdict.HOLDS, text, measured=measured)


def _first_wrong(
    history: History, seen: list[Sighting], published: Mapping[_Key, Mapping[str, Any]]
) -> tuple[Sighting, str] | None:
    latest: dict[tuple[str, int, str, int], int] = {}
    for sighting in seen:
        who = f"{sighting.node} saw {sighting.member} with tags"
        tags, version = dict(sighting.tags or {}), sighting.version or 0
        when = f"(version {version}) at {seconds(sighting.time)}"
        whole = published.get((sighting.member, sighting.run, version))
        if whole is None and (version or tags):
            return sighting, f"{who} {tags} {when}, a version that {sighting.member} never published"
        if whole is not None and dict(whole) != tags:
            return sighting, f"{who} {tags} {when}; {sighting.member} published {dict(whole)}: not the whole batch"
        # An observer that restarts begins anew: what it saw before is forgotten with its process.
        life = history.life(sighting.node, sighting.time)
        key = (sighting.node, life.line if life else 0, sighting.member, sighting.run)
        if version < latest.get(key, 0):
            return sighting, f"{who} {tags} {when} after version {latest[key]}: versions went back"
        latest[key] = version
    return None
