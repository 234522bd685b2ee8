"""One direction of an edge that has a bandwidth: when the last byte of a packet has left, and which find no room.

Knows times and sizes. Knows no machines, no routes and no randomness. Tests: tests/sim/network/test_formulas.py and
test_network.py.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import islice
from operator import itemgetter

from sim.network.link import Link

__all__ = ["Wire"]

MANY_SPANS = 64
"""So many spans of time are kept of a wire before those of the past are looked for."""


class Wire:
    """One direction of an edge that has a bandwidth: what passes waits for what went before, whoever sent it.

    A packet takes its time on each wire of its way when it is sent. One that is sent later, from nearby, may be at a
    wire before it, and goes first where there is room: so what passes is kept as spans of time, of which the last is
    the only one in most networks.
    """

    __slots__ = ("_taken", "bandwidth", "queue")

    def __init__(self) -> None:
        self._taken: list[list[float]] = [[-math.inf, -math.inf]]
        """From when to when it is taken: in order, apart from each other, those of the past left out at times."""

    def set(self, link: Link) -> Wire:
        # Half a byte more, as times are not exact.
        self.bandwidth, self.queue = link.bandwidth or 0.0, link.queue + 0.5
        return self

    def take(self, now: float, at: float, size: int, again: float | None) -> float | None:
        """When the last byte has left of what comes `at` that time; None where more than `queue` bytes wait already.

        With `again` it comes anew then, so many seconds later, and waits for as long as it takes.
        """
        last = self._taken[-1]
        first, end = last
        if at >= first:
            start = end if end > at else at
            if (start - at) * self.bandwidth <= self.queue:
                left = start + size / self.bandwidth
                if start == end:
                    last[1] = left
                elif end <= now:
                    last[0], last[1] = start, left
                else:
                    if len(self._taken) > MANY_SPANS:
                        self._forget(now)
                    self._taken.append([start, left])
                return left
        seconds = size / self.bandwidth
        start = self._room(now, at, seconds)
        if (start - at) * self.bandwidth > self.queue:
            if again is None:
                return None
            start = self._room(now, at + again, seconds)
        self._put(start, start + seconds)
        return start + seconds

    def _room(self, now: float, at: float, seconds: float) -> float:
        """The first moment from then on at which it is free for so long."""
        self._forget(now)
        start, taken = at, self._taken
        for first, end in islice(taken, max(0, bisect_right(taken, at, key=itemgetter(0)) - 1), None):
            if start + seconds <= first:
                break
            start = max(start, end)
        return start

    def _forget(self, now: float) -> None:
        """What is past, but for the last."""
        taken = self._taken
        del taken[: min(bisect_right(taken, now, key=itemgetter(1)), len(taken) - 1)]

    def _put(self, start: float, end: float) -> None:
        taken = self._taken
        index = bisect_right(taken, start, key=itemgetter(0))
        if index and taken[index - 1][1] >= start:
            index -= 1
            taken[index][1] = end
        else:
            taken.insert(index, [start, end])
        if index + 1 < len(taken) and taken[index + 1][0] <= end:
            taken[index][1] = taken.pop(index + 1)[1]
