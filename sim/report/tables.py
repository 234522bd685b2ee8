"""A trace in, tables out: what a page and its figures need to know of a run, gathered in one pass.

Memory grows with nodes, faults and changes of state, each up to a limit that is named here; messages and calls are
counted in bins, never kept. Knows no figure, no page and no live simulation. Lives, faults and streams are read by
sim.history, with this room's limits; here is what only a page shows.

Tests: tests/sim/report/test_tables.py.
"""

import heapq
import math
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from sim.history import FaultSeen, Span, facts
from sim.history.ending import Ending
from sim.history.faults import Faults
from sim.history.lives import Lives, host_of
from sim.history.streams import Streams
from sim.history.takers import Takers
from sim.report.bins import Bins, bucket
from sim.report.keeping import Keeper
from sim.report.rows import Calls, Node, Opinion, Records, Step, Stream
from sim.report.words import SAID, sentence
from sim.trace import Event

__all__ = ["Tables", "tabulate"]

MAX_STREAMS = 2_000
MAX_STEPS = MAX_SPANS = 2_000
"""Changes of state of each node."""
MAX_FAULTS = 1_000
MAX_METHODS = 200
MAX_NOTES = 100
"""Warnings, leaks and failures that are kept with their text; all are counted."""
MAX_IN_FLIGHT = 65_536
"""Messages whose arrival is awaited; of more, the oldest are forgotten, and their latency with them."""
MAX_MARKS = 400
"""Unary calls of a node, and records of its application, of which the time is kept: of more, every second one."""
MAX_RECORDS = 100
"""Names under which applications recorded something."""
MAX_SLOW = 10
"""Calls that took longest."""
COLUMNS = 120
"""Columns of the picture of what each node did."""


@dataclass(slots=True)
class Tables:
    """Everything a report shows that is not in the result."""

    scenario: str = ""
    seed: int | None = None
    backend: str = ""
    start: float | None = None
    end: float = 0.0
    quiet: float | None = None
    events: Counter[str] = field(default_factory=Counter)
    nodes: dict[str, Node] = field(default_factory=dict)
    faults: list[FaultSeen] = field(default_factory=list)
    opinions: dict[str, Opinion] = field(default_factory=dict)
    streams: list[Stream] = field(default_factory=list)
    calls: dict[tuple[str, str], Calls] = field(default_factory=dict)
    messages: Bins = field(default_factory=lambda: Bins(160))
    """Keys: sent, received, dropped."""
    latency: Bins = field(default_factory=lambda: Bins(80))
    """Keys: (protocol, bucket)."""
    ended_calls: Bins = field(default_factory=lambda: Bins(60))
    """Keys: the status."""
    drops: Counter[str] = field(default_factory=Counter)
    unmatched: int = 0
    """Arrivals whose sending was not found: a second copy, or forgotten."""
    omitted: Counter[str] = field(default_factory=Counter)
    """How many streams, changes and faults were beyond the limits."""
    failures: list[Event] = field(default_factory=list)
    logs: list[Event] = field(default_factory=list)
    leaks: list[Event] = field(default_factory=list)
    bad_calls: list[Event] = field(default_factory=list)
    """Ends of calls whose status is neither OK nor CANCELLED."""
    slow_calls: list[Event] = field(default_factory=list)
    """Ends of the calls that took longest, the slowest first."""
    peers: dict[int, str] = field(default_factory=dict)
    """Node that such a call was made to, by the line of its end."""
    records: dict[str, Records] = field(default_factory=dict)
    activity: Bins = field(default_factory=lambda: Bins(COLUMNS))
    """Keys: the node; how many events it has."""
    drops_of: dict[str, Bins] = field(default_factory=dict)
    """By node, of what it sent or was sent; keys: the reason."""
    keeper: Keeper = field(default_factory=Keeper)
    """The events that stand on the page."""
    members: dict[str, str] = field(default_factory=dict)
    """The node of a member."""
    ending: float | None = None
    """When the run's end began: all is undone and every node is stopped. None = not known."""

    addresses: dict[str, str] = field(default_factory=dict)
    """Host part of an address → node."""

    def say(self, event: Event) -> str:
        """The event as a sentence, nodes named where it knows addresses."""
        return sentence(event, self.addresses)

    @property
    def lines(self) -> int:
        return self.events.total()

    @property
    def has_network(self) -> bool:
        """Whether the world recorded its messages; only the simulator does."""
        return bool(self.events["sent"] or self.events["received"])


