"""Counting by time when nobody knows how long the run will be, and percentiles without keeping a value.

`Bins` starts with narrow bins and doubles their width whenever there would be too many: memory is bounded, and one pass
is enough. A value (a latency) is kept as the number of a logarithmic bucket, 5 % wide, so a percentile read from the
counts is within 2.5 % of the true one. Knows no events and no figures.

Tests: tests/sim/report/test_bins.py.
"""

import math
from collections.abc import Hashable, Iterable, Mapping

__all__ = ["Bins", "bucket", "percentile"]

Cell = dict[Hashable, int]

NARROWEST = 2.0**-10
"""Seconds. Powers of two, so that doubling gives widths a reader knows: 1/4, 1/2, 1, 2 …"""
_BUCKETS_PER_E = 1 / math.log(1.05)
_SMALLEST = 1e-9


class Bins:
    """How often each key occurred, by time. At most `limit` bins, all of one `width` (seconds)."""

    def __init__(self, limit: int) -> None:
        self.limit, self.width = limit, NARROWEST
        self._cells: dict[int, Cell] = {}
        self._low = self._high = 0

    def add(self, time: float, key: Hashable, amount: int = 1) -> None:
        index = math.floor(time / self.width)
        cell = self._cells.get(index)
        if cell is None:
            cell = self._cell(time)
        cell[key] = cell.get(key, 0) + amount

    def fit(self, seconds: float) -> None:
        """Make bins as wide as a run of so many seconds needs: two events in it are no burst of thousands a second."""
        while self.width * self.limit < seconds:
            self._widen()

    def series(self, key: Hashable) -> list[tuple[float, int]]:
        """(start of the bin, count) of every bin between the first and the last, empty ones included."""
        if not self._cells:
            return []
        return [(i * self.width, self._cells.get(i, {}).get(key, 0)) for i in range(self._low, self._high + 1)]

    def cells(self) -> list[tuple[float, Cell]]:
        """(start of the bin, counts by key) of the bins in which something occurred, in order of time."""
        return [(i * self.width, self._cells[i]) for i in sorted(self._cells)]

    def total(self) -> Cell:
        """The counts of the whole run."""
        return _sum(self._cells.values())

    def _cell(self, time: float) -> Cell:
        index = math.floor(time / self.width)
        if not self._cells:
            self._low = self._high = index
        while max(self._high, index) - min(self._low, index) >= self.limit:
            self._widen()
            index = math.floor(time / self.width)
        self._low, self._high = min(self._low, index), max(self._high, index)
        return self._cells.setdefault(index, {})

    def _widen(self) -> None:
        self.width *= 2
        narrow, self._cells = self._cells, {}
        for index, cell in narrow.items():
            wide = self._cells.get(index >> 1)
            self._cells[index >> 1] = cell if wide is None else _sum((wide, cell))
        self._low, self._high = self._low >> 1, self._high >> 1


def bucket(seconds: float) -> int:
    """The bucket that a duration falls into."""
    return math.floor(math.log(max(seconds, _SMALLEST)) * _BUCKETS_PER_E)


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """The duration (seconds) that `share` of the counted ones do not exceed; None where nothing was counted."""
    rank = share * sum(counts.values())
    seen = 0
    for number in sorted(counts):
        seen += counts[number]
        if seen >= rank:
            return math.exp((number + 0.5) / _BUCKETS_PER_E)
    return None


def _sum(cells: Iterable[Cell]) -> Cell:
    total: Cell = {}
    for cell in cells:
        for key, amount in cell.items():
            total[key] = total.get(key, 0) + amount
    return total
