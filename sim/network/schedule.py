"""SimPy's environment with a queue that takes bare calls: one tuple, one call at one point of virtual time.

(when, priority, key, function, argument) is the cheapest event there can be; SimPy's own events are calls of `process`
in the same queue, so that processes run beside the nodes. A call cannot be taken back: whoever schedules keeps a mark
and ignores a stale one. Keys order what happens at the same time.
"""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any

import simpy
from simpy.core import EmptySchedule
from simpy.events import NORMAL

__all__ = ["Schedule", "process"]


class Schedule(simpy.Environment):
    """A SimPy environment. `tie_break` orders what happens at one time: "fifo", or "random" by the seed.

    The hot paths push onto `queue` themselves: (when, 1, next_key(), function, argument).
    """

    _now: float

    def __init__(self, random: Random | None = None) -> None:
        super().__init__(0.0)
        if random is not None:
            self._eid = _shuffled(random)  # type: ignore[assignment]
        self.queue: list[Any] = self._queue
        self.next_key: Callable[[], int] = self._eid.__next__

    def after(self, delay: float, function: Callable[[Any], object], argument: Any) -> None:
        """Call `function(argument)` in `delay` seconds."""
        heappush(self.queue, (self._now + delay, 1, self.next_key(), function, argument))

    def at(self, when: float, function: Callable[[Any], object], argument: Any) -> None:
        """Call `function(argument)` at `when`, which must not lie in the past."""
        heappush(self.queue, (when, 1, self.next_key(), function, argument))

    # What SimPy's events and its run() call.

    def schedule(self, event: simpy.Event, priority: Any = NORMAL, delay: float = 0) -> None:
        heappush(self.queue, (self._now + delay, priority, self.next_key(), process, event))

    def step(self) -> None:
        """The next call. Raises simpy.core.EmptySchedule."""
        if not self.queue:
            raise EmptySchedule
        self._now, _, _, function, argument = heappop(self.queue)
        function(argument)


def process(event: Any) -> None:
    """What SimPy's step() does with an event that it took from the queue."""
    callbacks, event.callbacks = event.callbacks, None
    for callback in callbacks:
        callback(event)
    if not event._ok and not hasattr(event, "_defused"):
        error = event._value
        raise type(error)(*error.args) from error


def _shuffled(random: Random) -> Iterator[int]:
    """Keys in random order, never equal: events of one time are processed in the order of their keys."""
    draw = random.getrandbits
    for number in count():
        yield draw(32) << 64 | number
