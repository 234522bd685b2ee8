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


class _Update:
    __slots__ = ("data", "key", "level", "levels", "size")

    def __init__(self, key: Key, data: bytes, size: int, levels: "_Levels") -> None:
        self.key, self.data, self.levels = key, data, levels
        self.size = size
        """What it takes in a packet."""
        self.level = 0
        """How often it was sent."""


_Levels = list[dict[_Update, None]]
"""Updates by times sent, then in order of arrival."""


class Dissemination:
    """`largest`: an update of more bytes, `frame` included, fits into no packet of ours; it is left to push-pull.

    frame: what each takes in a packet beside its bytes. crowded: how often an update that is not urgent is told while
    more than CROWD wait; 0 = as often as ever.
    """

    def __init__(self, largest: int = 2**16, *, frame: int = 0, crowded: int = 0) -> None:
        self._largest, self._frame, self._crowded = largest - frame, frame, crowded
        self._urgent: _Levels = [{}]
        self._others: _Levels = [{}]
        self.updates: dict[Key, _Update] = {}
        """All of both."""

    @property
    def is_pressing(self) -> bool:
        """Whether something urgent waits that we have told nobody yet."""
        return bool(self._urgent[0])

    @property
    def is_crowded(self) -> bool:
        return self._crowded > 0 and len(self.updates) > CROWD

    def add(self, key: Key, update: bytes, *, urgent: bool = False) -> None:
        """Tell everybody `update`, instead of what was to be told under the same key."""
        self.drop(key)
        if len(update) <= self._largest:
            levels = self._urgent if urgent else self._others
            added = self.updates[key] = _Update(key, update, len(update) + self._frame, levels)
            levels[0][added] = None

    def __contains__(self, key: Key) -> bool:
        return key in self.updates

    def drop(self, key: Key) -> None:
        update = self.updates.pop(key, None)
        if update is not None:
            del update.levels[update.level][update]

    def clear(self) -> None:
        self._urgent, self._others = [{}], [{}]
        self.updates.clear()

    def heard(self, key: Key) -> None:
        """Another has told us the same."""
        update = self.updates.get(key)
        if update is not None and update.levels is self._others and self.is_crowded:
            self._sent(update, self._crowded)

    def take(self, room: int, limit: int | None) -> list[bytes]:
        """Updates of at most `room` bytes in all, each counted as sent once more and dropped after `limit` times.

        None = not counted: whoever gets them may not be there.
        """
        if not self.updates:
            return []
        crowded = limit is not None and self.is_crowded
        taken, room = self._take(self._urgent, room, limit)
        return taken + self._take(self._others, room, min(limit or 0, self._crowded) if crowded else limit)[0]

    def _take(self, levels: _Levels, room: int, limit: int | None) -> tuple[list[bytes], int]:
        """Those that fit, and the room that is left."""
        taken: list[_Update] = []
        misses = 0
        for updates in levels:
            for update in reversed(updates):
                if room < _SMALLEST or misses > _MISSES:
                    break
                size = update.size
                if size <= room:
                    room -= size
                    taken.append(update)
                else:
                    misses += 1
        # Oldest first, so that the newest stays the newest on the next level.
        if limit is not None:
            for update in reversed(taken):
                self._sent(update, limit)
        return [update.data for update in taken], room

    def _sent(self, update: _Update, limit: int) -> None:
        levels, level = update.levels, update.level
        del levels[level][update]
        level += 1
        if level >= limit:
            del self.updates[update.key]
            return
        if level == len(levels):
            levels.append({})
        levels[level][update] = None
        update.level = level
