"""The table of members: applies claims about them, and says what that changed.

Rules only: what is news, what must be told on (`Dissemination`), which event it makes, whom it gives how much time to
refute (`Suspicion`). Knows no address to send to, no probe and no datagram. Only the accused refutes, and only it
raises its incarnation.

SWIM (DSN 2002) §4.2; Lifeguard (arXiv 1707.00788) §IV.B.
"""

from collections.abc import Callable, Mapping
from hashlib import blake2b

from rpcnet.cluster.swim import record as record_rules
from rpcnet.cluster.swim.dissemination import Dissemination
from rpcnet.cluster.swim.effect import Effect, Published, Stats
from rpcnet.cluster.swim.event import (
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    TagsChanged,
)
from rpcnet.cluster.swim.member import ALIVE, DEAD, LEFT, SUSPECT, Claim, Entry, supersedes
from rpcnet.cluster.swim.message import MAX_NUMBER, Alive, Dead, Left, Record, Suspect, Tags, encode_message
from rpcnet.cluster.swim.suspicion import Suspicion
from rpcnet.cluster.swim.timers import Timers
from rpcnet.config import ClusterConfig

__all__ = ["Table", "Timer"]

Timer = tuple[str, str | int]
"""(kind, what it is about)."""

MAX_RAISES = 3
"""So often a member takes a run above one of its own name that seems to live."""
TOLD_DEAD = (SUSPECT, DEAD)
FULL = "the table is full (max_members)"
DIGESTS = 2**56
"""Digests are numbers below this."""