def tabulate(events: Iterable[Event], lines: Collection[int] = (), duration: float = math.inf) -> Tables:
    """Read a trace once. `lines` are events that the page must show, `duration` is when the run's end begins."""
    return _Reader(lines, duration).read(events)


class _Reader:
    """The state of one pass: who believes what of whom now, and what is under way."""

    def __init__(self, lines: Collection[int], duration: float) -> None:
        self.tables = Tables(keeper=Keeper(lines))
        self._in_flight: dict[int, float] = {}
        self._members = self.tables.members
        self._observers: set[str] = set()
        self._beliefs: dict[str, dict[str, str]] = {}
        self._counts: dict[str, Counter[str]] = {}
        """How many hold which belief of a member."""
        self._slow: list[tuple[float, int, Event]] = []
        self._calls_to: dict[tuple[Any, Any], str] = {}
        self._strides: dict[int, int] = {}
        self._ending = Ending(duration)
        self._faults = Faults(self._ending, MAX_FAULTS)
        self._lives = Lives(self._ending, MAX_SPANS)
        self.tables.addresses = self._lives.addresses
        self._streams = Streams(MAX_STREAMS)

    def read(self, events: Iterable[Event]) -> Tables:
        tables, counts, nodes = self.tables, self.tables.events, self.tables.nodes
        takers = Takers(self._ending, self._faults, self._lives, self._streams, self)
        keep, active, ending = tables.keeper.take, tables.activity.add, self._ending
        for event in events:
            _, time, name, kind, _, _ = event
            if tables.start is None:
                tables.start = tables.end = time
            tables.end = max(tables.end, time)
            counts[kind] += 1
            if name:
                if name not in nodes:
                    nodes[name] = Node(name, first=time)
                active(time, name)
                if kind not in SAID:
                    self._record(event)
            for take in takers.of(event):
                take(event)
            keep(event, ending.begun)
        self._take_over()
        for bins in (tables.messages, tables.latency, tables.ended_calls, tables.activity):
            bins.fit(tables.end - (tables.start or 0.0))
        if tables.backend == "sockets":
            # Processes start in any order.
            tables.nodes = {name: tables.nodes[name] for name in sorted(tables.nodes, key=_natural)}
        return tables

    def _take_over(self) -> None:
        """What the parts have found."""
        tables, lives = self.tables, self._lives
        tables.faults, tables.quiet = self._faults.all, self._faults.quiet
        for node in tables.nodes.values():
            for life in lives.of.get(node.name, ()):
                node.address, node.app = life.address, life.app
                node.spans += life.spans
                if life.gone is not None and life.how != "node_started":
                    node.ends.append((life.gone, _how(life)))
            node.labels = lives.labels.get(node.name, {})
            if not node.spans and not node.ends:
                node.spans.append(Span(node.first, None, "up"))
        tables.streams = [self._row(stream, stream.caller) for stream in self._streams.all if stream.caller]
        tables.slow_calls = [event for _, _, event in sorted(self._slow, reverse=True)]
        tables.ending = self._ending.duration if self._ending.begun and tables.events["zero"] else None
        omitted = {
            "faults": self._faults.omitted,
            "streams": self._streams.omitted,
            "changes of a node's state": lives.omitted,
        }
        tables.omitted.update({kind: count for kind, count in omitted.items() if count})

    def _row(self, stream: facts.Stream, call: facts.StreamEnd) -> Stream:
        """A stream as its caller saw it; where the caller died first it is lost."""
        peer = self._lives.addresses.get(host_of(stream.peer), stream.peer)
        row = Stream(call.node, call.start, None, stream.method, peer)
        gone = next((life.gone for life in self._lives.of.get(call.node, ()) if _lived(life, call)), None)
        if call.end != math.inf:
            row.end, row.status = call.end, str(call.status or "")
        elif gone is not None:
            row.end, row.status = gone, "lost"
        return row

    # The run and its nodes.

    def on_run_started(self, event: Event) -> None:
        tables = self.tables
        tables.scenario = str(event.fields.get("scenario", ""))
        tables.seed = event.fields.get("seed")
        tables.backend = str(event.fields.get("backend", ""))

    def on_node_failed(self, event: Event) -> None:
        self._note(self.tables.failures, event)
        self._forget_observer(event)

    # Membership: what each observer believes of each member, and the counts that follow from it.

    def on_cluster_started(self, event: Event) -> None:
        self._members[str(event.fields.get("member", event.node))] = event.node
        self._forget_observer(event)
        self._observers.add(event.node)

    def on_cluster_left(self, event: Event) -> None:
        self._forget_observer(event)

    on_node_crashed = on_node_killed = on_node_exited = on_cluster_left

    def on_member_joined(self, event: Event) -> None:
        # A thousand members see each other a million times; it matters where one was in doubt.
        beliefs = self._beliefs.get(event.fields.get("member", ""))
        if beliefs and event.node in beliefs:
            self._believe(event, "")
        self._observers.add(event.node)

    def on_member_recovered(self, event: Event) -> None:
        self._believe(event, "recovered")

    def on_member_suspected(self, event: Event) -> None:
        self._believe(event, "suspected")

    def on_member_failed(self, event: Event) -> None:
        self._believe(event, "failed")

    def on_member_left(self, event: Event) -> None:
        self._believe(event, "left")

    def _believe(self, event: Event, kind: str) -> None:
        if self._ending.begun:
            return  # Everybody goes, which is nobody's death.
        member = str(event.fields.get("member", ""))
        self._observers.add(event.node)
        beliefs = self._beliefs.setdefault(member, {})
        counts = self._counts.setdefault(member, Counter())
        before = beliefs.pop(event.node, "")
        after = "" if kind == "recovered" else kind
        if after:
            beliefs[event.node] = after
        if kind:
            opinion = self.tables.opinions.setdefault(member, Opinion(member))
            opinion.first.setdefault(kind, (event.time, event.node))
            opinion.last[kind] = event.time
            opinion.by.setdefault(kind, set()).add(event.node)
        if before != after:
            counts[before] -= 1
            counts[after] += 1
            self._step(event.time, member)

    def _forget_observer(self, event: Event) -> None:
        if event.node not in self._observers:
            return
        self._observers.discard(event.node)
        if self._ending.begun:
            return
        for member, beliefs in self._beliefs.items():
            if before := beliefs.pop(event.node, ""):
                self._counts[member][before] -= 1
                self._step(event.time, member)

    def _step(self, time: float, member: str) -> None:
        node = self.tables.nodes.get(self._members.get(member, member))
        if node is None:
            return
        counts = self._counts[member]
        others = len(self._observers) - (node.name in self._observers)
        step = Step(time, counts["suspected"], counts["failed"], counts["left"], others)
        self._keep(node.steps, step, "changes of what others think of a member", MAX_STEPS)
        opinion = self.tables.opinions.get(member)
        if opinion is not None and (
            opinion.most is None or (step.failed, step.suspected) > (opinion.most.failed, opinion.most.suspected)
        ):
            opinion.most = step

    # Calls.

    def on_call_started(self, event: Event) -> None:
        get = event.fields.get
        self._calls(str(get("method", "")), str(get("shape", ""))).started += 1
        self._calls_to[get("connection"), get("stream")] = str(get("peer") or "")

    def on_call_ended(self, event: Event) -> None:
        fields = event.fields
        status = str(fields.get("status", ""))
        calls = self._calls(str(fields.get("method", "")), str(fields.get("shape", "")))
        calls.statuses[status] += 1
        seconds = fields.get("seconds")
        if isinstance(seconds, (int, float)):
            calls.seconds[bucket(seconds)] += 1
        self.tables.ended_calls.add(event.time, status)
        if fields.get("shape") == "unary":
            self._mark(self.tables.nodes[event.node].unary, (event.time, status == "OK")) if event.node else None
        self._point_out(event, status, seconds)

    def _point_out(self, event: Event, status: str, seconds: Any) -> None:
        """Keep a call that somebody would look for: it did not end well, or took longer than others."""
        tables = self.tables
        peer = self._calls_to.pop((event.fields.get("connection"), event.fields.get("stream")), "")
        if self._ending.begun:
            return
        if status not in ("OK", "CANCELLED"):
            self._note(tables.bad_calls, event)
        slow = isinstance(seconds, (int, float)) and (len(self._slow) < MAX_SLOW or seconds > self._slow[0][0])
        if slow and event.fields.get("shape") == "unary":
            heapq.heappush(self._slow, (float(seconds), -event.line, event))
            if len(self._slow) > MAX_SLOW:
                heapq.heappop(self._slow)
        if slow or (status not in ("OK", "CANCELLED") and len(tables.bad_calls) < MAX_NOTES):
            tables.peers[event.line] = self._lives.addresses.get(host_of(peer), peer)

    def _record(self, event: Event) -> None:
        """What an application recorded by itself."""
        records = self.tables.records.get(event.name)
        if records is None:
            if len(self.tables.records) >= MAX_RECORDS:
                self.tables.omitted["names of records"] += 1
                return
            records = self.tables.records[event.name] = Records(event.name, event, event)
        records.count += 1
        records.last = event
        records.nodes.add(event.node)
        self._mark(self.tables.nodes[event.node].records, (event.time, event.name))

    def _mark(self, marks: list[Any], mark: object) -> None:
        """Keep it, or of many every second, fourth … one, so that all of the run is covered."""
        stride = self._strides.setdefault(id(marks), 1)
        if stride > 1 and self.tables.lines % stride:
            return
        marks.append(mark)
        if len(marks) > MAX_MARKS:
            del marks[::2]
            self._strides[id(marks)] = 2 * stride

    def _calls(self, method: str, shape: str) -> Calls:
        if len(self.tables.calls) >= MAX_METHODS and (method, shape) not in self.tables.calls:
            method, shape = "other methods", ""
        calls = self.tables.calls.get((method, shape))
        if calls is None:
            calls = self.tables.calls[method, shape] = Calls(method, shape)
        return calls

    # Messages: the hot path of a simulated trace.

    def on_sent(self, event: Event) -> None:
        node = self.tables.nodes[event.node]
        node.sent += 1
        node.sent_bytes += event.fields.get("bytes") or 0
        self.tables.messages.add(event.time, "sent")
        self._in_flight[event.line] = event.time
        if len(self._in_flight) > MAX_IN_FLIGHT:
            del self._in_flight[next(iter(self._in_flight))]

    def on_received(self, event: Event) -> None:
        self.tables.nodes[event.node].received += 1
        self.tables.messages.add(event.time, "received")
        left_at = self._in_flight.pop(event.cause, None)
        if left_at is None:
            self.tables.unmatched += 1
        else:
            self.tables.latency.add(event.time, (event.fields.get("protocol"), bucket(event.time - left_at)))

    def on_dropped(self, event: Event) -> None:
        node = self.tables.nodes.get(event.node)
        if node is not None:
            node.dropped += 1
        self.tables.messages.add(event.time, "dropped")
        reason = str(event.fields.get("reason", ""))
        self.tables.drops[reason] += 1
        for name in (event.node, str(event.fields.get("to", ""))):
            bins = self.tables.drops_of.get(name)
            if bins is None:
                bins = self.tables.drops_of[name] = Bins(40)
            bins.add(event.time, reason)
        self._in_flight.pop(event.cause, None)

    # What applications say, and what they leave behind.

    def on_unhandled(self, event: Event) -> None:
        self._note(self.tables.logs, event)

    def on_log(self, event: Event) -> None:
        self._note(self.tables.logs, event)

    def on_leak(self, event: Event) -> None:
        self._note(self.tables.leaks, event)

    def _note(self, notes: list[Event], event: Event) -> None:
        if len(notes) < MAX_NOTES:
            notes.append(event)

    def _keep(self, items: list[Any], item: object, kind: str, limit: int) -> bool:
        """Append up to the limit (of each list); count what is beyond it."""
        if len(items) < limit:
            items.append(item)
            return True
        self.tables.omitted[kind] += 1
        return False


def _natural(name: str) -> list[tuple[str, int]]:
    """worker-2 before worker-10."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", name)]


def _how(life: facts.Life) -> str:
    return "failed" if life.status == "error" else life.how.removeprefix("node_")


def _lived(life: facts.Life, call: facts.StreamEnd) -> bool:
    """Whether it was this process that made the call."""
    return life.line <= call.line and (life.gone is None or call.start <= life.gone)
