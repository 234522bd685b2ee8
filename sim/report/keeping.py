"""Which events of a trace stand on the page: all of a short one; of a long one those that a reader follows.

These are the lines that somebody wants (evidence and what led to it) with their neighbours at the same node, and of
each node its first and last events that are no messages. Each comes with what it answers, message by message, as far
as that was recent. One pass; memory grows with nodes, not with events.

Tests: tests/sim/report/test_keeping.py.
"""

from collections import deque
from collections.abc import Collection, Iterable

from sim.trace import Event

__all__ = ["NETWORK", "Keeper"]

NETWORK = frozenset({"sent", "received", "dropped"})
PASSING = NETWORK | {"member_joined", "tcp_connected", "tcp_closed"}
"""Events of which there are many, and which matter where another one answers them."""
SMALL = 6_000
"""A trace of so many events is shown whole."""
MOST = 3_000
"""Events of a longer one."""
RECENT = 4_096
"""Events that are remembered, to find what another one answers."""
OF_A_NODE = 30
"""First events of a node, and last ones, that are no messages."""
OF_ITS_END = 12
"""Events of a node once the run is being ended."""
NEIGHBOURS = 8
"""Events of the same node before and after one that is wanted."""
LED = 6
"""Steps back from an event that is wanted; half as many from others."""


class Keeper:
    """Give it each event in order; then ask `chosen`."""

    def __init__(self, lines: Collection[int] = ()) -> None:
        self._wanted = frozenset(lines)
        self._all: list[Event] | None = []
        self._ring: list[Event | None] = [None] * RECENT
        self._first: dict[str, list[Event]] = {}
        self._last: dict[str, deque[list[Event]]] = {}
        self._ended: dict[str, int] = {}
        self._after: dict[str, int] = {}
        self._certain: dict[int, Event] = {}
        """By line."""
        self.wanted: dict[int, Event] = {}
        """Those that somebody asked for, by line."""

    def take(self, event: Event, ending: bool = False) -> None:
        """`ending`: the run is being ended, and what happens to nodes is nobody's news."""
        line, _, node, name, _, _ = event
        self._ring[line % RECENT] = event
        if self._all is not None:
            self._all.append(event)
            if len(self._all) > SMALL:
                self._all = None
        if line in self._wanted:
            self._keep_wanted(event)
        if name in PASSING:
            return
        if self._after.get(node):
            self._after[node] -= 1
            self._certain[line] = event
        if ending:
            count = self._ended[node] = self._ended.get(node, 0) + 1
            if count > OF_ITS_END:
                return
        first = self._first.get(node)
        if first is None:
            first = self._first[node] = []
            self._last[node] = deque(maxlen=OF_A_NODE)
        if len(first) < 2 * OF_A_NODE:
            first += self._led(event, LED // 2)
        else:
            self._last[node].append(self._led(event, LED // 2))

    def chosen(self, nodes: Iterable[str]) -> list[Event]:
        """In order. `nodes` come in the order in which they matter; `""` is the runner."""
        if self._all is not None:
            return self._all
        found = dict(self._certain)
        for node in dict.fromkeys(["", *nodes]):
            own = [*self._first.get(node, ()), *(event for led in self._last.get(node, ()) for event in led)]
            if len(found) + len(own) > MOST:
                break
            found.update((event.line, event) for event in own)
        return [found[line] for line in sorted(found)]

    def _keep_wanted(self, event: Event) -> None:
        self.wanted[event.line] = event
        near = [led[-1] for led in self._last.get(event.node, ())] or self._first.get(event.node, [])
        for one in (*near[-NEIGHBOURS:], *self._led(event, LED)):
            self._certain[one.line] = one
        self._after[event.node] = NEIGHBOURS + 1  # itself is counted too

    def _led(self, event: Event, steps: int) -> list[Event]:
        """The event behind those that led to it, by what each answers."""
        found = [event]
        while found[0].cause and len(found) <= steps:
            before = self._ring[found[0].cause % RECENT]
            if before is None or before.line != found[0].cause:
                break
            found.insert(0, before)
        return found
