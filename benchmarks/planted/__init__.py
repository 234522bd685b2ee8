"""Small programs with a bug of order or of time, each with its repaired twin, for benchmarks/races.py.

Each is a coroutine function that runs on one simulated node, takes whether it is repaired, and returns whether the bug
struck. First come, first served never finds one of them where steps take no time. Tests:
tests/benchmarks/test_planted.py.
"""

from collections.abc import Awaitable, Callable

__all__ = ["Program"]

Program = Callable[[bool], Awaitable[bool]]
