"""Leaving: our own word that we go, told to enough others, before we do.

A few members are told directly, again each round until they acknowledge; the rest hear it from them by gossip. It is
over when all that were told have acknowledged or are gone; or, once somebody has, after some rounds; or when its time
is up. Knows no packet.
"""

from collections.abc import Callable

__all__ = ["ROUNDS", "Farewell"]

ROUNDS = 5
"""After so many rounds a leave is told well enough, if anybody has acknowledged it."""


class Farewell:
    def __init__(self, told: list[str], until: float) -> None:
        self._waiting: dict[str, int] = dict.fromkeys(told, -1)
        """Those that have not acknowledged, with the sequence of their last ping."""
        self._until = until
        self._rounds = self._acks = 0

    def acked(self, sequence: int) -> None:
        for name in [name for name, sent in self._waiting.items() if sent == sequence]:
            del self._waiting[name]
            self._acks += 1

    def is_over(self, is_up: Callable[[str], bool], now: float) -> bool:
        for name in [name for name in self._waiting if not is_up(name)]:
            del self._waiting[name]
        told = self._rounds >= ROUNDS and self._acks > 0
        return not self._waiting or told or now >= self._until

    def next_round(self, sequence: Callable[[], int]) -> list[tuple[str, int]]:
        """Whom to ping now, with which sequence."""
        self._rounds += 1
        for name in self._waiting:
            self._waiting[name] = sequence()
        return list(self._waiting.items())
