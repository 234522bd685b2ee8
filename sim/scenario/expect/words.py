"""The few phrases that all expectations say alike: seconds, names, counts, percentiles.

Tests: tests/sim/scenario/expect/test_words.py.
"""

import math
from collections.abc import Iterable, Sequence

__all__ = ["count", "names", "percentile", "seconds"]

_SHOWN = 5


def seconds(time: float) -> str:
    """`6.42 s`: at most three decimals, no trailing zeros."""
    rounded = round(time, 3) + 0.0  # no "-0"
    return f"{rounded:.3f}".rstrip("0").rstrip(".") + " s"


def names(of: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`, `a, b, c, d, e and 7 more`."""
    every = list(of)
    if len(every) > _SHOWN + 1:
        return f"{', '.join(every[:_SHOWN])} and {len(every) - _SHOWN} more"
    return " and ".join(filter(None, (", ".join(every[:-1]), *every[-1:])))


def count(number: int, noun: str) -> str:
    """`1 stream`, `3 streams`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values do not exceed (nearest rank); NaN of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan
