"""The order in which a member probes the others, and draws among them.

Two orders. *Shuffled* round robin (SWIM §4.3): each pass goes over all others once, in an order shuffled anew; a
newcomer is put in at a random place. *Shared*: the members stand in a circle, in the order of a hash of (name, run); in
epoch e each probes the one that stands o(e) places on, o being a permutation of 1 … n - 1 that all derive from the
cluster's name. Then everybody is probed exactly once a period, where independent orders leave one in three unprobed.

Nothing must be agreed on for that to be safe: those whose tables or epochs differ probe at another offset, which is no
worse than a random one. In both orders two probes of one target by one member are at most 2n - 1 periods apart. Beside
them *random*, which the papers compute with: any target, each time anew.

Tests: tests/rpcnet/cluster/swim/test_ring.py.
"""

from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from random import Random

__all__ = ["Ring"]

TRIES = 4
"""Draws for each one wanted, when a few are picked of many."""


class Ring:
    """All others that are up. `label` names the shared order: it is another for another cluster."""

    def __init__(self, random: Random, order: str = "shuffled", label: str = "") -> None:
        self._random, self._order, self._label = random, order, label
        self._is_shared = order == "shared"
        self._names: list[str] = []
        self._places: dict[str, int] = {}
        """Each one's place in the circle."""
        self._circle: list[tuple[int, str]] = []
        self._is_sorted = True
        """Whether the circle is in order; many may come before it is asked for."""
        self._stood: tuple[int, int] | None = None
        """Our place when it was last asked for, and how many stand before it; None = others have come or gone since."""
        self._next = 0

    def __len__(self) -> int:
        return len(self._names)

    def add(self, name: str, place: int = 0) -> None:
        """It is up; `place` is that of its present run."""
        if name in self._places:
            if self._places[name] == place:
                return
            self.remove(name)
        self._places[name] = place
        if self._is_shared:
            self._circle.append((place, name))
            self._is_sorted, self._stood = False, None
            self._names.append(name)
            return
        at = int(self._random.random() * (len(self._names) + 1))
        self._names.insert(at, name)
        if at < self._next:
            self._next += 1

    def remove(self, name: str) -> None:
        """It is down."""
        place = self._places.pop(name, None)
        if place is None:
            return
        at = self._names.index(name)
        del self._names[at]
        if at < self._next:
            self._next -= 1
        if self._is_shared:
            self._circle.remove((place, name))
            self._stood = None

    def next(self, epoch: int, my_place: int) -> str | None:
        """Whom we, at that place, probe in this epoch."""
        if not self._names:
            return None
        if self._is_shared:
            circle = self._circle
            offset = offset_in(self._label, epoch, len(circle))
            # We stand before the first one whose place is not below ours.
            return circle[(self._before(my_place) + offset - 1) % len(circle)][1]
        if self._order == "random":
            return self._random.choice(self._names)
        if self._next >= len(self._names):
            self._random.shuffle(self._names)
            self._next = 0
        self._next += 1
        return self._names[self._next - 1]

    def _before(self, my_place: int) -> int:
        if not self._is_sorted:
            self._circle.sort()
            self._is_sorted = True
        if self._stood is None or self._stood[0] != my_place:
            self._stood = my_place, bisect_left(self._circle, (my_place, ""))
        return self._stood[1]

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


def offset_in(label: str, epoch: int, others: int) -> int:
    """How many places on, 1 to `others`: each once in so many epochs, in an order of their own."""
    turn, at = divmod(epoch, others)
    return _offsets(label, turn, others)[at]


@lru_cache(maxsize=64)
def _offsets(label: str, turn: int, others: int) -> tuple[int, ...]:
    def rank(offset: int) -> bytes:
        return blake2b(f"{label} {others} {turn} {offset}".encode(), digest_size=8).digest()

    return tuple(sorted(range(1, others + 1), key=rank))
