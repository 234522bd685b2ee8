"""SimPy's processes, events and resources in the virtual time of a schedule, beside the nodes.

Loaded where somebody asks for it, as SimPy is. Knows no nodes. Tests: tests/sim/network/test_environment.py.
"""

from collections.abc import Callable
from heapq import heappush
from typing import Any

import simpy
from simpy.core import EmptySchedule
from simpy.events import NORMAL

from sim.network.schedule import Schedule

__all__ = ["Environment"]


class Environment(simpy.Environment):
    """A SimPy environment whose clock and queue are those of a schedule. `before` is called before each event."""

    def __init__(self, schedule: Schedule, before: Callable[[], object] = bool) -> None:
        self._schedule, self._before = schedule, before
        super().__init__(schedule.now)

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self._schedule.now

    def schedule(self, event: simpy.Event, priority: Any = NORMAL, delay: float = 0) -> None:
        schedule = self._schedule
        heappush(schedule.queue, (schedule.now + delay, priority, schedule.next_key(), self._process, event))

    def _process(self, event: Any) -> None:
        """What SimPy's step() does with an event that it took from the queue."""
        self._before()
        callbacks, event.callbacks = event.callbacks, None
        for callback in callbacks:
            callback(event)
        if not event._ok and not hasattr(event, "_defused"):
            error = event._value
            raise type(error)(*error.args) from error

    def peek(self) -> float:
        """When the next call is due, SimPy's or another; infinity where there is none."""
        return self._schedule.peek()

    def step(self) -> None:
        """The next call. Raises simpy.core.EmptySchedule."""
        if not self._schedule.step():
            raise EmptySchedule
