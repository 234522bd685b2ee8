"""The one reader of a trace, for expectations and for the report: who was up when, which faults, streams and beliefs.

Knows the events of docs/trace.md; knows no verb of a fault, no expectation and no page. A part of it reads one kind of
event and keeps facts (sim.history.facts). History puts the parts together for expectations, sim.report.tables for a
page, each with its own limits.

Tests: tests/sim/history.
"""

from sim.history.facts import (
    FaultSeen,
    Life,
    Membership,
    Publication,
    Sighting,
    Span,
    Stall,
    Stream,
    StreamEnd,
)
from sim.history.history import History
from sim.history.reach import STALL, Reach

__all__ = [
    "STALL",
    "FaultSeen",
    "History",
    "Life",
    "Membership",
    "Publication",
    "Reach",
    "Sighting",
    "Span",
    "Stall",
    "Stream",
    "StreamEnd",
]
