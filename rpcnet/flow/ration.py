"""A ration: so many at once, then so many a second. What keeps a peer from opening and letting go without end.

Counting open streams alone lets a client start handlers as fast as it can cancel them (HTTP/2 "rapid reset",
CVE-2023-44487). Knows no clock: `now` is an argument.

Tests: tests/rpcnet/flow/test_ration.py.
"""

__all__ = ["Ration"]


class Ration:
    """A bucket of `burst` pieces that is filled up again by `rate` pieces a second."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, burst: int, rate: float, now: float) -> None:
        self._burst = burst
        self._rate = rate
        self._left = float(burst)
        self._at = now

    def take(self, now: float) -> bool:
        """Take one piece; False where none is left."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
