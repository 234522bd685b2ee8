"""When a fault strikes and how long it lasts: numbers of the file, or drawn from the seed out of a distribution.

Each of `at`, `for` and `every` draws from a source of its own, so that a distribution in one place changes nothing
elsewhere. What makes no sense is drawn again: a first strike after the run's end, a length of 0, a distance below
`LEAST_EVERY`. The check of a file (sim.scenario.check) sees to it that this is rare: at least half of what is drawn
makes sense. Knows no verb and no world.

Tests: tests/sim/scenario/test_times.py.
"""

import math
from collections.abc import Callable
from statistics import median_low
from typing import NamedTuple

from sim.network.latency import LogNormal, Normal, Pareto, Samples, Uniform, parse_latency
from sim.scenario.schema import Drawn
from sim.scenario.select import draws

__all__ = ["LEAST_EVERY", "Extent", "Times", "extent"]

LEAST_EVERY = 1e-3
"""Seconds from one strike of a fault to its next: fewer, and a run could stand still at one time for ever."""
TRIES = 1000
"""Draws until what makes no sense is taken all the same; with one chance in two each that never happens."""


class Extent(NamedTuple):
    """Where the values of a distribution lie, in seconds."""

    least: float
    middle: float
    """Half of them are below."""
    most: float
    """inf = there is no greatest."""


def extent(value: Drawn) -> Extent:
    """Of a number it is the number."""
    match parse_latency(value):
        case Uniform(low, high):
            return Extent(low, (low + high) / 2, high)
        case Samples(values):
            return Extent(min(values), median_low(values), max(values))
        case Normal(centre, _):
            return Extent(0.0, centre, math.inf)
        case LogNormal(median, _):
            return Extent(0.0, median, math.inf)
        case Pareto(least, alpha):
            return Extent(least, least * 2 ** min(1 / alpha, 1000), math.inf)
        case other:
            return Extent(other.mean, other.mean, other.mean)


class Times:
    """The times of one fault of a run, in the order in which they come: `at`, then `lasts` and `every` by turns."""

    def __init__(self, seed: int, index: int, *, at: Drawn, for_: Drawn | None, every: Drawn | None) -> None:
        self._at, self._for, self._every = (
            None if value is None else _Source(value, seed, f"fault {index} {key}")
            for key, value in (("at", at), ("for", for_), ("every", every))
        )
        self.drawn: dict[str, float] = {}
        """What was drawn for the present strike, by key; nothing where the file gives numbers."""

    def first(self, end: float) -> float:
        """When it strikes first, before the end of the run."""
        assert self._at is not None
        return self._keep("at", self._at, self._at.draw(lambda value: value < end))

    def lasts(self) -> float | None:
        """How long this strike lasts; None = it has no `for`."""
        return None if self._for is None else self._keep("for", self._for, self._for.draw(_positive))

    def next(self) -> float | None:
        """How long after the last strike the next one follows; None = there is none."""
        if self._every is None:
            return None
        self.drawn = {}
        return self._keep("every", self._every, self._every.draw(lambda value: value >= LEAST_EVERY))

    def _keep(self, key: str, source: "_Source", value: float) -> float:
        if not source.is_number:
            self.drawn[key] = value
        return value


class _Source:
    def __init__(self, value: Drawn, seed: int, purpose: str) -> None:
        self.is_number = not hasattr(value, "sampler")
        self._draw = parse_latency(value).sampler(draws(seed, purpose))

    def draw(self, makes_sense: Callable[[float], bool]) -> float:
        value = self._draw()
        for _ in range(0 if self.is_number else TRIES):
            if makes_sense(value):
                break
            value = self._draw()
        return value


def _positive(value: float) -> bool:
    return value > 0
