"""When a run's end begins: from then on all is undone and every node is stopped, which is nobody's death.

Tests: tests/sim/history/test_history.py.
"""

import math

from sim.trace import Event

__all__ = ["Ending"]

CLOCK_TOLERANCE = 1e-6
"""Seconds; a real clock may show the end a little early."""


class Ending:
    """A part of a reader, the first of them: it is up to date when the others are asked."""

    def __init__(self, duration: float = math.inf) -> None:
        self.duration = duration
        """Seconds; inf = the end is read like all the rest."""
        self.line: float = math.inf
        """The line from which on the run is being ended."""

    @property
    def begun(self) -> bool:
        return self.line != math.inf

    def _look(self, event: Event) -> None:
        if self.line == math.inf and event.time >= self.duration - CLOCK_TOLERANCE:
            self.line = event.line

    on_node_stopping = on_node_started = on_fault_undone = on_quiet = on_run_ended = _look
