"""What happened in a run: written as it goes, read lazily, the same format from both worlds. This file is a list."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sim.extras import told
from sim.trace.record import Trace, TraceWriteError

if TYPE_CHECKING:
    from sim.trace.event import Event
    from sim.trace.reader import TraceError, export, merge, read

__all__ = ["Event", "Trace", "TraceError", "TraceWriteError", "export", "merge", "read"]


def __getattr__(name: str) -> Any:
    """What reads a trace is loaded when it is asked for, and its decoder with it: a simulation only writes."""
    if name not in __all__:
        raise AttributeError(f"module 'sim.trace' has no attribute {name!r}")
    with told(f"{__name__}.{name}"):
        module = import_module("sim.trace.event" if name == "Event" else "sim.trace.reader")
    value = globals()[name] = getattr(module, name)
    return value
