"""How long a packet is under way: distributions of latency, in seconds, and their text form.

A distribution is a value; `sampler(random)` binds it to a source of randomness and returns a function without
arguments, which is what the hot path calls. Values of this package are Structs, not dataclasses: defining one of those
takes half a millisecond, at each start of whatever imports the simulator. Formulas: docs/network-model.md. Knows no
links. Tests: tests/sim/network/test_latency.py.
"""

import math
import re
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Protocol

from msgspec import Struct

from sim.network.quantity import QuantityError, parse_seconds
from sim.network.spelling import did_you_mean

__all__ = [
    "Constant",
    "Distribution",
    "LogNormal",
    "Normal",
    "Pareto",
    "Samples",
    "Uniform",
    "parse_latency",
    "typical",
]


MAX_SIGMA = 10
"""One draw in a hundred is already ten thousand million times the median; soon after floats end."""


class Distribution(Protocol):
    """A distribution of durations."""

    @property
    def mean(self) -> float:
        """Expected value in seconds."""
        ...

    def sampler(self, random: Random) -> Callable[[], float]:
        """A function that draws one duration in seconds, never negative."""
        ...


class Constant(Struct, frozen=True):
    seconds: float

    def __post_init__(self) -> None:
        _check(seconds=self.seconds)

    @property
    def mean(self) -> float:
        return self.seconds

    def sampler(self, random: Random) -> Callable[[], float]:
        seconds = self.seconds
        return lambda: seconds


class Uniform(Struct, frozen=True):
    low: float
    high: float

    def __post_init__(self) -> None:
        _check(low=self.low, high=self.high)
        if self.low > self.high:
            raise QuantityError(f"uniform: low ({self.low:g} s) is above high ({self.high:g} s)")

    @property
    def mean(self) -> float:
        return (self.low + self.high) / 2

    def sampler(self, random: Random) -> Callable[[], float]:
        low, width, draw = self.low, self.high - self.low, random.random
        return lambda: low + width * draw()


class Normal(Struct, frozen=True):
    """Normal with mean and deviation; what would fall below zero is zero."""

    centre: float
    deviation: float

    def __post_init__(self) -> None:
        _check(mean=self.centre, deviation=self.deviation)

    @property
    def mean(self) -> float:
        """Of the distribution cut at zero: μΦ(μ/σ) + σφ(μ/σ)."""
        if self.deviation == 0:
            return self.centre
        z = self.centre / self.deviation
        below = 0.5 * math.erfc(-z / math.sqrt(2))
        return self.centre * below + self.deviation * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    def sampler(self, random: Random) -> Callable[[], float]:
        centre, deviation, draw = self.centre, self.deviation, random.gauss
        return lambda: max(0.0, draw(centre, deviation))


class LogNormal(Struct, frozen=True):
    """Median in seconds, sigma of the logarithm."""

    median: float
    sigma: float

    def __post_init__(self) -> None:
        _check(median=self.median, sigma=self.sigma)
        if self.median == 0:
            raise QuantityError("lognormal: the median must be above 0")
        if self.sigma > MAX_SIGMA:
            raise QuantityError(f"lognormal: sigma is at most {MAX_SIGMA}, not {self.sigma:g}")

    @property
    def mean(self) -> float:
        return self.median * math.exp(self.sigma**2 / 2)

    def sampler(self, random: Random) -> Callable[[], float]:
        mu, sigma, draw = math.log(self.median), self.sigma, random.lognormvariate
        return lambda: draw(mu, sigma)


class Pareto(Struct, frozen=True):
    """Least value in seconds, shape alpha; the mean is infinite for alpha ≤ 1."""

    least: float
    alpha: float

    def __post_init__(self) -> None:
        _check(least=self.least, alpha=self.alpha)
        if self.alpha == 0:
            raise QuantityError("pareto: alpha must be above 0")

    @property
    def mean(self) -> float:
        return math.inf if self.alpha <= 1 else self.alpha * self.least / (self.alpha - 1)

    def sampler(self, random: Random) -> Callable[[], float]:
        least, alpha, draw = self.least, self.alpha, random.paretovariate
        return lambda: least * draw(alpha)


class Samples(Struct, frozen=True):
    """Drawn with replacement from measured values, in seconds."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise QuantityError("samples: there are none")
        for value in self.values:
            _check(sample=value)

    @property
    def mean(self) -> float:
        return sum(self.values) / len(self.values)

    def sampler(self, random: Random) -> Callable[[], float]:
        values, draw = self.values, random.choice
        return lambda: draw(values)


def typical(distribution: Distribution) -> float:
    """What one would expect, in seconds: the mean, or where that is infinite the median of a thousand draws."""
    mean = distribution.mean
    if math.isfinite(mean):
        return mean
    draw = distribution.sampler(Random(0))
    return sorted(draw() for _ in range(1001))[500]


_CALL = r"[ \t]*(\w+)\((.*)\)[ \t]*"
_PLAIN = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_FORMS = (
    'a duration ("20ms"), "uniform(1ms, 5ms)", "normal(20ms, 3ms)", "lognormal(20ms, 0.4)", "pareto(10ms, 2.5)" '
    'or "samples(file.csv)"'
)


def parse_latency(value: "str | float | Distribution", what: str = "a latency") -> Distribution:
    """Text, seconds or a distribution → a distribution. Raises QuantityError, in which it is called `what`."""
    if not isinstance(value, str | float | int) and hasattr(value, "sampler"):
        return value
    match = re.fullmatch(_CALL, value) if isinstance(value, str) else None
    if not match:
        try:
            return Constant(parse_seconds(value))  # type: ignore[arg-type]  # it says what it was given
        except QuantityError as error:
            raise QuantityError(f"{error}; {what} is {_FORMS}") from None
    name, arguments = match[1], [part.strip(" \t") for part in match[2].split(",")]
    if name == "samples" and len(arguments) == 1:
        return _samples(arguments[0])
    if len(arguments) != 2 or name not in _MAKERS:
        hint = "" if name in _MAKERS else did_you_mean(name, [*_MAKERS, "samples"])
        raise QuantityError(f"{value!r} is not {what}; {hint}allowed: {_FORMS}")
    make, second = _MAKERS[name]
    return make(parse_seconds(arguments[0]), second(arguments[1]))


def _number(text: str) -> float:
    if not re.fullmatch(_PLAIN, text):
        raise QuantityError(f"{text!r} is not a plain number")
    return float(text)


_MAKERS: dict[str, tuple[Callable[[float, float], Distribution], Callable[[str], float]]] = {
    "uniform": (Uniform, parse_seconds),
    "normal": (Normal, parse_seconds),
    "lognormal": (LogNormal, _number),
    "pareto": (Pareto, _number),
}


def _samples(path: str) -> Samples:
    import csv

    try:
        with Path(path).open(newline="", encoding="utf-8") as file:
            cells = [cell.strip() for row in csv.reader(file) for cell in row]
    except OSError as error:
        raise QuantityError(f"samples: {path or 'a file without a name'}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise QuantityError(f"samples: {path} is no CSV file of durations: {error}") from error
    return Samples(tuple(parse_seconds(cell) for cell in cells if cell))


def _check(**values: float) -> None:
    for name, value in values.items():
        if not math.isfinite(value) or value < 0:
            raise QuantityError(f"{name} must be a finite number of at least 0, not {value!r}")
