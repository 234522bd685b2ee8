"""The kinds of facts that a history is made of: values, one for each thing that a trace tells of.

Times are seconds since time zero, lines are lines of the trace; an end that never came is infinity.

Tests: tests/sim/history/test_history.py.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["FaultSeen", "Life", "Membership", "Publication", "Sighting", "Span", "Stall", "Stream", "StreamEnd"]


@dataclass(slots=True)
class FaultSeen:
    """A fault that took effect or, with `idle`, did not."""

    name: str
    verb: str
    targets: tuple[str, ...]
    detail: Mapping[str, Any]
    time: float
    line: int
    undone: float | None = None
    """When it was healed, resumed, restarted; None = it lasts."""
    number: int = 0
    """Its place among all of them, from 1."""
    idle: str = ""
    """Why it had no effect, where it is so."""

    def among(self, key: str) -> Callable[[str, str], bool]:
        """Whether one node and another are a pair of those that its detail lists under that key."""
        pairs = frozenset((pair[0], pair[1]) for pair in self.detail.get(key, ()))
        return lambda a, b: (a, b) in pairs


@dataclass(slots=True)
class Span:
    """A node was in one state: starting, up, paused, blocked, stopping."""

    start: float
    end: float | None
    state: str


@dataclass(slots=True)
class Stall:
    """A pause or a block of a node."""

    start: float
    seconds: float
    """How long it was meant to be."""
    end: float = math.inf


@dataclass(slots=True)
class Membership:
    """A node's time as a member: from `cluster_started` to `cluster_left` or the end of that life."""

    life: "Life" = field(repr=False, compare=False)
    node: str
    member: str
    run: int
    start: float
    line: int
    end: float = math.inf
    end_line: int = 0
    left: bool = False


@dataclass(slots=True)
class Life:
    """A node's process, from one start to its end."""

    node: str
    start: float
    line: int
    end: float = math.inf
    """inf where it lasted until the run was ended."""
    how: str = ""
    """The event that ended it: node_crashed, node_killed, node_exited, node_failed, or node_started of the next life
    where no end was recorded; "" = it lived on."""
    gone: float | None = None
    """When it ended, also where that was the end of the run."""
    status: str | None = None
    """Of node_exited: ok, cancelled, error."""
    address: str = ""
    app: str = ""
    stopping: float | None = None
    """When it was asked to stop."""
    memberships: list[Membership] = field(default_factory=list)
    stalls: list[Stall] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    """Its states, one after the other."""
    before: str = "up"
    """The state that a node returns to when it goes on."""

    def covers(self, time: float) -> bool:
        return self.start <= time < self.end

    def stalled(self, time: float) -> bool:
        return any(stall.start <= time < stall.end for stall in self.stalls)


class Sighting(NamedTuple):
    """What an observer recorded of a member."""

    time: float
    line: int
    node: str
    name: str
    """The event: member_joined, …, tags_changed."""
    member: str
    run: int
    version: int | None
    tags: Mapping[str, Any] | None


class Publication(NamedTuple):
    """Tags that their owner set, whole."""

    time: float
    line: int
    node: str
    member: str
    run: int
    version: int
    tags: Mapping[str, Any]


@dataclass(slots=True)
class StreamEnd:
    """One end of a stream: the caller's or the handler's."""

    node: str
    start: float
    line: int
    end: float = math.inf
    end_line: int = 0
    status: str | None = None


@dataclass(slots=True)
class Stream:
    """A call that is not unary, as both ends recorded it."""

    connection: str
    number: int
    method: str
    peer: str = ""
    """The callee's address, as the caller knows it."""
    caller: StreamEnd | None = None
    handler: StreamEnd | None = None

    def ends(self) -> Iterator[StreamEnd]:
        if self.caller is not None:
            yield self.caller
        if self.handler is not None:
            yield self.handler
