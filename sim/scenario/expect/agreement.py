"""When the observers' lists of members came to agree with the truth: the common part of the two `…converged`.

The truth at a moment: the members of the nodes that are up and run a cluster, each with its run and the tags that it
published last. What an observer lists: every member that it recorded last as joined, recovered or suspected, itself
included. The events up to the deadline are replayed once, and on until all agree where they do not by then; only what
changed is compared again. Who is not asked: sim.scenario.expect.observers.

Tests: tests/sim/scenario/expect/test_agreement.py.
"""

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.history import History, Membership, Publication, Sighting
from sim.scenario.expect.observers import LISTS, restarted
from sim.scenario.expect.timed import Window

__all__ = ["Agreement", "agree"]

_LISTS_NO_MORE = frozenset({"member_failed", "member_left"})


@dataclass(slots=True)
class Listed:
    """What an observer holds of a member."""

    alive: bool = False
    run: int = 0
    version: int = 0
    tags: Mapping[str, Any] | None = None
    line: int = 0


@dataclass(slots=True)
class Agreement:
    """How it stood at the deadline."""

    observers: list[str]
    since: float | None
    """From when on all agreed; None = they do not."""
    line: int | None
    """The event that settled it, or the one to look at."""
    differs: dict[str, list[str]]
    """Observer → in what it differs, in words."""
    lines: list[int] = field(default_factory=list)
    """The events by which observers differ: what each recorded last of a member, and where that published its tags."""
    late: float | None = None
    """When all came to agree after the deadline; None = they did by then, or never."""


@dataclass(slots=True)
class _Ended:
    """A membership is over."""

    membership: Membership
    time: float
    line: int


def agree(history: History, window: Window, *, tags: bool) -> Agreement:
    """Replay the run up to the window's deadline."""
    excused = restarted(history, window)
    replay = _Replay(tags, excused, {m.member for m in history.memberships() if m.node in excused})
    found: Agreement | None = None
    for change in _changes(history, min(window.until, history.duration), tags):
        time = change.start if isinstance(change, Membership) else change.time
        if found is None and time > window.deadline:
            found = replay.result()
        if found is not None and found.since is not None:
            break
        replay.take(change, time)
        if found is not None and replay.since is not None:
            found.late = time
            break
    return found or replay.result()


_Change = Membership | _Ended | Sighting | Publication


def _changes(history: History, last: float, tags: bool) -> Iterator[_Change]:
    """Everything that changes the truth or a list up to a time, in order."""
    memberships = list(history.memberships())
    started = sorted((m for m in memberships if m.start <= last), key=lambda m: m.line)
    ended = sorted((_Ended(m, m.end, m.end_line) for m in memberships if m.end <= last), key=lambda e: e.line)
    sightings = (s for s in history.sightings if s.time <= last)
    published = (p for p in history.publications if tags and p.time <= last and p.line < history.end_line)
    streams: list[Iterable[_Change]] = [started, ended, sightings, published]
    return heapq.merge(*streams, key=lambda change: change.line)


class _Replay:
    def __init__(self, tags: bool, nodes: Collection[str], members: Collection[str]) -> None:
        self._tags = tags
        self._excused = nodes, members
        """Observers that are not asked, and members on which nobody has to agree."""
        self._truth: dict[str, Membership] = {}
        self._published: dict[str, Publication] = {}
        self._lists: dict[str, dict[str, Listed]] = {}
        """Observer → member → what it holds."""
        self._wrong: dict[str, set[str]] = {}
        """Observer → members in which it differs; only where there are any."""
        self.since: float | None = None
        self._line: int | None = None

    def take(self, change: _Change, time: float) -> None:
        if isinstance(change, Sighting):
            self._see(change)
        elif isinstance(change, Membership):
            self._truth[change.member] = change
            self._lists[change.node] = {}
            self._wrong.pop(change.node, None)
            for member in self._truth:
                self._compare(change.node, member)
            self._compare_all(change.member)
        elif isinstance(change, Publication):
            self._published[change.member] = change
            self._compare_all(change.member)
        else:
            self._end(change.membership)
        if self._wrong or not self._truth:
            self.since = None
        elif self.since is None:
            self.since, self._line = time, change.line

    def _see(self, sighting: Sighting) -> None:
        mine = self._lists.get(sighting.node)
        if mine is None:
            return
        held = mine.setdefault(sighting.member, Listed())
        if sighting.name in LISTS:
            held.alive = True
        elif sighting.name in _LISTS_NO_MORE:
            held.alive = False
        held.run, held.line = sighting.run, sighting.line
        if sighting.tags is not None:
            held.tags, held.version = sighting.tags, sighting.version or 0
        self._compare(sighting.node, sighting.member)

    def _end(self, membership: Membership) -> None:
        if self._truth.get(membership.member) is membership:
            del self._truth[membership.member]
        self._lists.pop(membership.node, None)
        self._wrong.pop(membership.node, None)
        self._compare_all(membership.member)

    def _compare_all(self, member: str) -> None:
        for observer in self._lists:
            self._compare(observer, member)

    def _compare(self, observer: str, member: str) -> None:
        wrong = self._wrong.get(observer)
        if self._difference(observer, member) is None:
            if wrong is not None:
                wrong.discard(member)
                if not wrong:
                    del self._wrong[observer]
        elif wrong is None:
            self._wrong[observer] = {member}
        else:
            wrong.add(member)

    def _difference(self, observer: str, member: str) -> str | None:
        """In what an observer's list differs from the truth about a member, in words."""
        if observer in self._excused[0] or member in self._excused[1]:
            return None
        truth, held = self._truth.get(member), self._lists[observer].get(member)
        if truth is None:
            return f"{member}, which is not up" if held is not None and held.alive else None
        if held is None or not held.alive:
            return f"not {member}, which is up"
        if held.run != truth.run:
            return f"an earlier run of {member}, which has restarted"
        if self._tags and truth.node != observer:
            return self._tag_difference(truth, held)
        return None

    def _tag_difference(self, truth: Membership, held: Listed) -> str | None:
        latest = self._published.get(truth.member)
        if latest is None or latest.run != truth.run:
            return None
        if dict(held.tags or {}) == dict(latest.tags):
            return None
        return f"{truth.member} with tags {dict(held.tags or {})} instead of {dict(latest.tags)}"

    def result(self) -> Agreement:
        differs = {
            observer: [text for member in sorted(members) if (text := self._difference(observer, member))]
            for observer, members in sorted(self._wrong.items())
        }
        return Agreement(
            [o for o in self._lists if o not in self._excused[0]],
            self.since,
            self._telling() if differs else self._line,
            differs,
            list(self._differing()),
        )

    def _differing(self) -> Iterator[int]:
        for observer in sorted(self._wrong):
            member = min(self._wrong[observer])
            if (published := self._published.get(member)) is not None:
                yield published.line
            if (held := self._lists[observer].get(member)) is not None:
                yield held.line

    def _telling(self) -> int | None:
        """The line that made the first observer differ: its last record of the member, else the member's start."""
        observer = min(self._wrong)
        member = min(self._wrong[observer])
        held = self._lists[observer].get(member)
        if held is not None:
            return held.line
        truth = self._truth.get(member)
        return truth.line if truth is not None else None
