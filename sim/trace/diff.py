"""Where two traces part: the first event that differs.

Reads both lazily; memory does not grow with their length.
"""

from collections.abc import Iterable
from itertools import zip_longest
from typing import NamedTuple

from sim.trace.event import Event

__all__ = ["Difference", "first_difference"]


class Difference(NamedTuple):
    """The same line of two traces; None where one of them had ended before."""

    line: int
    one: Event | None
    other: Event | None


def first_difference(one: Iterable[Event], other: Iterable[Event]) -> Difference | None:
    """The first event that is not the same in both, or None."""
    for line, (a, b) in enumerate(zip_longest(one, other), 1):
        if a != b:
            return Difference(line, a, b)
    return None
