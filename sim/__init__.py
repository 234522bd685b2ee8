"""A deterministic simulator of machines and networks for any asyncio program. This file is a list."""

from typing import TYPE_CHECKING, Any

from sim.kernel import (
    Deadlock,
    Livelock,
    Node,
    NodeDown,
    NotSimulated,
    Simulation,
    SimulationError,
    new_event_loop,
    run,
)

if TYPE_CHECKING:
    from sim.scenario import Scenario

__all__ = [
    "Deadlock",
    "Livelock",
    "Node",
    "NodeDown",
    "NotSimulated",
    "Scenario",
    "Simulation",
    "SimulationError",
    "new_event_loop",
    "run",
]


def __getattr__(name: str) -> Any:
    """`sim.Scenario` is loaded when it is asked for: a test that only simulates starts three times as fast."""
    if name == "Scenario":
        from sim.scenario import Scenario

        return Scenario
    raise AttributeError(f"module 'sim' has no attribute {name!r}")
