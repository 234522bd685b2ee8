"""The order in which a member probes the others: shuffled round robin (SWIM §4.3).

Each pass goes over all others once, in an order shuffled anew; a newcomer is put in at a random place. So two probes of
one target by one member are at most 2n - 1 periods apart.
"""

from collections.abc import Callable
from random import Random

__all__ = ["Ring"]

TRIES = 4
"""Draws for each one wanted, when a few are picked of many."""


class Ring:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._names: list[str] = []
        self._known: dict[str, None] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._names)

    def add(self, name: str) -> None:
        if name in self._known:
            return
        self._known[name] = None
        place = int(self._random.random() * (len(self._names) + 1))
        self._names.insert(place, name)
        if place < self._next:
            self._next += 1

    def next(self, is_up: Callable[[str], bool]) -> str | None:
        """The next one that is up; those that are not are taken out on the way."""
        while self._names:
            if self._next >= len(self._names):
                self._random.shuffle(self._names)
                self._next = 0
            name = self._names[self._next]
            if is_up(name):
                self._next += 1
                return name
            del self._names[self._next], self._known[name]
        return None

    def sample(self, count: int, fits: Callable[[str], bool]) -> list[str]:
        """Up to `count` different ones that fit, at random."""
        chosen: dict[str, None] = {}
        names, random = self._names, self._random
        if len(names) <= TRIES * count:
            for name in random.sample(names, len(names)):
                if len(chosen) < count and fits(name):
                    chosen[name] = None
            return list(chosen)
        for _ in range(TRIES * count):  # a few of many: no need to shuffle them all
            name = names[int(random.random() * len(names))]
            if len(chosen) < count and name not in chosen and fits(name):
                chosen[name] = None
        return list(chosen)
