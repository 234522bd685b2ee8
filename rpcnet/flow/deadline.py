"""Deadlines and late timers, as arithmetic over times that are given.

A deadline travels as remaining microseconds, so that two clocks never meet. A timer that fires late is no evidence:
what has already arrived is taken in first. asyncio reads at most 256 KiB a turn, so a verdict waits until a turn has
brought nothing new, but not for ever (`late_timer_grace`): a flood must not postpone it.

Tests: tests/rpcnet/flow/test_deadline.py.
"""

from typing import Final

__all__ = ["Patience", "at", "earliest", "micros_left", "seconds"]

INFINITE: Final = float("inf")
MAX_MICROS: Final = 2**63


def micros_left(deadline: float | None, now: float) -> int:
    """What OPEN carries: at least 1 where there is a deadline, 0 where there is none."""
    if deadline is None:
        return 0
    micros = (deadline - now) * 1e6  # infinite where the deadline is the largest of floats
    return MAX_MICROS if micros >= MAX_MICROS else max(1, int(micros))


def seconds(name: str, value: float | None) -> float | None:
    """A number of seconds that a user gave; None = no limit, and so is infinity. TypeError, ValueError for NaN."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number of seconds or None, not {value!r}")
    try:
        value = float(value)
    except OverflowError:  # an int beyond what a float holds
        return None if value > 0 else -INFINITE
    if value < INFINITE:
        return value
    if value == INFINITE:
        return None
    raise ValueError(f"{name} must be a number of seconds or None, not {value!r}")


def at(micros: int, now: float) -> float | None:
    """The deadline, on this end's clock, of a call that came with so many microseconds left."""
    return None if micros == 0 else now + micros / 1e6


def earliest(first: float | None, second: float | None) -> float | None:
    """The nearer of two deadlines; None is no deadline."""
    if first is None:
        return second
    return first if second is None or first < second else second


class Patience:
    """Asked once a turn after a timer has fired: is it time to judge?

    In asyncio a callback that was scheduled in one turn runs in the next *before* what that turn reads. So it takes two
    questions with the same answer to know that a whole turn has brought nothing.
    """

    __slots__ = ("_quiet", "_reads", "_until")

    def __init__(self, reads: int, now: float, grace: float) -> None:
        self._reads = reads
        self._quiet = 0
        self._until = now + grace

    def is_over(self, reads: int, now: float) -> bool:
        """`reads` counts what the connection has read so far."""
        self._quiet = self._quiet + 1 if reads == self._reads else 0
        self._reads = reads
        return self._quiet == 2 or now >= self._until
