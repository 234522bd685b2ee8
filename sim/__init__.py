"""A deterministic simulator of machines and networks for any asyncio program. This file is a list."""

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
