"""Deadlines by key, earliest first; equal ones in the order in which they were set.

A deadline that was moved or cancelled leaves a stale entry in the heap; it is dropped when met, and the heap is rebuilt
when more than half of it is stale. Knows no clock: times are numbers.
"""

from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

__all__ = ["Timers"]

Key = TypeVar("Key")
_SPARE = 16
"""Stale entries that are not worth a rebuild."""


class Timers(Generic[Key]):
    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Key]] = []
        self._current: dict[Key, tuple[float, int, Key]] = {}
        self._count = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._current

    def __len__(self) -> int:
        return len(self._current)

    def set(self, key: Key, at: float) -> None:
        """Set the deadline of `key`, or move it."""
        self._count += 1
        entry = self._current[key] = (at, self._count, key)
        heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._current) + _SPARE:
            self._heap = list(self._current.values())
            heapify(self._heap)

    def cancel(self, key: Key) -> None:
        """Forget the deadline of `key`, where there is one."""
        self._current.pop(key, None)

    def clear(self) -> None:
        self._current.clear()
        self._heap.clear()

    def next(self) -> float | None:
        """The earliest deadline, or None."""
        heap, current = self._heap, self._current
        while heap and current.get(heap[0][2]) is not heap[0]:
            heappop(heap)
        return heap[0][0] if heap else None

    def pop_due(self, now: float) -> Key | None:
        """Take the earliest key whose deadline is not after `now`, or None."""
        at = self.next()
        if at is None or at > now:
            return None
        key = heappop(self._heap)[2]
        del self._current[key]
        return key
