"""What the trace says of a run: who was up when, what each observer believed of whom, who could reach whom.

Derived from events alone, in one pass; knows no world and no scenario file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sim.trace import Event

__all__ = ["FaultSeen", "History"]


@dataclass(slots=True)
class FaultSeen:
    """A fault that took effect."""

    name: str
    verb: str
    targets: tuple[str, ...]
    detail: Mapping[str, Any]
    time: float
    line: int
    undone: float | None = None
    """When it was healed, resumed, restarted; None = it lasts."""


@dataclass(slots=True)
class History:
    events: Iterable[Event]
    duration: float
    faults: list[FaultSeen] = field(default_factory=list)
    labels: dict[str, dict[str, str]] = field(default_factory=dict)
