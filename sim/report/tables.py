"""A trace in, tables out: what a page and its figures need to know of a run, gathered in one pass.

Memory grows with nodes, faults and changes of state, each up to a limit that is named here; messages and calls are
counted in bins, never kept. Knows no figure, no page and no live simulation. Lives, faults and streams are read by
sim.history, with this room's limits; here is what only a page shows.

Tests: tests/sim/report/test_tables.py.
"""

import math
import re
from collections import Counter, deque
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
from sim.report.rows import Calls, Excerpt, Node, Opinion, Step, Stream
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
EXCERPT = 4
"""Events shown before and after the one that an expectation points at."""

NETWORK = frozenset({"sent", "received", "dropped"})


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
    excerpts: dict[int, Excerpt] = field(default_factory=dict)

    @property
    def lines(self) -> int:
        return self.events.total()

    @property
    def has_network(self) -> bool:
        """Whether the world recorded its messages; only the simulator does."""
        return bool(self.events["sent"] or self.events["received"])


def tabulate(events: Iterable[Event], lines: Collection[int] = ()) -> Tables:
    """Read a trace once. `lines` are the events of which an excerpt is wanted."""
    return _Reader(lines).read(events)


class _Reader:
    """The state of one pass: who believes what of whom now, and what is under way."""

    def __init__(self, lines: Collection[int]) -> None:
        self.tables = Tables()
        self._wanted = frozenset(lines)
        self._recent: deque[Event] = deque(maxlen=EXCERPT)
        self._unfinished: list[Excerpt] = []
        self._in_flight: dict[int, float] = {}
        self._members: dict[str, str] = {}
        self._observers: set[str] = set()
        self._beliefs: dict[str, dict[str, str]] = {}
        ending = Ending()
        self._faults = Faults(ending, MAX_FAULTS)
        self._lives = Lives(ending, MAX_SPANS)
        self._streams = Streams(MAX_STREAMS)

    def read(self, events: Iterable[Event]) -> Tables:
        tables, counts = self.tables, self.tables.events
        takers = Takers(self._faults, self._lives, self._streams, self)
        for event in events:
            if tables.start is None:
                tables.start = event.time
            tables.end = max(tables.end, event.time)
            counts[event.name] += 1
            if event.node and event.node not in tables.nodes:
                tables.nodes[event.node] = Node(event.node, first=event.time)
            for take in takers.of(event):
                take(event)
            if self._wanted and (event.name not in NETWORK or event.line in self._wanted):
                self._quote(event)
        self._take_over()
        for bins in (tables.messages, tables.latency, tables.ended_calls):
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

    def _quote(self, event: Event) -> None:
        for excerpt in self._unfinished:
            excerpt.events.append(event)
            excerpt.missing -= 1
        self._unfinished = [e for e in self._unfinished if e.missing]
        if event.line in self._wanted:
            excerpt = Excerpt(event.line, EXCERPT, [*self._recent, event])
            self.tables.excerpts[event.line] = excerpt
            self._unfinished.append(excerpt)
        self._recent.append(event)

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
        self._believe(event, "")

    def on_member_recovered(self, event: Event) -> None:
        self._believe(event, "recovered")

    def on_member_suspected(self, event: Event) -> None:
        self._believe(event, "suspected")

    def on_member_failed(self, event: Event) -> None:
        self._believe(event, "failed")

    def on_member_left(self, event: Event) -> None:
        self._believe(event, "left")

    def _believe(self, event: Event, kind: str) -> None:
        member = str(event.fields.get("member", ""))
        self._observers.add(event.node)
        beliefs = self._beliefs.setdefault(member, {})
        before = beliefs.pop(event.node, "")
        if kind and kind != "recovered":
            beliefs[event.node] = kind
        if kind:
            opinion = self.tables.opinions.setdefault(member, Opinion(member))
            opinion.first.setdefault(kind, (event.time, event.node))
            opinion.last[kind] = event.time
            opinion.by.setdefault(kind, set()).add(event.node)
        if before != beliefs.get(event.node, ""):
            self._step(event.time, member)

    def _forget_observer(self, event: Event) -> None:
        if event.node not in self._observers:
            return
        self._observers.discard(event.node)
        for member, beliefs in self._beliefs.items():
            if beliefs.pop(event.node, ""):
                self._step(event.time, member)

    def _step(self, time: float, member: str) -> None:
        node = self.tables.nodes.get(self._members.get(member, member))
        if node is None:
            return
        counts = Counter(self._beliefs[member].values())
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
        self._calls(str(event.fields.get("method", "")), str(event.fields.get("shape", ""))).started += 1

    def on_call_ended(self, event: Event) -> None:
        fields = event.fields
        status = str(fields.get("status", ""))
        calls = self._calls(str(fields.get("method", "")), str(fields.get("shape", "")))
        calls.statuses[status] += 1
        seconds = fields.get("seconds")
        if isinstance(seconds, (int, float)):
            calls.seconds[bucket(seconds)] += 1
        self.tables.ended_calls.add(event.time, status)

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
        self.tables.drops[str(event.fields.get("reason", ""))] += 1
        self._in_flight.pop(event.cause, None)

    # What applications say, and what they leave behind.

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
