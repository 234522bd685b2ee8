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


class Call(tuple[Callable[[Any], object], Any]):
    """(function, argument): calls `function(argument)` when its time comes.

    A tuple, as one is made for every message, that answers what SimPy's step() asks of an event.
    """

    __slots__ = ()
    _ok = True
    _value = None

    @property
    def callbacks(self) -> Any:
        function, argument = self
        return [lambda _: function(argument)]

    @callbacks.setter
    def callbacks(self, value: object) -> None:
        pass


class Schedule:
    """Puts calls into an environment's queue. `tie_break` orders those of one time: "fifo", or "random" by the seed."""

    def __init__(self, environment: simpy.Environment, random: Random | None = None) -> None:
        self.environment = environment
        if random is not None:
            environment._eid = _shuffled(random)  # type: ignore[assignment]
        # The hot paths push onto it themselves: (when, 1, next_key(), Call).
        self.queue: list[Any] = environment._queue
        self.next_key: Callable[[], int] = environment._eid.__next__

    def after(self, delay: float, function: Callable[[Any], object], argument: Any) -> None:
        """Call `function(argument)` in `delay` seconds."""
        heappush(self.queue, (self.environment._now + delay, 1, self.next_key(), Call((function, argument))))

    def at(self, when: float, function: Callable[[Any], object], argument: Any) -> None:
        """Call `function(argument)` at `when`, which must not lie in the past."""
        heappush(self.queue, (when, 1, self.next_key(), Call((function, argument))))


def _shuffled(random: Random) -> Iterator[int]:
    """Keys in random order, never equal: events of one time are processed in the order of their keys."""
    draw = random.getrandbits
    for number in count():
        yield draw(32) << 64 | number
