"""One call at one point of virtual time, as one SimPy event, and the order of calls at the same time.

This is the cheapest event that SimPy's own step() accepts (a process with one time-out costs five times as much). A
scheduled call cannot be taken back: whoever schedules keeps a mark and ignores a stale one.
"""

from collections.abc import Callable, Iterator
from heapq import heappush
from itertools import count
from random import Random
from typing import Any

import simpy

__all__ = ["Call", "Schedule"]


class Call(simpy.Event):
    """Calls `function(argument)` when its time comes."""

    __slots__ = ("argument", "function")
    # What SimPy asks of an event that it processes; `callbacks` it takes and clears.
    _ok = True
    _value = None

    def __init__(self, function: Callable[[Any], object], argument: Any) -> None:
        self.function = function
        self.argument = argument

    @property
    def callbacks(self) -> Any:
        return [lambda _: self.function(self.argument)]

    @callbacks.setter
    def callbacks(self, value: object) -> None:
        pass


class Schedule:
    """Puts calls into an environment's queue. `tie_break` orders those of one time: "fifo", or "random" by the seed."""

    def __init__(self, environment: simpy.Environment, random: Random | None = None) -> None:
        self.environment = environment
        if random is not None:
            environment._eid = _shuffled(random)  # type: ignore[assignment]
        self._queue: list[Any] = environment._queue
        self._next: Callable[[], int] = environment._eid.__next__

    def after(self, delay: float, function: Callable[[Any], object], argument: Any) -> None:
        """Call `function(argument)` in `delay` seconds."""
        heappush(self._queue, (self.environment._now + delay, 1, self._next(), Call(function, argument)))

    def push(self, when: float, call: Call) -> None:
        """As `at`, with a call that is made already; one call may be pushed many times."""
        heappush(self._queue, (when, 1, self._next(), call))

    def at(self, when: float, function: Callable[[Any], object], argument: Any) -> None:
        """Call `function(argument)` at `when`, which must not lie in the past."""
        heappush(self._queue, (when, 1, self._next(), Call(function, argument)))


def _shuffled(random: Random) -> Iterator[int]:
    """Keys in random order, never equal: events of one time are processed in the order of their keys."""
    draw = random.getrandbits
    for number in count():
        yield draw(32) << 64 | number
