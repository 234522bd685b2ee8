"""Time, nodes and entropy: any asyncio program in virtual time. This file is a list."""

from sim.kernel.errors import Deadlock, Livelock, NodeDown, NotSimulated, SimulationError
from sim.kernel.leaks import Leak
from sim.kernel.node import Node
from sim.kernel.simulation import Simulation, new_event_loop, run

__all__ = [
    "Deadlock",
    "Leak",
    "Livelock",
    "Node",
    "NodeDown",
    "NotSimulated",
    "Simulation",
    "SimulationError",
    "new_event_loop",
    "run",
]
