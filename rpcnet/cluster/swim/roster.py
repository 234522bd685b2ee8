"""The rows of the table: who is up, who is down and since when, and the digests of it all.

Knows no rule about claims: whoever changes a row says what its claim is now. Suspicions end with it (Suspicions).

Tests: tests/rpcnet/cluster/swim/test_table.py.
"""

from collections.abc import Callable
from itertools import takewhile

from msgspec.structs import replace

from rpcnet.cluster.swim.member import DEAD, SUSPECT, Claim, Entry
from rpcnet.cluster.swim.message import DIGESTS, PARTS, shared
from rpcnet.cluster.swim.suspicions import Suspicions

__all__ = ["Roster"]


class Roster:
    def __init__(self, me: Entry, suspicions: Suspicions) -> None:
        self.me = me
        self.entries: dict[str, Entry] = {me.name: me}
        self.up = 1
        """How many are alive or suspect, ourselves included."""
        self.digest = 0
        """The sum over all rows that are up: equal at members that hold the same."""
        self.part_digests = [0] * PARTS
        """The same over the rows of each part."""
        self.suspicions = suspicions
        self.dead: dict[str, None] = {}
        """Names of those that failed and may come back, in the order of their deaths once it was asked for."""
        self._dead_in_order = True
        self.on_down: Callable[[Entry], None] = lambda entry: None
        """Told of each member that failed or left."""
        self.went_down = False
        """Whether somebody failed or left since this was last set to False."""
        self.came_or_went = True
        """Whether the number of those that are up or dead may be another since this was last set to False."""

    def is_up(self, name: str) -> bool:
        entry = self.entries.get(name)
        return entry is not None and entry.is_up

    def latest_dead(self) -> list[str]:
        """Those that failed, the latest first."""
        if not self._dead_in_order:
            self._dead_in_order = True
            self.dead = dict.fromkeys(sorted(self.dead, key=lambda name: self.entries[name].changed_at))
        return list(reversed(self.dead))

    def dead_since(self, time: float) -> list[str]:
        return list(takewhile(lambda name: self.entries[name].changed_at >= time, self.latest_dead()))

    def forget(self, before: float) -> None:
        """Drop the tombstones of those that failed or left before that time."""
        for entry in [entry for entry in self.entries.values() if not entry.is_up and entry.changed_at < before]:
            assert entry is not self.me, "who has left collects no tombstones any more"
            del self.entries[entry.name]
            self.dead.pop(entry.name, None)
            self.came_or_went = True

    def holder(self, name: str, address: str) -> Entry | None:
        """Who has that name at another address, as far as we know."""
        entry = self.entries.get(name)
        return entry if entry is not None and entry.is_up and entry.was_seen and entry.address != address else None

    # How a row changes.

    def _enter(self, entry: Entry) -> None:
        """A new row, of one that is up."""
        self.entries[entry.name] = entry
        self.up += 1
        self.came_or_went = True
        self.digest = (self.digest + entry.digest) % DIGESTS
        self.part_digests[entry.part] += entry.digest

    def _set(self, entry: Entry, claim: Claim, now: float) -> None:
        was_up = entry.is_up
        if claim.status != entry.status:
            entry.changed_at = now
        entry.claim = claim
        self.up += entry.is_up - was_up
        if was_up and claim.status > SUSPECT:
            self.on_down(entry)
        if claim.status != SUSPECT:
            self.suspicions.end(entry.name)
        self._note_death(entry)
        self._changed(entry)

    def _note_death(self, entry: Entry) -> None:
        self.came_or_went = True
        self.went_down |= not entry.is_up
        if entry.status == DEAD:
            self._dead_in_order &= entry.name in self.dead
            self.dead[entry.name] = None
        else:
            self.dead.pop(entry.name, None)

    def _changed(self, entry: Entry) -> None:
        """Something about this row is new: its view, and the table's digest.

        Those that are down do not count: tombstones are collected at different times, and who is missing shows anyway.
        """
        entry.seen = None
        digest = 0
        if entry.is_up:
            run, incarnation, _ = entry.claim
            record = entry.record
            if record.incarnation != incarnation or record.run != run:
                record = entry.record = shared(replace(record, run=run, incarnation=incarnation))
            digest = record.digest + (entry.status == SUSPECT)
        self.digest = (self.digest + digest - entry.digest) % DIGESTS
        self.part_digests[entry.part] += digest - entry.digest
        entry.digest = digest
