"""The table of members: applies claims about them, and says what that changed.

Rules only: what is news, what must be told on (`Dissemination`), which event it makes. The rows are the Roster's, what
concerns ourselves is Myself's, how much time a suspect has is the Suspicions'. Knows no address to send to, no probe
and no datagram.

SWIM (DSN 2002) §4.2; Lifeguard (arXiv 1707.00788) §IV.B.
"""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from rpcnet.cluster.swim import record as record_rules
from rpcnet.cluster.swim.damping import Damping
from rpcnet.cluster.swim.dissemination import Dissemination
from rpcnet.cluster.swim.effect import Effect, Stats
from rpcnet.cluster.swim.event import (
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    ServicesChanged,
    TagsChanged,
)
from rpcnet.cluster.swim.member import ALIVE, DEAD, LEFT, SUSPECT, Claim, Entry, supersedes
from rpcnet.cluster.swim.message import (
    Alive,
    Dead,
    Gone,
    Left,
    Record,
    Suspect,
    Tags,
    encode_message,
    encode_record,
)
from rpcnet.cluster.swim.myself import Myself
from rpcnet.cluster.swim.suspicions import Suspicions, Timer
from rpcnet.cluster.swim.timers import Timers
from rpcnet.config import ClusterConfig

__all__ = ["Table", "row_of", "verdict_message"]

FULL = "the table is full (max_members)"


