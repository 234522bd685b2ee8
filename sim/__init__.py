"""A deterministic simulator of machines and networks for any asyncio program. This file is a list."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sim.extras import told

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


def __dir__() -> list[str]:
    """What an editor or a notebook completes, loaded or not."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Names are loaded when they are asked for: pytest loads our plugin everywhere, and a test that only simulates
    needs no scenarios."""
    if name not in __all__:
        raise AttributeError(f"module 'sim' has no attribute {name!r}")
    with told(f"{__name__}.{name}"):
        module = import_module("sim.api" if name == "Scenario" else "sim.kernel")
    value = globals()[name] = getattr(module, name)
    return value
