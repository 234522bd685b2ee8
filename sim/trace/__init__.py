"""What happened in a run: written as it goes, read lazily, the same format from both worlds."""

from sim.trace.event import Event
from sim.trace.read import TraceError, export, merge, read
from sim.trace.record import Trace, TraceWriteError

__all__ = ["Event", "Trace", "TraceError", "TraceWriteError", "export", "merge", "read"]
