"""Deadlines by key, earliest first; equal ones in the order in which they were set.

A deadline that was moved or cancelled leaves a stale entry in the heap; it is dropped when it comes first, and the heap
is rebuilt when more than half of it is stale. Knows no clock: times are numbers.
"""

from heapq import heapify, heappop, heappush
from math import inf
from typing import Generic, TypeVar

__all__ = ["Timers"]

Key = TypeVar("Key")
_SPARE = 16
"""Stale entries that are not worth a rebuild."""


class Timers(Generic[Key]):
    def __init__(self) -> None:
        self.earliest = inf
        """The earliest deadline; infinity where there is none. It is asked for far more often than it changes."""
        self._heap: list[tuple[float, int, Key]] = []
        """The first one is never stale."""
        self._current: dict[Key, tuple[float, int, Key]] = {}
        self._count = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._current

    def __len__(self) -> int:
        return len(self._current)

    def set(self, key: Key, at: float) -> None:
        """Set the deadline of `key`, or move it."""
        self._count += 1
        held = self._current.get(key)
        entry = self._current[key] = (at, self._count, key)
        heappush(self._heap, entry)
        if at < self.earliest:
            self.earliest = at
        elif held is not None:
            self._left_behind(held[0])

    def cancel(self, key: Key) -> None:
        """Forget the deadline of `key`, where there is one."""
        held = self._current.pop(key, None)
        if held is not None:
            self._left_behind(held[0])

    def clear(self) -> None:
        self._current.clear()
        self._settle()

    def pop(self) -> Key:
        """Take the key whose deadline is the earliest."""
        key = heappop(self._heap)[2]
        del self._current[key]
        self._settle()
        return key

    def _left_behind(self, at: float) -> None:
        """One more entry is stale."""
        if at == self.earliest:
            self._settle()
        elif len(self._heap) > 2 * len(self._current) + _SPARE:
            self._heap = list(self._current.values())
            heapify(self._heap)

    def _settle(self) -> None:
        heap, current = self._heap, self._current
        while heap and current.get(heap[0][2]) is not heap[0]:
            heappop(heap)
        self.earliest = heap[0][0] if heap else inf
