"""Who was up when, in which state, and as which member: the processes of the nodes, from start to end.

Tests: tests/sim/history/test_history.py, tests/sim/report/test_tables.py.
"""

import math
from collections import Counter

from sim.history.ending import Ending
from sim.history.facts import Life, Membership, Span, Stall
from sim.trace import Event

__all__ = ["Lives", "host_of"]

STANDING_STILL = frozenset({"paused", "blocked"})


class Lives:
    """A part of a reader. Of more than `max_spans` changes of state of a node the others are counted."""

    def __init__(self, ending: Ending, max_spans: float = math.inf) -> None:
        self._ending, self._max_spans = ending, max_spans
        self.of: dict[str, list[Life]] = {}
        """By node."""
        self.labels: dict[str, dict[str, str]] = {}
        self.addresses: dict[str, str] = {}
        """Host part of an address → node."""
        self.runs: dict[tuple[str, int], Membership] = {}
        """By member and run."""
        self.omitted = 0
        self._stalled: dict[str, Stall] = {}
        self._spans: Counter[str] = Counter()

    def current(self, node: str) -> Life | None:
        """The process that it has now."""
        lives = self.of.get(node)
        return lives[-1] if lives and lives[-1].how == "" else None

    # Processes

    def on_node_started(self, event: Event) -> None:
        node, get = event.node, event.fields.get
        self.labels[node] = {str(key): str(value) for key, value in dict(get("labels") or {}).items()}
        address = str(get("address") or "")
        if address:
            self.addresses[host_of(address)] = node
        self._close(event, "node_started")
        life = Life(node, event.time, event.line, address=address, app=str(get("app") or ""))
        self.of.setdefault(node, []).append(life)
        self._enter(life, event.time, "starting")

    def on_node_ready(self, event: Event) -> None:
        if life := self.current(event.node):
            self._enter(life, event.time, "up")

    def on_node_stopping(self, event: Event) -> None:
        if life := self.current(event.node):
            life.stopping = event.time
            self._enter(life, event.time, "stopping")

    def on_node_crashed(self, event: Event) -> None:
        if event.node not in self.of:
            # A trace that begins in the middle: that it was up is known only now.
            self.of[event.node] = [Life(event.node, -math.inf, 0)]
        self._close(event, event.name)

    on_node_killed = on_node_exited = on_node_failed = on_node_crashed

    def _close(self, event: Event, how: str) -> None:
        """End a node's life, and with it its memberships and stalls."""
        self._end_stall(event)
        life = self.current(event.node)
        if life is None:
            return
        life.how, life.gone, life.status = how, event.time, event.fields.get("status")
        self._end_span(life, event.time)
        if not self._ending.begun:
            life.end = event.time
            self._end_membership(life, event)

    # States

    def on_node_paused(self, event: Event) -> None:
        if life := self.current(event.node):
            self._end_stall(event)
            stall = Stall(event.time, float(event.fields.get("seconds") or math.inf))
            self._stalled[event.node] = stall
            life.stalls.append(stall)
            state = life.spans[-1].state if life.spans and life.spans[-1].end is None else "up"
            if state not in STANDING_STILL:
                life.before = state
            self._enter(life, event.time, event.name.removeprefix("node_"))

    on_node_blocked = on_node_paused

    def on_node_resumed(self, event: Event) -> None:
        self._end_stall(event)
        if life := self.current(event.node):
            self._enter(life, event.time, life.before)
            life.before = "up"

    def _end_stall(self, event: Event) -> None:
        if stall := self._stalled.pop(event.node, None):
            stall.end = event.time

    def _enter(self, life: Life, time: float, state: str) -> None:
        self._end_span(life, time)
        if self._spans[life.node] < self._max_spans:
            self._spans[life.node] += 1
            life.spans.append(Span(time, None, state))
        else:
            self.omitted += 1

    @staticmethod
    def _end_span(life: Life, time: float) -> None:
        if life.spans and life.spans[-1].end is None:
            life.spans[-1].end = time

    # Members

    def on_cluster_started(self, event: Event) -> None:
        if life := self.current(event.node):
            member, run = event.fields.get("member", event.node), event.fields.get("run", 0)
            self._end_membership(life, event)
            membership = Membership(life, event.node, member, run, event.time, event.line)
            life.memberships.append(membership)
            self.runs[member, run] = membership

    def on_cluster_left(self, event: Event) -> None:
        if not self._ending.begun and (life := self.current(event.node)):
            self._end_membership(life, event, left=True)

    @staticmethod
    def _end_membership(life: Life, event: Event, *, left: bool = False) -> None:
        if life.memberships and (latest := life.memberships[-1]).end == math.inf:
            latest.end, latest.end_line, latest.left = event.time, event.line, left

    def take_new_run(self, membership: Membership, run: int) -> None:
        """A member that meets a higher run of its own name goes on under a new one."""
        membership.run = run
        self.runs[membership.member, run] = membership


def host_of(address: str) -> str:
    """The host of `host:port`, `[host]:port` or a bare host."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, colon, port = address.rpartition(":")
    return host if colon and port.isdigit() else address
