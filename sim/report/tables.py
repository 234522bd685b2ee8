"""A trace in, tables out: what a page and its figures need to know of a run, gathered in one pass.

Memory grows with nodes, faults and changes of state, each up to a limit that is named here; messages and calls are
counted in bins, never kept. Knows no figure, no page and no live simulation. The events are listed in docs/trace.md.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sim.report.bins import Bins, bucket
from sim.report.rows import Calls, Excerpt, Fault, Node, Opinion, Span, Step, Stream
from sim.scenario.faults import STANDSTILLS
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
OF_THE_RUN = frozenset({"run_started", "quiet", "fault", "fault_undone", "fault_idle", "log", "leak", "dropped"})


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
    faults: list[Fault] = field(default_factory=list)
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
    """The state of one pass: who is where now, and what is still open."""

    def __init__(self, lines: Collection[int]) -> None:
        self.tables = Tables()
        self._wanted = frozenset(lines)
        self._recent: deque[Event] = deque(maxlen=EXCERPT)
        self._unfinished: list[Excerpt] = []
        self._in_flight: dict[int, float] = {}
        self._open: dict[tuple[str, str, int], Stream] = {}
        self._hosts: dict[str, str] = {}
        self._members: dict[str, str] = {}
        self._observers: set[str] = set()
        self._beliefs: dict[str, dict[str, str]] = {}
        self._interrupted: dict[str, str] = {}
        own = "on_"
        self._handlers: dict[str, Callable[[Event], None]] = {
            name.removeprefix(own): getattr(self, name) for name in dir(self) if name.startswith(own)
        }
        for still in STANDSTILLS:
            self._handlers[f"node_{still.state}"] = partial(self._interrupt, state=still.state)

    def read(self, events: Iterable[Event]) -> Tables:
        tables, handlers, counts = self.tables, self._handlers, self.tables.events
        for event in events:
            if tables.start is None:
                tables.start = event.time
            tables.end = max(tables.end, event.time)
            counts[event.name] += 1
            if event.node and event.node not in tables.nodes:
                tables.nodes[event.node] = Node(event.node, first=event.time)
            handler = handlers.get(event.name)
            # What belongs to a node says nothing where it names none: an application may record any name.
            if handler is not None and (event.node or event.name in OF_THE_RUN):
                handler(event)
            if self._wanted and (event.name not in NETWORK or event.line in self._wanted):
                self._quote(event)
        for node in tables.nodes.values():
            if not node.spans and not node.ends:
                node.spans.append(Span(node.first, None, "up"))
        for bins in (tables.messages, tables.latency, tables.ended_calls):
            bins.fit(tables.end - (tables.start or 0.0))
        if tables.backend == "sockets":
            # Processes start in any order.
            tables.nodes = {name: tables.nodes[name] for name in sorted(tables.nodes, key=_natural)}
        return tables

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

    def on_quiet(self, event: Event) -> None:
        self.tables.quiet = event.time

    def on_node_started(self, event: Event) -> None:
        node = self.tables.nodes[event.node]
        node.address = str(event.fields.get("address", ""))
        node.app = str(event.fields.get("app", ""))
        node.labels = {str(k): str(v) for k, v in dict(event.fields.get("labels") or {}).items()}
        self._hosts[_host(node.address)] = event.node
        self._enter(event, "starting")

    def on_node_ready(self, event: Event) -> None:
        self._enter(event, "up")

    def on_node_resumed(self, event: Event) -> None:
        self._enter(event, self._interrupted.pop(event.node, "up"))

    def on_node_stopping(self, event: Event) -> None:
        self._enter(event, "stopping")

    def on_node_crashed(self, event: Event) -> None:
        self._down(event, "crashed")

    def on_node_killed(self, event: Event) -> None:
        self._down(event, "killed")

    def on_node_failed(self, event: Event) -> None:
        self._note(self.tables.failures, event)
        self._down(event, "failed")

    def on_node_exited(self, event: Event) -> None:
        self._down(event, "exited" if event.fields.get("status") != "error" else "failed")

    def _enter(self, event: Event, state: str) -> None:
        spans = self.tables.nodes[event.node].spans
        if spans and spans[-1].end is None:
            spans[-1].end = event.time
        self._keep(spans, Span(event.time, None, state), "changes of a node's state", MAX_SPANS)

    def _interrupt(self, event: Event, state: str) -> None:
        spans = self.tables.nodes[event.node].spans
        before = spans[-1].state if spans and spans[-1].end is None else "up"
        if before not in {still.state for still in STANDSTILLS}:
            self._interrupted[event.node] = before
        self._enter(event, state)

    def _down(self, event: Event, how: str) -> None:
        node = self.tables.nodes[event.node]
        if node.spans and node.spans[-1].end is None:
            node.spans[-1].end = event.time
        elif node.spans or node.ends:
            return  # already down: `main` of a stopped node that then returns, a failure after its traceback
        node.ends.append((event.time, how))
        self._interrupted.pop(event.node, None)
        for key in [k for k in self._open if k[0] == event.node]:
            stream = self._open.pop(key)
            stream.end, stream.status = event.time, "lost"
        self._forget_observer(event)

    # Faults.

    def on_fault(self, event: Event) -> None:
        self._fault(event)

    def on_fault_idle(self, event: Event) -> None:
        fault = self._fault(event)
        fault.idle = str(event.fields.get("why") or "touched nothing")
        # Told of when it was over, where it might still have come to something.
        fault.time = float(event.fields.get("struck", event.time))

    def on_fault_undone(self, event: Event) -> None:
        fields = event.fields
        targets = tuple(str(t) for t in fields.get("targets") or ())
        same = [
            f
            for f in self.tables.faults
            if f.ended is None and not f.idle and (f.name, f.verb) == (fields.get("name"), fields.get("verb", f.verb))
        ]
        # One fault may strike several times before it is undone: a rolling restart, node by node.
        for fault in [f for f in same if f.targets == targets] or same[-1:]:
            fault.ended = event.time

    def _fault(self, event: Event) -> Fault:
        fields = event.fields
        detail = fields.get("detail")
        fault = Fault(
            number=len(self.tables.faults) + 1,
            time=event.time,
            name=str(fields.get("name") or ""),
            verb=str(fields.get("verb") or fields.get("name") or ""),
            targets=tuple(str(t) for t in fields.get("targets") or ()),
            detail=dict(detail) if isinstance(detail, dict) else {"": detail} if detail else {},
            line=event.line,
        )
        self._keep(self.tables.faults, fault, "faults", MAX_FAULTS)
        return fault

    # Membership: what each observer believes of each member, and the counts that follow from it.

    def on_cluster_started(self, event: Event) -> None:
        self._members[str(event.fields.get("member", event.node))] = event.node
        self._forget_observer(event)
        self._observers.add(event.node)

    def on_cluster_left(self, event: Event) -> None:
        self._forget_observer(event)

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
        fields = event.fields
        method, shape = str(fields.get("method", "")), str(fields.get("shape", ""))
        self._calls(method, shape).started += 1
        if shape == "unary":
            return
        peer = str(fields.get("peer", ""))
        stream = Stream(event.node, event.time, None, method, self._hosts.get(_host(peer), peer))
        if self._keep(self.tables.streams, stream, "streams", MAX_STREAMS):
            self._open[_call_key(event)] = stream

    def on_call_ended(self, event: Event) -> None:
        fields = event.fields
        status = str(fields.get("status", ""))
        calls = self._calls(str(fields.get("method", "")), str(fields.get("shape", "")))
        calls.statuses[status] += 1
        seconds = fields.get("seconds")
        if isinstance(seconds, (int, float)):
            calls.seconds[bucket(seconds)] += 1
        self.tables.ended_calls.add(event.time, status)
        stream = self._open.pop(_call_key(event), None)
        if stream is not None:
            stream.end, stream.status = event.time, status

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


def _call_key(event: Event) -> tuple[str, str, int]:
    return event.node, str(event.fields.get("connection", "")), int(event.fields.get("stream") or 0)


def _host(address: str) -> str:
    """The host of `host:port` (`[::1]:80` too); anything else as it is."""
    host, colon, port = address.rpartition(":")
    return host.strip("[]") if colon and port.isdigit() else address
