"""One pass over the events of a run; afterwards, answers: who was up when, who was a member, who saw what.

Knows no world, no scenario file and no expectation. What happens once the run's end has begun (every node is being
stopped) is nobody's death and nobody's news: lives and memberships that last until then have no end, and sightings stop
there. Names of the events and their fields: docs/trace.md.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sim.scenario.history.facts import (
    FaultSeen,
    Life,
    Membership,
    Publication,
    Sighting,
    Stall,
    Stream,
    StreamEnd,
)
from sim.scenario.history.reach import Lost, Reach, Severs
from sim.trace import Event

__all__ = ["History"]

_SIGHTINGS = ("member_joined", "member_recovered", "member_suspected", "member_failed", "member_left", "tags_changed")
_DEATHS = ("node_crashed", "node_killed", "node_exited", "node_failed")
_END_BEGINS = frozenset({"node_stopping", "node_started", "fault_undone", "quiet", "run_ended"})
_CLOCK_TOLERANCE = 1e-6


class History:
    """The facts of a run, by kind.

    `duration` is when the run's end begins, `severs` says what a recorded fault cuts (sim.scenario.faults.severs).
    """

    def __init__(self, events: Iterable[Event], duration: float, severs: Severs) -> None:
        self.duration = duration
        self.end_line: float = math.inf
        """The line from which on the run is being ended."""
        self.last_time = 0.0
        self.faults: list[FaultSeen] = []
        self.labels: dict[str, dict[str, str]] = {}
        self.addresses: dict[str, str] = {}
        """Host part of an address → node."""
        self.lives: dict[str, list[Life]] = {}
        self.sightings: list[Sighting] = []
        self.publications: list[Publication] = []
        self.streams: list[Stream] = []
        self.quiet: float | None = None
        self._lost: list[Lost] = []
        self._sighted: dict[str, list[Sighting]] = {}
        self._seen: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._streams: dict[tuple[str, int], Stream] = {}
        """By connection and number; a process that restarts may use both again."""
        self._stalled: dict[str, Stall] = {}
        self._runs: dict[tuple[str, int], Membership] = {}
        take = self._takers()
        for event in events:
            handler = take.get(event.name)
            if handler is not None:
                if self.end_line == math.inf and self._ends(event):
                    self.end_line = event.line
                handler(event)
            self.last_time = event.time
        self.reach = Reach(self.faults, self.lives, severs, self._lost)

    # Questions

    def life(self, node: str, time: float) -> Life | None:
        """The process of that node at that time."""
        return next((life for life in reversed(self.lives.get(node, ())) if life.covers(time)), None)

    def up(self, node: str, time: float) -> bool:
        """Whether the node's process lived at that time; paused and blocked count as up."""
        return self.life(node, time) is not None

    def memberships(self) -> Iterator[Membership]:
        """Every membership of every node, in the order of their starts within a node."""
        for lives in self.lives.values():
            for life in lives:
                yield from life.memberships

    def membership(self, node: str, time: float) -> Membership | None:
        """What the node was in the cluster at that time; None where it ran none."""
        life = self.life(node, time)
        if life is None:
            return None
        return next((m for m in reversed(life.memberships) if m.start <= time < m.end), None)

    def run_of(self, member: str, run: int) -> Membership | None:
        """That run of that member."""
        return self._runs.get((member, run))

    def observers(self, time: float) -> list[str]:
        """The nodes that were up and ran a cluster at that time."""
        return [node for node in self.lives if self.membership(node, time) is not None]

    def members_of(self, node: str) -> set[str]:
        """The names under which a node was ever a member; its own name where it never was."""
        return {m.member for life in self.lives.get(node, ()) for m in life.memberships} or {node}

    def sightings_of(self, member: str) -> Sequence[Sighting]:
        """All that anybody recorded of that member, in order."""
        return self._sighted.get(member, ())

    def node_at(self, address: str) -> str | None:
        """The node that has this address (`host:port`, or a node's name for a host)."""
        host = _host(address)
        return self.addresses.get(host, host if host in self.lives else None)

    def within_run(self, time: float, line: int, deadline: float) -> bool:
        """Whether something happened by the deadline and before the run's end began."""
        return time <= deadline and line < self.end_line

    # One pass

    def _ends(self, event: Event) -> bool:
        return event.time >= self.duration - _CLOCK_TOLERANCE and event.name in _END_BEGINS

    def _takers(self) -> dict[str, Callable[[Event], None]]:
        """Event name → what it changes. Whatever is not listed passes by at the cost of one look-up."""
        takers: dict[str, Callable[[Event], None]] = {
            "run_ended": lambda _: None,
            "fault": self._fault,
            "fault_undone": self._fault_undone,
            "apart": self._apart,
            "quiet": self._quiet,
            "node_started": self._node_started,
            "node_stopping": self._node_stopping,
            "node_resumed": self._node_resumed,
            "cluster_started": self._cluster_started,
            "cluster_left": self._cluster_left,
            "tags_published": self._tags_published,
            "call_started": self._call_started,
            "handler_started": self._handler_started,
            "call_ended": self._call_ended,
            "handler_ended": self._handler_ended,
        }
        takers |= dict.fromkeys(_DEATHS, self._node_ended)
        takers |= dict.fromkeys(("node_paused", "node_blocked"), self._node_stalled)
        return takers | dict.fromkeys(_SIGHTINGS, self._sighting)

    @property
    def _ending(self) -> bool:
        return self.end_line != math.inf

    def _current(self, node: str) -> Life | None:
        lives = self.lives.get(node)
        return lives[-1] if lives and lives[-1].how == "" else None

    def _fault(self, event: Event) -> None:
        get = event.fields.get
        name, verb, targets, detail = get("name", ""), get("verb", ""), get("targets", ()), get("detail") or {}
        self.faults.append(FaultSeen(name, verb, tuple(targets), detail, event.time, event.line))

    def _fault_undone(self, event: Event) -> None:
        name, targets = event.fields.get("name"), tuple(event.fields.get("targets", ()))
        open_ones = [fault for fault in self.faults if fault.name == name and fault.undone is None]
        # A rolling fault has one name and a turn for each target.
        for fault in [f for f in open_ones if f.targets == targets] or open_ones:
            fault.undone = event.time

    def _apart(self, event: Event) -> None:
        if not event.node:  # else a word of the application's
            self._lost.append((event.time, frozenset((a, b) for a, b in event.fields.get("pairs", ()))))

    def _quiet(self, event: Event) -> None:
        if not self._ending:
            self.quiet = event.time

    def _node_started(self, event: Event) -> None:
        node, get = event.node, event.fields.get
        self.labels[node] = dict(get("labels") or {})
        if address := get("address"):
            self.addresses[_host(address)] = node
        self._close(event, "node_started")
        self.lives.setdefault(node, []).append(Life(node, event.time, event.line))

    def _node_stopping(self, event: Event) -> None:
        if life := self._current(event.node):
            life.stopping = event.time

    def _node_ended(self, event: Event) -> None:
        self._close(event, event.name)

    def _close(self, event: Event, how: str) -> None:
        """End a node's life, and with it its memberships and stalls."""
        self._node_resumed(event)
        life = self._current(event.node)
        if life is None:
            return
        life.how = how
        if not self._ending:
            life.end = event.time
            self._end_membership(life, event)

    def _node_stalled(self, event: Event) -> None:
        if life := self._current(event.node):
            self._node_resumed(event)
            stall = Stall(event.time, float(event.fields.get("seconds") or math.inf))
            self._stalled[event.node] = stall
            life.stalls.append(stall)

    def _node_resumed(self, event: Event) -> None:
        if stall := self._stalled.pop(event.node, None):
            stall.end = event.time

    def _cluster_started(self, event: Event) -> None:
        if life := self._current(event.node):
            member, run = event.fields.get("member", event.node), event.fields.get("run", 0)
            self._end_membership(life, event)
            membership = Membership(life, event.node, member, run, event.time, event.line)
            life.memberships.append(membership)
            self._runs[member, run] = membership

    def _cluster_left(self, event: Event) -> None:
        if not self._ending and (life := self._current(event.node)):
            self._end_membership(life, event, left=True)

    @staticmethod
    def _end_membership(life: Life, event: Event, *, left: bool = False) -> None:
        if life.memberships and (latest := life.memberships[-1]).end == math.inf:
            latest.end, latest.end_line, latest.left = event.time, event.line, left

    def _sighting(self, event: Event) -> None:
        if self._ending:
            return
        get = event.fields.get
        member, run, version, tags = get("member", ""), get("run", 0), get("version"), get("tags")
        # A thousand members see each other a million times: what all of them see is kept once.
        same = self._seen.setdefault((member, run, version), (member, run, tags))
        member, run, tags = same if same[2] == tags else (*same[:2], tags)
        sighting = Sighting(event.time, event.line, event.node, event.name, member, run, version, tags)
        self.sightings.append(sighting)
        self._sighted.setdefault(member, []).append(sighting)
        if event.name == "member_joined" and (life := self._current(event.node)) and life.memberships:
            self._take_new_run(life.memberships[-1], member, run)

    def _take_new_run(self, membership: Membership, member: str, run: int) -> None:
        """A member that meets a higher run of its own name goes on under a new one, and says so by joining itself."""
        if membership.member == member and membership.run != run:
            membership.run = run
            self._runs[member, run] = membership

    def _tags_published(self, event: Event) -> None:
        get = event.fields.get
        member, run, version, tags = get("member", event.node), get("run", 0), get("version", 0), get("tags") or {}
        self.publications.append(Publication(event.time, event.line, event.node, member, run, version, tags))

    def _call_started(self, event: Event) -> None:
        if event.fields.get("shape") != "unary":
            stream = self._streams.get(_key(event))
            if stream is None or stream.caller is not None:
                stream = self._new_stream(event)
            stream.caller = StreamEnd(event.node, event.time, event.line)
            stream.peer = event.fields.get("peer") or ""

    def _handler_started(self, event: Event) -> None:
        if event.fields.get("shape") != "unary":
            stream = self._streams.get(_key(event))
            if stream is None or stream.handler is not None:
                stream = self._new_stream(event)
            stream.handler = StreamEnd(event.node, event.time, event.line)

    def _new_stream(self, event: Event) -> Stream:
        stream = self._streams[_key(event)] = Stream(*_key(event), method=event.fields.get("method", ""))
        self.streams.append(stream)
        return stream

    def _call_ended(self, event: Event) -> None:
        if stream := self._streams.get(_key(event)):
            _end(stream.caller, event)

    def _handler_ended(self, event: Event) -> None:
        if stream := self._streams.get(_key(event)):
            _end(stream.handler, event)


def _key(event: Event) -> tuple[str, int]:
    return event.fields.get("connection", ""), event.fields.get("stream", 0)


def _end(end: StreamEnd | None, event: Event) -> None:
    if end is not None and end.end == math.inf:
        end.end, end.end_line, end.status = event.time, event.line, event.fields.get("status")


def _host(address: str) -> str:
    """The host of `host:port`, `[host]:port` or a bare host."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.rpartition(":")[0] or address
