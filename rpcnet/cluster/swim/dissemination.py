"""What is still to be told to others: updates that ride on datagrams, each so many times.

Piggyback dissemination as in SWIM §4.1: an update is sent λ·log n times, those sent least go first, the newest among
equals first, and a newer update about the same thing replaces the older one. Knows no message: bytes by key.
"""

from math import ceil, log10

from msgspec import Raw

__all__ = ["Dissemination", "transmissions"]

Key = tuple[str, str]
"""(kind, name of the member): a newer one replaces the older."""
_SMALLEST = 6
"""No update is shorter than this many bytes: with less room there is nothing to look for."""


def transmissions(multiplier: int, members: int) -> int:
    """How often an update is sent: multiplier * ceil(log10(n + 1))."""
    return max(1, multiplier * ceil(log10(members + 1)))


class Dissemination:
    """`largest`: an update of more bytes fits into no packet of ours; it is left to push-pull."""

    def __init__(self, largest: int = 2**16) -> None:
        self._largest = largest
        # By times sent, then in order of arrival. Sets of levels are small: at most `transmissions` of them.
        self._levels: list[dict[Key, bytes]] = [{}]
        self._level_of: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._level_of)

    def add(self, key: Key, update: Raw) -> None:
        """Tell everybody `update`, instead of what was to be told under the same key."""
        self.drop(key)
        data = bytes(update)
        if len(data) <= self._largest:
            self._levels[0][key] = data
            self._level_of[key] = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._level_of

    def drop(self, key: Key) -> None:
        level = self._level_of.pop(key, None)
        if level is not None:
            del self._levels[level][key]

    def clear(self) -> None:
        self._levels = [{}]
        self._level_of.clear()

    def take(self, room: int, limit: int) -> list[Raw]:
        """Updates of at most `room` bytes in all, each counted as sent once more and dropped after `limit` times."""
        taken: list[tuple[int, Key, bytes]] = []
        for level, updates in enumerate(self._levels):
            if room < _SMALLEST:
                break
            for key in reversed(updates):
                if room < _SMALLEST:
                    break
                update = updates[key]
                if len(update) <= room:
                    room -= len(update)
                    taken.append((level, key, update))
        # Oldest first, so that the newest stays the newest on the next level.
        for level, key, update in reversed(taken):
            del self._levels[level][key]
            if level + 1 >= limit:
                del self._level_of[key]
                continue
            if level + 1 == len(self._levels):
                self._levels.append({})
            self._levels[level + 1][key] = update
            self._level_of[key] = level + 1
        return [Raw(update) for _, _, update in taken]
