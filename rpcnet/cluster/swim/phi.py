"""How unusual the present silence of each member is: phi accrual (Hayashibara et al., SRDS 2004).

A figure for people and plots; it judges nobody. Fed by every datagram of a member. phi = -log10 of the probability that
a silence as long as this one is followed by a sign of life after all, the gaps being taken for normally distributed: 1
is one in ten, 8 one in a hundred million. Where the paper keeps a window of the last gaps, mean and variance are
weighted here, so that a member takes the same few numbers for ever. Knows no message and no table.

Tests: tests/rpcnet/cluster/swim/test_phi.py.
"""

from collections.abc import Container
from dataclasses import dataclass
from math import erfc, log, log10, pi, sqrt

__all__ = ["Phi"]

WEIGHED = 100
"""The last so many gaps count, more or less."""
LEAST = 3
"""Gaps before there is a figure."""
STEADY = 0.25
"""The least deviation, as a share of the mean: a few even gaps do not prove that the next one will be."""
FAR = 25.0
"""Beyond it erfc is too close to 0 for a float; then its first asymptotic term is the whole of it."""


@dataclass(slots=True)
class _Gaps:
    run: int
    last: float
    count: int = 0
    mean: float = 0.0
    variance: float = 0.0


class Phi:
    """Of all members that this one hears. O(1) for each datagram."""

    def __init__(self, shortest: float) -> None:
        """Gaps below `shortest` are none: several datagrams belong to one sign of life."""
        self._shortest = shortest
        self._gaps: dict[str, _Gaps] = {}

    def heard(self, name: str, run: int, now: float) -> None:
        gaps = self._gaps.get(name)
        if gaps is None or gaps.run != run:
            self._gaps[name] = _Gaps(run, now)
            return
        gap, gaps.last = now - gaps.last, now
        if gap < self._shortest:
            return
        gaps.count += 1
        weight = 1 / min(gaps.count, WEIGHED)
        off = gap - gaps.mean
        gaps.mean += weight * off
        gaps.variance = (1 - weight) * (gaps.variance + weight * off * off)

    def of(self, name: str, now: float) -> float | None:
        """None where too little was heard yet."""
        gaps = self._gaps.get(name)
        if gaps is None or gaps.count < LEAST:
            return None
        deviation = max(sqrt(gaps.variance), STEADY * gaps.mean)
        far = (now - gaps.last - gaps.mean) / deviation / sqrt(2)
        if far > FAR:
            return far * far / log(10) + log10(2 * far * sqrt(pi))
        return -log10(erfc(far) / 2)

    def keep(self, names: Container[str]) -> None:
        """Forget all others."""
        self._gaps = {name: gaps for name, gaps in self._gaps.items() if name in names}
