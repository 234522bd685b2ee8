"""What a program takes of virtual time by working: nothing, until it works long without waiting.

A turn of an event loop takes no virtual time, nor does a look at the clock, so that an hour of a real cluster is
simulated in seconds. But a program that polls with `sleep(0)` until a timer fires, or spins until the clock shows
something, waits for time to pass, and on a real machine it does. So from the FREE_TURNS-th turn, or FREE_LOOKS-th look,
at one instant on each takes time: at first as much as on a real machine, for half a second of turns, which is work that
ends; then a share of what has passed since, so that a minute is over after some 300,000 of them. One that goes on for
an hour of virtual time will never end.

`loop.time` is asked far more often, by asyncio itself: it counts by itself, and asks here once that is much.

Knows no loop. Machines whose every step takes time: sim.kernel.processor. Tests: tests/sim/kernel/test_work.py.
"""

__all__ = ["FREE_LOOKS", "FREE_TURNS", "MAX_SECONDS", "Work"]

FREE_TURNS = 10_000
FREE_LOOKS = 10_000
TURN, LOOK = 10e-6, 0.1e-6
"""Seconds that each takes from then on, …"""
SHARE = 2e-5
"""… or this share of the time since."""
MAX_SECONDS = 3600.0
"""Longer no program works without waiting for anything."""


class Work:
    """Of one node."""

    __slots__ = ("_instant", "_looked", "_looks", "_since", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        """Processor time, as time.process_time shows it. What steps take (sim.kernel.processor) the loop adds."""
        self._since: float | None = None
        self._instant, self._looks, self._looked = -1.0, 0, 0.0

    def turn(self, now: float) -> float:
        """Seconds that a turn takes, of so many without a wait; infinity where it is more than can be."""
        if self._since is None:
            self._since = now
        return self._cost(TURN, self.spent(now))

    def went_on(self, turns: int, now: float) -> float:
        """As `turn`, where the time of its steps has been counted already, after so many: each may take long."""
        if self._since is None:
            self._since = now
        return float("inf") if turns > FREE_TURNS and self.spent(now) > MAX_SECONDS else 0.0

    def spent(self, now: float) -> float:
        """Seconds for which it has run turns without a wait, since they take time."""
        return 0.0 if self._since is None else now - self._since

    def rest(self) -> None:
        """It waits, or sleeps."""
        self._since = None
        self._looks, self._looked = 0, 0.0

    def look(self, now: float) -> float:
        """Seconds that a look at the clock takes; as `turn`."""
        if now != self._instant:
            self._instant, self._looks, self._looked = now, 0, 0.0
        self._looks += 1
        if self._looks <= FREE_LOOKS:
            return 0.0
        cost = self._cost(LOOK, self._looked)
        self._looked += cost
        return cost

    def _cost(self, least: float, spent: float) -> float:
        if spent > MAX_SECONDS:
            return float("inf")
        cost = max(least, SHARE * spent)
        self.seconds += cost
        return cost
