"""A deterministic simulator of machines and networks for any asyncio program. This file is a list."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.api import Scenario
    from sim.kernel import (
        Deadlock,
        Livelock,
        Node,
        NodeDown,
        NotSimulated,
        RealThread,
        Simulation,
        SimulationError,
        WallLimitExceeded,
        new_event_loop,
        run,
    )

__all__ = [
    "Deadlock",
    "Livelock",
    "Node",
    "NodeDown",
    "NotSimulated",
    "RealThread",
    "Scenario",
    "Simulation",
    "SimulationError",
    "WallLimitExceeded",
    "new_event_loop",
    "run",
]


def __getattr__(name: str) -> Any:
    """Names are loaded when they are asked for: pytest loads our plugin everywhere, and a test that only simulates
    needs no scenarios."""
    if name not in __all__:
        raise AttributeError(f"module 'sim' has no attribute {name!r}")
    try:
        value = getattr(import_module("sim.api" if name == "Scenario" else "sim.kernel"), name)
    except ModuleNotFoundError as error:
        if error.name not in {"simpy", "networkx", "msgpack"}:
            raise
        raise ImportError(f"sim.{name} needs {error.name}: pip install 'rpcnet[sim]'") from error
    globals()[name] = value
    return value
