"""What the trace says of a run: who was up when, what each observer believed of whom, who could reach whom."""

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
from sim.scenario.history.history import History
from sim.scenario.history.reach import STALL, Reach

__all__ = [
    "STALL",
    "FaultSeen",
    "History",
    "Life",
    "Membership",
    "Publication",
    "Reach",
    "Sighting",
    "Stall",
    "Stream",
    "StreamEnd",
]
