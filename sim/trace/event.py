"""One thing that happened: when, on which node, because of what.

Values only. The events that exist and their fields are listed in docs/trace.md.

Tests: tests/sim/trace/test_trace.py.
"""

from typing import Any, NamedTuple

__all__ = ["Event"]


class Event(NamedTuple):
    """One record of a trace, as readers see it."""

    line: int
    """Its number in the trace, from 1; also its line in the JSON export."""
    time: float
    """Seconds since time zero, which is when every node was ready. Negative while nodes start."""
    node: str
    """The node it happened on; "" for the runner."""
    name: str
    cause: int
    """The line of the event that this one answers (the arrival of a message); 0 = none known."""
    fields: dict[str, Any]