class Table(Myself):
    def __init__(
        self,
        me: Entry,
        config: ClusterConfig,
        *,
        queue: Dissemination,
        timers: Timers[Timer],
        stats: Stats,
        emit: Callable[[Effect], None],
    ) -> None:
        super().__init__(
            me, Suspicions(config, timers), Damping(config, timers, emit), queue=queue, stats=stats, emit=emit
        )
        self.on_up: Callable[[Entry, bool], None] = lambda entry, returned: None
        """Told of each member that came up (and whether it was down before)."""
        self.contradicted: str | None = None
        """A member whose record two others hold with equal versions and different contents: it knows which is right."""
        self.on_twins: Callable[[Entry, Alive], None] = lambda entry, message: None
        """Told of two others that have one name and run: each is to hear of the other."""
        self.on_refused: Callable[[str, str], None] = lambda name, reason: None
        """Told of each member whose record is not taken, and why."""
        self._config = config

    # What others say.

    def alive(self, message: Alive, now: float, *, spread: bool = True) -> None:
        if message.name == self.me.name:
            self._about_me(Claim(message.run, message.incarnation, ALIVE), message.address, message.version, "", now)
            return
        entry = self.entries.get(message.name)
        if entry is None:
            self._admit(message, now, spread)
        elif supersedes(message.claim, entry.claim):
            self._revive(entry, message, now, spread)
        elif message.run == entry.run:
            if message.address != entry.address:
                self.on_twins(entry, message)  # two processes that started in one microsecond
            self._merge_tags(entry, message.version, message.tags, spread)

    def believes(self, accuser: str) -> bool:
        """The doubts of one that has failed count for nothing: it may hear nobody."""
        entry = self.entries.get(accuser)
        return entry is None or entry.status != DEAD

    def suspect(self, message: Suspect, now: float, *, spread: bool = True) -> None:
        claim = Claim(message.run, message.incarnation, SUSPECT)
        if message.name == self.me.name:
            self._about_me(claim, None, 0, message.accuser, now)
            return
        entry = self.entries.get(message.name)
        if entry is None or not entry.was_seen or claim.run > entry.run:
            return  # nobody knows where that member is: its own Alive comes first
        if claim == entry.claim:
            self._confirm(entry, message, now, spread)
        elif supersedes(claim, entry.claim):
            if not entry.is_up:
                # Somebody has seen it alive after the death that we hold, and doubts it again.
                self._set(entry, claim._replace(status=ALIVE), now)
                self._emit(MemberRecovered(entry.view()))
                self.on_up(entry, True)
            self._set(entry, claim, now)
            self.suspicions.begin(entry.name, message.accuser, self.up, now)
            self._emit(MemberSuspected(entry.view()))
            self._tell(entry, message, spread)

    def declare(
        self, message: Dead | Gone, now: float, *, spread: bool = True, age: float = 0.0, address: str = ""
    ) -> None:
        """Somebody has given a member up. Where nobody has doubted it here before, it may have been given up in another
        part of a network that was cut: then the accused is asked first, as for a death in a table.
        """
        claim = Claim(message.run, message.incarnation, DEAD)
        entry = self.entries.get(message.name)
        if message.name == self.me.name:
            self._about_me(claim, None, 0, message.accuser, now)
        elif (
            entry is not None
            and entry.is_up
            and entry.run == claim.run
            and supersedes(claim, entry.claim)
            and self.suspicions.is_fresh(entry.name, now)
        ):
            self.suspect(Suspect(message.name, message.run, message.incarnation, message.accuser), now, spread=spread)
            self.suspicions.hasten(message.name, now)
        else:
            self._end(message, claim, now - age, spread=spread, address=address)

    def bury(self, message: Gone, now: float) -> None:
        """That member has failed, and nobody need ask it."""
        self._end(message, Claim(message.run, message.incarnation, DEAD), now, spread=True)

    def left(self, message: Left, now: float, *, spread: bool = True, age: float = 0.0) -> None:
        claim = Claim(message.run, message.incarnation, LEFT)
        if message.name == self.me.name:
            self._about_me(claim, None, 0, "", now)
        else:
            self._end(message, claim, now - age, spread=spread)

    def tags(self, message: Tags, *, spread: bool = True) -> None:
        entry = self.entries.get(message.name)
        if entry is None or entry.run != message.run:
            return
        if entry is not self.me:
            self._merge_tags(entry, message.version, message.tags, spread)
        elif message.version > entry.version and entry.status != LEFT:
            self._refute(entry.incarnation, message.version)

    def record(self, record: Record, sender: str, now: float, *, spread: bool) -> None:
        """One row of another member's table.

        A death that is news to us is taken as a suspicion only, so that two sides of a healed partition do not bury
        each other: the accused is asked first (memberlist state.go, mergeState).
        """
        entry = self.entries.get(record.name)
        if record.status == ALIVE and entry is not None and entry.record is record.alive:
            return  # nothing of it is new
        identity = (record.name, record.run, record.incarnation)
        if record.status == LEFT:
            self.left(Left(*identity), now, spread=spread, age=float(record.age))
            return
        held_up = entry is not None and entry.is_up and entry.run == record.run
        if record.status == DEAD and not held_up:
            self.declare(Dead(*identity, sender), now, spread=spread, age=float(record.age), address=record.address)
            return
        if (
            entry is not None
            and entry is not self.me
            and (entry.run, entry.incarnation, entry.version) == (record.run, record.incarnation, record.version)
        ):
            self._compare_contents(entry, record, sender)
        if entry is None or record.run > entry.run or record.status == ALIVE:
            self.alive(record.alive, now, spread=spread)
        elif record.run == entry.run and entry is not self.me:
            self._merge_tags(entry, record.version, record.tags, spread)
        suspicion = Claim(record.run, record.incarnation, SUSPECT)
        is_doubted = record.status == SUSPECT and self.believes(sender)
        if record.status == DEAD or (is_doubted and (entry is None or entry.claim != suspicion)):
            # Whoever has only heard of a suspicion is no accuser of its own; whoever has given it up is.
            self.suspect(Suspect(*identity, sender), now, spread=spread)

    def _compare_contents(self, entry: Entry, record: Record, sender: str) -> None:
        """One incarnation and version have one content: where two differ one was damaged, and the member is right."""
        held = entry.record
        if (held.address, held.services, held.tags) == (record.address, record.services, record.tags):
            return
        if sender != entry.name:
            self.contradicted = entry.name
            return
        if held.address != record.address:
            self.on_twins(entry, record.alive)  # or two processes that started in one microsecond
        entry.record = replace(held, address=record.address, services=record.services, tags=record.tags)
        self._changed(entry)
        if entry.is_up and held.tags != record.tags:
            self._emit(TagsChanged(entry.view()))

    def accuse(self, entry: Entry, since: float, now: float) -> None:
        """It has not answered us since then."""
        accusation = Suspect(entry.name, entry.run, entry.incarnation, self.me.name)
        self.suspect(accusation, now)
        self.suspicions.accuse(entry.name, self.me.name, encode_message(accusation), since, now)

    # What time says.

    def give_up(self, name: str, now: float) -> None:
        """The suspicion of this member ran out: it has failed."""
        entry, accuser = self.entries[name], next(iter(self.suspicions[name].accusers))
        verdict = Dead(name, entry.run, entry.incarnation, accuser)
        self._end(verdict, entry.claim._replace(status=DEAD), now, spread=True)

    # What we do not take.

    def _refuses(self, record: Alive) -> bool:
        """Whether it breaks the rules of both ends (record.py)."""
        if record.problem:
            self._stats.refused_records += 1
            self.on_refused(record.name, record.problem)
        return bool(record.problem)

    def _is_full(self, name: str) -> bool:
        if len(self.entries) < self._config.max_members:
            return False
        self._stats.refused_members += 1
        self.on_refused(name, FULL)
        return True

    # How a row changes.

    def _admit(self, message: Alive, now: float, spread: bool) -> None:
        if self._is_full(message.name) or self._refuses(message):
            return
        entry = Entry(message.name, message.claim, message, now, part=message.part, digest=message.digest)
        self._enter(entry)
        self._emit(MemberJoined(message.member))
        self.on_up(entry, False)
        self._tell_alive(entry, spread)

    def _revive(self, entry: Entry, message: Alive, now: float, spread: bool) -> None:
        if self._refuses(message):
            return
        is_new_run, before = message.run > entry.run, entry.status
        joins = is_new_run or not entry.was_seen or before == LEFT
        entry.was_seen = True
        news, moved = message.version > entry.version, message.services != entry.services
        if is_new_run or news or message.version == entry.version:
            entry.record = message
        else:
            entry.record = message.tagged(entry.version, entry.record.tags)
        self._set(entry, message.claim, now)
        if joins:
            self._emit(MemberJoined(entry.view()))
        elif before != ALIVE:
            self._emit(MemberRecovered(entry.view()))
        else:
            if news:
                self._emit(TagsChanged(entry.view()))
            if moved:
                self._emit(ServicesChanged(entry.view()))
        if joins or before > SUSPECT:
            self.on_up(entry, True)
        if is_new_run:
            self._queue.drop(("tags", entry.name))
        self._tell_alive(entry, spread, urgent=not joins)

    def _merge_tags(self, entry: Entry, version: int, tags: Mapping[str, str], spread: bool) -> None:
        """Whole or not at all, and never an older batch after a newer one."""
        if version <= entry.record.version or self._refuses(record := entry.record.tagged(version, tags)):
            return
        entry.record = record
        self._changed(entry)
        if entry.is_up:
            self._emit(TagsChanged(entry.view()))
        if spread:
            self._tell_tags(entry, Tags(entry.name, entry.run, version, entry.record.tags))
        else:
            self._queue.drop(("tags", entry.name))

    def _confirm(self, entry: Entry, message: Suspect, now: float, spread: bool) -> None:
        if self.suspicions.confirm(entry.name, message.accuser, now):
            assert spread, "with our first table come no second accusers: its sender accuses alone"
            self._tell(entry, message, spread)

    def _end(self, message: Dead | Gone | Left, claim: Claim, at: float, *, spread: bool, address: str = "") -> None:
        event = MemberLeft if claim.status == LEFT else MemberFailed
        entry = self.entries.get(message.name)
        if entry is None:
            if self._is_full(message.name):
                return
            # Kept and told on: after a mass restart somebody must tell the restarted one (memberlist #311, #345).
            usable = "" if record_rules.problem(message.name, address, {}, {}) else address
            record = Alive(message.name, claim.run, claim.incarnation, usable, {}, 0, {})
            entry = Entry(message.name, claim, record, at, was_seen=False, part=record.part)
            self.entries[entry.name] = entry
            self._note_death(entry)
            self._changed(entry)
        elif supersedes(claim, entry.claim):
            # Also where it was dead before: a lower incarnation must not bring it back later (al8n/memberlist #197).
            was_up, before = entry.is_up, entry.status
            self._set(entry, claim, at)
            if was_up or (entry.was_seen and before != claim.status):
                self._emit(event(entry.view()))
        else:
            return
        self._tell(entry, message, spread)

    def _tell_alive(self, entry: Entry, spread: bool, *, urgent: bool = False) -> None:
        if spread:
            self._queue.add(("state", entry.name), entry.record.raw, urgent=urgent)
        else:
            # What was to be told is older than what we hold now.
            self._queue.drop(("state", entry.name))

    def _tell(self, entry: Entry, message: Suspect | Dead | Gone | Left, spread: bool) -> None:
        if spread:
            self._queue.add(("state", entry.name), encode_message(message), urgent=True)
        else:
            self._queue.drop(("state", entry.name))


def verdict_message(entry: Entry, accuser: str) -> Suspect | Dead:
    """What is held against a suspect or dead member."""
    kind = Suspect if entry.status == SUSPECT else Dead
    return kind(entry.name, entry.run, entry.incarnation, accuser)


def row_of(entry: Entry, now: float) -> bytes:
    """A row of our table as it is sent to others: an encoded `Record`."""
    record = entry.record
    if entry.status == ALIVE:
        return record.row
    age = 0 if entry.is_up else max(0, int(now - entry.changed_at))
    rest = (record.address, record.services, record.version, record.tags, age)
    return encode_record(Record(entry.name, entry.run, entry.incarnation, entry.status, *rest))
