"""Virtual time, and what is to happen in it: a queue of bare calls, one tuple for one call at one point of time.

(when, priority, key, function, argument) is the cheapest event there can be. SimPy's events are calls in the same queue
(sim.network.environment), so that its processes run beside the nodes. A call cannot be taken back:
whoever schedules keeps a mark and ignores a stale one. Keys order what happens at the same time.

Wake-ups, of which most are overtaken by others or for timers that are cancelled, stand in a calendar (R. Brown,
Calendar Queues, CACM 31(10), 1988) until their page is turned to: the queue stays short, and what has become stale
never gets into it.

Knows no nodes. Tests: tests/sim/network/test_schedule.py.
"""

import math
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, Protocol

__all__ = ["Schedule", "Sleeper"]


PAGES_A_SECOND = 4  # a power of two, so that a time's page is exact
FAR = 1e9  # seconds; what is later, infinity too, is on no page


class Sleeper(Protocol):
    """Who is woken."""

    wake_at: float
    """When; infinity = not at all."""

    def wake(self) -> None:
        """The time of a wake-up has come; a stale one where `wake_at` is another time by now."""

    def asked(self) -> None:
        """The horizon has come, for which it was in `asking`: it may ask to be woken, later than that."""

    def still(self, when: float) -> bool:
        """Whether it has to be woken then; False where it need not, or has just asked for another time."""
        ...


class Schedule:
    """`random` draws the order of what happens at one time; else first come, first served.

    The hot paths push onto `queue` themselves: (when, 1, next_key(), function, argument).
    """

    __slots__ = ("_numbers", "_pages", "asking", "horizon", "next_key", "now", "queue")

    def __init__(self, random: Random | None = None) -> None:
        self.now = 0.0
        """Virtual seconds since the start."""
        self.queue: list[Any] = []
        self.next_key: Callable[[], int] = (count() if random is None else _shuffled(random)).__next__
        self.horizon = 0.0
        """Up to here all that will happen is in the queue."""
        self.asking: list[Sleeper] = []
        """Who is asked at the horizon when to be woken: what it would say before may be overtaken until then."""
        self._pages: dict[int, list[Any]] = {}
        self._numbers: list[int] = []

    def after(self, delay: float, function: Callable[[Any], object], argument: Any) -> None:
        """Call `function(argument)` in `delay` seconds."""
        heappush(self.queue, (self.now + delay, 1, self.next_key(), function, argument))

    def at(self, when: float, function: Callable[[Any], object], argument: Any) -> None:
        """Call `function(argument)` at `when`, which must not lie in the past."""
        heappush(self.queue, (when, 1, self.next_key(), function, argument))

    def wake(self, sleeper: Sleeper) -> None:
        """Call its `wake()` at its `wake_at`, which must not lie in the past."""
        when = sleeper.wake_at
        entry = (when, 1, self.next_key(), sleeper.__class__.wake, sleeper)
        if when < self.horizon or when > FAR:
            heappush(self.queue, entry)
            return
        number = int(when * PAGES_A_SECOND)
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = []
            heappush(self._numbers, number)
        page.append(entry)

    def look_ahead(self) -> bool:
        """Move the horizon: behind the queue's first call, or to the end of the next page. False: nothing is left."""
        queue, numbers = self.queue, self._numbers
        asking, self.asking = self.asking, []
        for sleeper in asking:
            sleeper.asked()
        if not (queue or numbers):
            return False
        first = queue[0][0] if queue else math.inf
        if not numbers and first > FAR:
            self.horizon = math.inf
        elif not numbers or first < numbers[0] / PAGES_A_SECOND:
            self.horizon = (int(first * PAGES_A_SECOND) + 1) / PAGES_A_SECOND
        else:
            number = heappop(numbers)
            self.horizon = (number + 1) / PAGES_A_SECOND
            for entry in self._pages.pop(number):
                if entry[4].still(entry[0]):
                    heappush(queue, entry)
        return True

    def peek(self) -> float:
        """When the next call is due; infinity where there is none."""
        while not self.queue or self.queue[0][0] >= self.horizon:
            if not self.look_ahead():
                return math.inf
            if self.horizon == math.inf:
                break
        return self.queue[0][0]  # type: ignore[no-any-return]

    def step(self) -> bool:
        """The next call; False where there is none."""
        if self.peek() == math.inf and not self.queue:
            return False
        self.now, _, _, function, argument = heappop(self.queue)
        function(argument)
        return True


def _shuffled(random: Random) -> Iterator[int]:
    """Keys in random order, never equal: events of one time are processed in the order of their keys."""
    draw = random.getrandbits
    for number in count():
        yield draw(32) << 64 | number
