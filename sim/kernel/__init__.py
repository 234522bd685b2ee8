"""Time, nodes and entropy: any asyncio program in virtual time. This file is a list."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sim.kernel.errors import (
    Deadlock,
    Livelock,
    NodeDown,
    NotSimulated,
    RealThread,
    SimulationError,
    WallLimitExceeded,
)

if TYPE_CHECKING:
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
    "RealThread",
    "Simulation",
    "SimulationError",
    "WallLimitExceeded",
    "new_event_loop",
    "run",
]


def __getattr__(name: str) -> Any:
    """Names are loaded when they are asked for: a process of the sockets backend needs the clock of a node alone."""
    if name not in __all__:
        raise AttributeError(f"module 'sim.kernel' has no attribute {name!r}")
    home = {"Leak": "leaks", "Node": "node"}.get(name, "simulation")
    value = globals()[name] = getattr(import_module(f"sim.kernel.{home}"), name)
    return value