class Table:
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
        self.me = me
        self.entries: dict[str, Entry] = {me.name: me}
        self.up = 1
        """How many are alive or suspect, ourselves included."""
        self.digest = 0
        """The sum over all rows that are up: equal at members that hold the same."""
        self.has_joined = False
        self._raises = 0
        self.suspicions: dict[str, Suspicion] = {}
        self.dead: dict[str, None] = {}
        """Names of those that failed and may come back; a dict, for its order."""
        self.on_up: Callable[[Entry, bool], None] = lambda entry, returned: None
        """Told of each member that came up (and whether it was down before)."""
        self.on_refuted: Callable[[str], None] = lambda accuser: None
        self.on_twin: Callable[[str], None] = lambda address: None
        """Told of another process that has our name and run, and where it is: it is to hear of us."""
        self.on_twins: Callable[[Entry, Alive], None] = lambda entry, message: None
        """Told of two others that have one name and run: each is to hear of the other."""
        self.may_refute: Callable[[], bool] = lambda: True
        """Asked before we contradict those who hold us for suspect or dead."""
        self.on_refused: Callable[[str, str], None] = lambda name, reason: None
        """Told of each member whose record is not taken, and why."""
        self._config, self._queue, self._timers, self._stats, self._emit = config, queue, timers, stats, emit

    def is_up(self, name: str) -> bool:
        entry = self.entries.get(name)
        return entry is not None and entry.is_up

    # What others say.

    def alive(self, message: Alive, now: float, *, spread: bool = True) -> None:
        if message.name == self.me.name:
            self._about_me(Claim(message.run, message.incarnation, ALIVE), message.address, message.version, "")
            return
        claim = Claim(message.run, message.incarnation, ALIVE)
        entry = self.entries.get(message.name)
        if entry is None:
            self._admit(message, claim, now, spread)
        elif supersedes(claim, entry.claim):
            self._revive(entry, message, claim, now, spread)
        elif message.run == entry.run:
            if message.address != entry.address:
                self.on_twins(entry, message)  # two processes that started in one microsecond
            self._merge_tags(entry, message.version, message.tags, spread)

    def suspect(self, message: Suspect, now: float, *, spread: bool = True) -> None:
        claim = Claim(message.run, message.incarnation, SUSPECT)
        if message.name == self.me.name:
            self._about_me(claim, None, 0, message.accuser)
            return
        entry = self.entries.get(message.name)
        if entry is None or not entry.was_seen or claim.run > entry.run:
            return  # nobody knows where that member is: its own Alive comes first
        if claim == entry.claim:
            self._confirm(entry, message, spread)
        elif supersedes(claim, entry.claim):
            if not entry.is_up:
                # Somebody has seen it alive after the death that we hold, and doubts it again.
                self._set(entry, claim._replace(status=ALIVE), now)
                self._emit(MemberRecovered(entry.view()))
                self.on_up(entry, True)
            self._set(entry, claim, now)
            # A fresh timer: the older suspicion was refuted, whether we have heard that or not.
            suspicion = self.suspicions[entry.name] = Suspicion.begin(self._config, self.up, message.accuser, now)
            self._timers.set(("suspicion", entry.name), suspicion.deadline)
            self._emit(MemberSuspected(entry.view()))
            self._tell("state", entry.name, message, spread)

    def declare(self, message: Dead, now: float, *, spread: bool = True, age: float = 0.0, address: str = "") -> None:
        claim = Claim(message.run, message.incarnation, DEAD)
        if message.name == self.me.name:
            self._about_me(claim, None, 0, message.accuser)
        else:
            self._end(message, claim, now - age, spread=spread, address=address)

    def left(self, message: Left, now: float, *, spread: bool = True, age: float = 0.0) -> None:
        claim = Claim(message.run, message.incarnation, LEFT)
        if message.name == self.me.name:
            self._about_me(claim, None, 0, "")
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

    def holder(self, name: str, address: str) -> Entry | None:
        """Who has that name at another address, as far as we know."""
        entry = self.entries.get(name)
        return entry if entry is not None and entry.is_up and entry.was_seen and entry.address != address else None

    def record(self, record: Record, sender: str, now: float, *, spread: bool) -> None:
        """One row of another member's table.

        A death that is news to us is taken as a suspicion only, so that two sides of a healed partition do not bury
        each other: the accused is asked first (memberlist state.go, mergeState).
        """
        identity = (record.name, record.run, record.incarnation)
        entry = self.entries.get(record.name)
        if record.status == LEFT:
            self.left(Left(*identity), now, spread=spread, age=float(record.age))
            return
        held_up = entry is not None and entry.is_up and entry.run == record.run
        if record.status == DEAD and not held_up:
            self.declare(Dead(*identity, sender), now, spread=spread, age=float(record.age), address=record.address)
            return
        if entry is None or record.run > entry.run or record.status == ALIVE:
            self.alive(
                Alive(*identity, record.address, record.services, record.version, record.tags), now, spread=spread
            )
        elif record.run == entry.run and entry is not self.me:
            self._merge_tags(entry, record.version, record.tags, spread)
        if record.status in TOLD_DEAD:
            self.suspect(Suspect(*identity, sender), now, spread=spread)

    # What time says.

    def give_up(self, name: str, now: float) -> None:
        """The suspicion of this member ran out: it has failed."""
        entry, accuser = self.entries[name], next(iter(self.suspicions[name].accusers))
        self.declare(Dead(name, entry.run, entry.incarnation, accuser), now)

    def shift_suspicions(self, seconds: float) -> None:
        """We were stalled: nobody's time ran meanwhile."""
        for name, suspicion in self.suspicions.items():
            suspicion.shift(seconds)
            self._timers.set(("suspicion", name), suspicion.deadline)

    def forget(self, before: float) -> None:
        """Drop the tombstones of those that failed or left before that time."""
        for entry in [entry for entry in self.entries.values() if not entry.is_up and entry.changed_at < before]:
            assert entry is not self.me, "who has left collects no tombstones any more"
            del self.entries[entry.name]
            self.dead.pop(entry.name, None)

    # What we say of ourselves.

    def announce(self) -> None:
        self._changed(self.me)
        self._queue.add(("state", self.me.name), encode_message(alive_message(self.me)))

    def publish(self, tags: Mapping[str, str]) -> None:
        """Our tags are these from now on: one version, one update, one event."""
        self.me.version, self.me.tags = self.me.version + 1, dict(tags)
        self._changed(self.me)
        update = Tags(self.me.name, self.me.run, self.me.version, dict(tags))
        self._queue.add(("tags", self.me.name), encode_message(update))
        # A record that still travels must not carry the older batch.
        if ("state", self.me.name) in self._queue:
            self._queue.add(("state", self.me.name), encode_message(alive_message(self.me)))
        self._emit(Published(self.me.run, self.me.version, dict(tags)))
        self._emit(TagsChanged(self.me.view()))

    def leave(self, now: float) -> None:
        self._set(self.me, self.me.claim._replace(status=LEFT), now)
        self._queue.drop(("tags", self.me.name))
        self._queue.add(("state", self.me.name), encode_message(left_message(self.me)))

    def _about_me(self, claim: Claim, address: str | None, version: int, accuser: str) -> None:
        me = self.me
        if claim.run > me.run:
            self._meet_my_name(claim, address)
        elif claim.run < me.run:
            return  # a rumour of an earlier run: nothing of it is true any more
        elif claim.status == ALIVE and address not in (None, me.address) and me.status != LEFT:
            self._meet_twin(address or "")
        elif me.status == LEFT:
            if claim.incarnation > me.incarnation:
                self._set(me, Claim(me.run, claim.incarnation, LEFT), me.changed_at)
                self._queue.add(("state", me.name), encode_message(left_message(me)))
        elif claim.status in TOLD_DEAD and supersedes(claim, me.claim) and not self.may_refute():
            return
        elif supersedes(claim, me.claim) or version > me.version:
            self._refute(claim.incarnation, version)
            if claim.status != ALIVE:
                self._stats.refutations += 1
                self.on_refuted(accuser)

    def _refute(self, incarnation: int, version: int) -> None:
        """Raise our incarnation over the claim's, and our version over what somebody says that it is.

        Where the numbers end we begin a new run instead (hashicorp/memberlist #358: the incarnation overflowed to 0).
        """
        me = self.me
        if incarnation >= MAX_NUMBER or version >= MAX_NUMBER:
            me.version = min(me.version, MAX_NUMBER)
            self._new_run(me.run + 1)
            return
        self._set(me, Claim(me.run, incarnation + 1, ALIVE), me.changed_at)
        if version > me.version:
            me.version = version + 1
            self._emit(Published(me.run, me.version, dict(me.tags)))
        self.announce()

    def _meet_twin(self, address: str) -> None:
        """Another process of our name and run: both started in one microsecond. The higher address wins."""
        if self.me.address > address and self.me.run < MAX_NUMBER:
            self._new_run(self.me.run + 1)
        else:
            self._stats.name_conflicts += 1
        self.on_twin(address)

    def _meet_my_name(self, claim: Claim, address: str | None) -> None:
        """A higher run of our own name: an earlier run of ours whose clock was ahead, or another living process.

        The newer run wins; so we take one more than it, unless a living one at another address is newer than we are,
        which has then rightly replaced us.
        """
        if claim.status == ALIVE:
            # Twice at one address behind NAT: then too it must end.
            replaced = (address != self.me.address and self.has_joined) or self._raises >= MAX_RAISES
            self._raises += not replaced
        else:
            replaced = False
        if replaced or claim.run >= MAX_NUMBER or self.me.status == LEFT:
            self._stats.name_conflicts += 1
        else:
            self._new_run(claim.run + 1)

    def take_over(self, run: int) -> None:
        """A run of our name is over whose start was not before ours: ours is newer."""
        if run >= self.me.run:
            self._new_run(run + 1)

    def _new_run(self, run: int) -> None:
        self._set(self.me, Claim(min(run, MAX_NUMBER), 0, ALIVE), self.me.changed_at)
        self.announce()
        self._emit(MemberJoined(self.me.view()))
        self._emit(Published(self.me.run, self.me.version, dict(self.me.tags)))

    # What we do not take.

    def _refuses(self, name: str, address: str, services: Mapping[str, str], tags: Mapping[str, str]) -> bool:
        """Whether that record breaks the rules of both ends (record.py)."""
        wrong = record_rules.problem(name, address, services, tags)
        if wrong:
            self._stats.refused_records += 1
            self.on_refused(name, wrong)
        return bool(wrong)

    def _is_full(self, name: str) -> bool:
        if len(self.entries) < self._config.max_members:
            return False
        self._stats.refused_members += 1
        self.on_refused(name, FULL)
        return True

    # How a row changes.

    def _admit(self, message: Alive, claim: Claim, now: float, spread: bool) -> None:
        if self._is_full(message.name) or self._refuses(message.name, message.address, message.services, message.tags):
            return
        entry = Entry(message.name, claim, message.address, message.services, message.version, message.tags, now)
        self.entries[entry.name] = entry
        self.up += 1
        self._changed(entry)
        self._emit(MemberJoined(entry.view()))
        self.on_up(entry, False)
        self._tell("state", entry.name, message, spread)

    def _revive(self, entry: Entry, message: Alive, claim: Claim, now: float, spread: bool) -> None:
        if self._refuses(message.name, message.address, message.services, message.tags):
            return
        is_new_run, before = claim.run > entry.run, entry.status
        joins = is_new_run or not entry.was_seen or before == LEFT
        entry.address, entry.services, entry.was_seen = message.address, message.services, True
        news = message.version > entry.version
        if is_new_run or news:
            entry.version, entry.tags = message.version, message.tags
        self._set(entry, claim, now)
        if joins:
            self._emit(MemberJoined(entry.view()))
        elif before != ALIVE:
            self._emit(MemberRecovered(entry.view()))
        elif news:
            self._emit(TagsChanged(entry.view()))
        if joins or before > SUSPECT:
            self.on_up(entry, True)
        if is_new_run:
            self._queue.drop(("tags", entry.name))
        self._tell("state", entry.name, alive_message(entry), spread)

    def _merge_tags(self, entry: Entry, version: int, tags: Mapping[str, str], spread: bool) -> None:
        """Whole or not at all, and never an older batch after a newer one."""
        if version <= entry.version or self._refuses(entry.name, entry.address, entry.services, tags):
            return
        entry.version, entry.tags = version, tags
        self._changed(entry)
        if entry.is_up:
            self._emit(TagsChanged(entry.view()))
        self._tell("tags", entry.name, Tags(entry.name, entry.run, version, dict(tags)), spread)

    def _confirm(self, entry: Entry, message: Suspect, spread: bool) -> None:
        suspicion = self.suspicions[entry.name]
        if suspicion.confirm(message.accuser):
            assert spread, "with our first table come no second accusers: its sender accuses alone"
            self._timers.set(("suspicion", entry.name), suspicion.deadline)
            self._tell("state", entry.name, message, spread)

    def _end(self, message: Dead | Left, claim: Claim, at: float, *, spread: bool, address: str = "") -> None:
        event = MemberLeft if claim.status == LEFT else MemberFailed
        entry = self.entries.get(message.name)
        if entry is None:
            if self._is_full(message.name):
                return
            # Kept and told on: after a mass restart somebody must tell the restarted one (memberlist #311, #345).
            usable = "" if record_rules.problem(message.name, address, {}, {}) else address
            entry = Entry(message.name, claim, usable, {}, 0, {}, at, was_seen=False)
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
        self._tell("state", entry.name, message, spread)

    def _set(self, entry: Entry, claim: Claim, now: float) -> None:
        was_up = entry.is_up
        if claim.status != entry.status:
            entry.changed_at = now
        entry.claim = claim
        self.up += entry.is_up - was_up
        if claim.status != SUSPECT and self.suspicions.pop(entry.name, None) is not None:
            self._timers.cancel(("suspicion", entry.name))
        self._note_death(entry)
        self._changed(entry)

    def _note_death(self, entry: Entry) -> None:
        if entry.status == DEAD:
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
            text = f"{entry.name}\0{entry.run}\0{entry.incarnation}\0{entry.version}"
            digest = int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=7).digest(), "big")
        self.digest = (self.digest + digest - entry.digest) % DIGESTS
        entry.digest = digest

    def _tell(self, kind: str, name: str, message: Alive | Suspect | Dead | Left | Tags, spread: bool) -> None:
        if spread:
            self._queue.add((kind, name), encode_message(message))
        else:
            # What was to be told is older than what we hold now.
            self._queue.drop((kind, name))


def alive_message(entry: Entry) -> Alive:
    return Alive(
        entry.name,
        entry.run,
        entry.incarnation,
        entry.address,
        dict(entry.services),
        entry.version,
        dict(entry.tags),
    )


def left_message(entry: Entry) -> Left:
    return Left(entry.name, entry.run, entry.incarnation)


def verdict_message(entry: Entry, accuser: str) -> Suspect | Dead:
    """What is held against a suspect or dead member."""
    kind = Suspect if entry.status == SUSPECT else Dead
    return kind(entry.name, entry.run, entry.incarnation, accuser)


def record_of(entry: Entry, now: float) -> Record:
    age = 0 if entry.is_up else max(0, int(now - entry.changed_at))
    rest = (entry.address, dict(entry.services), entry.version, dict(entry.tags), age)
    return Record(entry.name, entry.run, entry.incarnation, entry.status, *rest)
