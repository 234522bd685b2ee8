"""What each node recorded of each member, and the tags that members published.

Tests: tests/sim/history/test_history.py.
"""

from collections.abc import Sequence
from typing import Any

from sim.history.ending import Ending
from sim.history.facts import Publication, Sighting
from sim.history.lives import Lives
from sim.trace import Event

__all__ = ["Sightings"]


class Sightings:
    """A part of a reader, after Lives. What is recorded while the run is ended is nobody's news."""

    def __init__(self, ending: Ending, lives: Lives) -> None:
        self._ending, self._lives = ending, lives
        self.all: list[Sighting] = []
        self.publications: list[Publication] = []
        self._of: dict[str, list[Sighting]] = {}
        self._seen: dict[tuple[Any, ...], tuple[Any, ...]] = {}

    def of(self, member: str) -> Sequence[Sighting]:
        """All that anybody recorded of that member, in order."""
        return self._of.get(member, ())

    def on_member_joined(self, event: Event) -> None:
        if self._ending.begun:
            return
        get = event.fields.get
        member, run, version, tags = get("member", ""), get("run", 0), get("version"), get("tags")
        # A thousand members see each other a million times: what all of them see is kept once.
        same = self._seen.setdefault((member, run, version), (member, run, tags))
        member, run, tags = same if same[2] == tags else (*same[:2], tags)
        sighting = Sighting(event.time, event.line, event.node, event.name, member, run, version, tags)
        self.all.append(sighting)
        self._of.setdefault(member, []).append(sighting)
        if event.name == "member_joined" and (life := self._lives.current(event.node)) and life.memberships:
            membership = life.memberships[-1]
            # A member says that it goes on under a new run by joining itself.
            if membership.member == member and membership.run != run:
                self._lives.take_new_run(membership, run)

    on_member_recovered = on_member_suspected = on_member_failed = on_member_joined
    on_member_left = on_tags_changed = on_member_joined

    def on_tags_published(self, event: Event) -> None:
        get = event.fields.get
        member, run, version, tags = get("member", event.node), get("run", 0), get("version", 0), get("tags") or {}
        self.publications.append(Publication(event.time, event.line, event.node, member, run, version, tags))
