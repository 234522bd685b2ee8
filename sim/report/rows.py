"""What a row of a report's tables is: a node, a stream, an opinion of a member, the calls of a method.

Values only; sim.report.tables fills them from a trace. A fault is sim.history's.

Tests: tests/sim/report/test_tables.py.
"""

from collections import Counter
from dataclasses import dataclass, field

from sim.history import Span
from sim.trace import Event

__all__ = ["Calls", "Node", "Opinion", "Records", "Step", "Stream"]


@dataclass(slots=True, frozen=True)
class Step:
    """From `time` on, so many of the `others` that are up suspect a member, hold it for failed, saw it leave."""

    time: float
    suspected: int
    failed: int
    left: int
    others: int


@dataclass(slots=True)
class Stream:
    """One streaming call, as its caller saw it."""

    node: str
    start: float
    end: float | None
    method: str
    peer: str
    status: str = "open"
    """How it ended; `"open"` where the trace ends first, `"lost"` where the caller died."""


@dataclass(slots=True)
class Node:
    """One lane: what a node went through, and what the others thought of it."""

    name: str
    address: str = ""
    app: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    ends: list[tuple[float, str]] = field(default_factory=list)
    """When it went down, and how: crashed, killed, failed, exited."""
    first: float = 0.0
    sent: int = 0
    received: int = 0
    dropped: int = 0
    sent_bytes: int = 0
    unary: list[tuple[float, bool]] = field(default_factory=list)
    """Ends of its unary calls, and whether they were OK; some of them where there are many."""
    records: list[tuple[float, str]] = field(default_factory=list)
    """What its application recorded: when, under which name; some of it where there is much."""

    @property
    def state(self) -> str:
        """What became of it, in words."""
        if self.spans and self.spans[-1].end is None:
            return self.spans[-1].state
        return f"{self.ends[-1][1]} at {self.ends[-1][0]:.3f} s" if self.ends else "up"


@dataclass(slots=True)
class Opinion:
    """What the others ever thought of one member: when first, by whom, when last, by how many."""

    member: str
    first: dict[str, tuple[float, str]] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    by: dict[str, set[str]] = field(default_factory=dict)
    most: Step | None = None
    """The moment at which the most others held it for failed, or else suspected it."""


@dataclass(slots=True)
class Calls:
    """All calls of one method: how they ended, how long they took (buckets of sim.report.bins)."""

    method: str
    shape: str
    started: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    seconds: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class Records:
    """What applications recorded under one name."""

    name: str
    first: Event
    last: Event
    count: int = 0
    nodes: set[str] = field(default_factory=set)
