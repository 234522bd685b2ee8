"""SimPy's processes, events and resources in the virtual time of a schedule, beside the nodes."""

from heapq import heappush
from typing import Any

import simpy
from simpy.core import EmptySchedule
from simpy.events import NORMAL

from sim.network.schedule import Schedule, process

__all__ = ["Environment"]


class Environment(simpy.Environment):
    """A SimPy environment whose clock and queue are those of a schedule."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        super().__init__(schedule.now)

    @property
    def now(self) -> float:
        """Virtual seconds since the start."""
        return self._schedule.now

    def schedule(self, event: simpy.Event, priority: Any = NORMAL, delay: float = 0) -> None:
        schedule = self._schedule
        heappush(schedule.queue, (schedule.now + delay, priority, schedule.next_key(), process, event))

    def peek(self) -> float:
        """When the next call is due, SimPy's or another; infinity where there is none."""
        return self._schedule.peek()

    def step(self) -> None:
        """The next call. Raises simpy.core.EmptySchedule."""
        if not self._schedule.step():
            raise EmptySchedule
