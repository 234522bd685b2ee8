"""What is still to be told to others: updates that ride on datagrams, each so many times.

Piggyback dissemination as in SWIM §4.1: an update is sent λ·log n times, those sent least go first, the newest among
equals first, and a newer update about the same thing replaces the older one. Urgent ones (verdicts, refutations) go
before all others.

While many wait (a thousand join at once) what is not urgent is told less often, and hearing it from another counts as
telling it: rumours that everybody has heard die early (Demers et al., PODC 1987, feedback and counter). Whoever is
missed is repaired by table digests. Knows no message: bytes by key.
"""

from math import ceil, log10

__all__ = ["CROWD", "Dissemination", "transmissions"]

Key = tuple[str, str]
"""(kind, name of the member): a newer one replaces the older."""
CROWD = 32
"""So many updates fill two or three packets; when more wait, news comes in faster than it can be told."""
_SMALLEST = 6
"""No update is shorter than this many bytes: with less room there is nothing to look for."""
_MISSES = 8
"""After so many updates that do not fit a packet is full enough: looking on would walk the whole queue."""


def transmissions(multiplier: int, members: int) -> int:
    """How often an update is sent: multiplier * ceil(log10(n + 1))."""
    return max(1, multiplier * ceil(log10(members + 1)))


class Dissemination:
    """`largest`: an update of more bytes, `frame` included, fits into no packet of ours; it is left to push-pull.

    frame: what each takes in a packet beside its bytes. crowded: how often an update that is not urgent is told while
    more than CROWD wait; 0 = as often as ever.
    """

    def __init__(self, largest: int = 2**16, *, frame: int = 0, crowded: int = 0) -> None:
        self._largest, self._frame, self._crowded = largest - frame, frame, crowded
        # Urgent ones and others; of each by times sent, then in order of arrival.
        self._classes: tuple[list[dict[Key, bytes]], list[dict[Key, bytes]]] = ([{}], [{}])
        self._place: dict[Key, tuple[list[dict[Key, bytes]], int]] = {}
        """The class and the level of each."""

    def __len__(self) -> int:
        return len(self._place)

    @property
    def is_pressing(self) -> bool:
        """Whether something urgent waits that we have told nobody yet."""
        return bool(self._classes[0][0])

    @property
    def is_crowded(self) -> bool:
        return self._crowded > 0 and len(self._place) > CROWD

    def add(self, key: Key, update: bytes, *, urgent: bool = False) -> None:
        """Tell everybody `update`, instead of what was to be told under the same key."""
        self.drop(key)
        if len(update) <= self._largest:
            self._put(self._classes[not urgent], 0, key, update)

    def __contains__(self, key: Key) -> bool:
        return key in self._place

    def drop(self, key: Key) -> None:
        place = self._place.pop(key, None)
        if place is not None:
            levels, level = place
            del levels[level][key]

    def clear(self) -> None:
        self._classes = ([{}], [{}])
        self._place.clear()

    def heard(self, key: Key) -> None:
        """Another has told us the same."""
        place = self._place.get(key)
        if place is None or place[0] is self._classes[0] or not self.is_crowded:
            return
        levels, level = place
        self._sent(levels, level, key, levels[level][key], self._crowded)

    def take(self, room: int, limit: int | None) -> list[bytes]:
        """Updates of at most `room` bytes in all, each counted as sent once more and dropped after `limit` times.

        None = not counted: whoever gets them may not be there.
        """
        if not self._place:
            return []
        urgent, others = self._classes
        crowded = limit is not None and self.is_crowded
        taken = self._take(urgent, room, limit)
        room -= sum(map(len, taken)) + self._frame * len(taken)
        return taken + self._take(others, room, min(limit or 0, self._crowded) if crowded else limit)

    def _take(self, levels: list[dict[Key, bytes]], room: int, limit: int | None) -> list[bytes]:
        taken: list[tuple[int, Key, bytes]] = []
        misses = 0
        for level, updates in enumerate(levels):
            for key in reversed(updates):
                if room < _SMALLEST or misses > _MISSES:
                    break
                update = updates[key]
                size = len(update) + self._frame
                if size <= room:
                    room -= size
                    taken.append((level, key, update))
                else:
                    misses += 1
        # Oldest first, so that the newest stays the newest on the next level.
        if limit is not None:
            for level, key, update in reversed(taken):
                self._sent(levels, level, key, update, limit)
        return [update for _, _, update in taken]

    def _sent(self, levels: list[dict[Key, bytes]], level: int, key: Key, update: bytes, limit: int) -> None:
        del levels[level][key]
        if level + 1 >= limit:
            del self._place[key]
        else:
            self._put(levels, level + 1, key, update)

    def _put(self, levels: list[dict[Key, bytes]], level: int, key: Key, update: bytes) -> None:
        if level == len(levels):
            levels.append({})
        levels[level][key] = update
        self._place[key] = levels, level
