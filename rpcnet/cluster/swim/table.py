"""The table of members: applies claims about them, and says what that changed.

Rules only: what is news, what must be told on (`Dissemination`), which event it makes, whom it gives how much time to
refute (`Suspicion`). Knows no address to send to, no probe and no datagram. Only the accused refutes, and only it
raises its incarnation.

SWIM (DSN 2002) §4.2; Lifeguard (arXiv 1707.00788) §IV.B.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice, takewhile

from msgspec.structs import replace

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
from rpcnet.cluster.swim.message import (
    DIGESTS,
    MAX_NUMBER,
    PARTS,
    Alive,
    Dead,
    Left,
    Record,
    Suspect,
    Tags,
    encode_message,
    encode_record,
    shared,
)
from rpcnet.cluster.swim.suspicion import Suspicion
from rpcnet.cluster.swim.timers import Timers
from rpcnet.config import ClusterConfig

__all__ = ["Table", "Timer"]

Timer = tuple[str, str | int]
"""(kind, what it is about)."""

MAX_RAISES = 3
"""So often a member takes a run above one of its own name that seems to live."""
REPEATED = 8
"""So many accusations ride on a packet beside the news."""
TOLD_DEAD = (SUSPECT, DEAD)
FULL = "the table is full (max_members)"


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
        self.part_digests = [0] * PARTS
        """The same over the rows of each part."""
        self.has_joined = False
        self._raises = 0
        self.suspicions: dict[str, Suspicion] = {}
        self._accusations: dict[str, bytes] = {}
        self.dead: dict[str, None] = {}
        """Names of those that failed and may come back, in the order of their deaths once it was asked for."""
        self._dead_in_order = True
        self.went_down = False
        """Whether somebody failed or left since this was last set to False."""
        self.on_up: Callable[[Entry, bool], None] = lambda entry, returned: None
        """Told of each member that came up (and whether it was down before)."""
        self.on_refuted: Callable[[str], None] = lambda accuser: None
        self.on_stale_accusation: Callable[[], None] = lambda: None
        """Told when somebody still holds against us what we have refuted."""
        self.contradicted: str | None = None
        """A member whose record two others hold with equal versions and different contents: it knows which is right."""
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

    def latest_dead(self) -> list[str]:
        """Those that failed, the latest first."""
        if not self._dead_in_order:
            self._dead_in_order = True
            self.dead = dict.fromkeys(sorted(self.dead, key=lambda name: self.entries[name].changed_at))
        return list(reversed(self.dead))

    def dead_since(self, time: float) -> list[str]:
        return list(takewhile(lambda name: self.entries[name].changed_at >= time, self.latest_dead()))

    # What others say.

    def alive(self, message: Alive, now: float, *, spread: bool = True) -> None:
        if message.name == self.me.name:
            self._about_me(Claim(message.run, message.incarnation, ALIVE), message.address, message.version, "")
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
            self.suspicions[entry.name] = Suspicion.begin(self._config, self.up, message.accuser, now)
            self._accusations.pop(entry.name, None)
            self._time(entry.name)
            if share := self._config.question_at:
                self._timers.set(("question", entry.name), now + share * self.suspicions[entry.name].least)
            self._expect_fewer_confirmations()
            self._emit(MemberSuspected(entry.view()))
            self._tell(entry, message, spread)

    def declare(self, message: Dead, now: float, *, spread: bool = True, age: float = 0.0, address: str = "") -> None:
        """Somebody has given a member up. Where nobody has doubted it here before, it may have been given up in another
        part of a network that was cut: then the accused is asked first, as for a death in a table.
        """
        claim = Claim(message.run, message.incarnation, DEAD)
        entry = self.entries.get(message.name)
        if message.name == self.me.name:
            self._about_me(claim, None, 0, message.accuser)
        elif entry is not None and entry.is_up and supersedes(claim, entry.claim) and self._is_fresh(entry, claim, now):
            self.suspect(Suspect(message.name, message.run, message.incarnation, message.accuser), now, spread=spread)
            suspicion = self.suspicions[message.name]
            suspicion.k = 0  # it had its time elsewhere: no confirmations are waited for
            self._timers.set(("question", message.name), now)
            self._time(message.name)
        else:
            self._end(message, claim, now - age, spread=spread, address=address)

    def _is_fresh(self, entry: Entry, claim: Claim, now: float) -> bool:
        """Whether this member has not been doubted here for so long that it was asked."""
        share = self._config.question_at
        if not share or entry.run != claim.run:
            return False
        suspicion = self.suspicions.get(entry.name)
        return suspicion is None or now - suspicion.started < share * suspicion.least

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
        if entry is not None and entry is not self.me and entry.run == record.run and entry.version == record.version:
            self._compare_contents(entry, record, sender)
        if entry is None or record.run > entry.run or record.status == ALIVE:
            self.alive(record.alive, now, spread=spread)
        elif record.run == entry.run and entry is not self.me:
            self._merge_tags(entry, record.version, record.tags, spread)
        suspicion = Claim(record.run, record.incarnation, SUSPECT)
        if record.status == DEAD or (record.status == SUSPECT and (entry is None or entry.claim != suspicion)):
            # Whoever has only heard of a suspicion is no accuser of its own; whoever has given it up is.
            self.suspect(Suspect(*identity, sender), now, spread=spread)

    def _compare_contents(self, entry: Entry, record: Record, sender: str) -> None:
        """One version has one content: where two differ one was damaged, and the member's own word is right."""
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

    def accuse(self, entry: Entry, now: float) -> None:
        """It did not answer us."""
        accusation = Suspect(entry.name, entry.run, entry.incarnation, self.me.name)
        self.suspect(accusation, now)
        if self.me.name in self.suspicions[entry.name].accusers:
            self._accusations[entry.name] = encode_message(accusation)

    def unconfirmed(self) -> str | None:
        """A suspect that nobody but us can confirm, and that we have not accused."""
        if self.up - len(self.suspicions) > 2:
            return None
        names = (name for name, held in self.suspicions.items() if self.me.name not in held.accusers and held.k)
        return next(names, None)

    def latest_accusations(self) -> Iterable[bytes]:
        """Our own ones whose time still runs: repeated to whom we speak, since news may have gone to the dead alone."""
        return islice(reversed(self._accusations.values()), REPEATED) if self._accusations else ()

    # What time says.

    def give_up(self, name: str, now: float) -> None:
        """The suspicion of this member ran out: it has failed."""
        entry, accuser = self.entries[name], next(iter(self.suspicions[name].accusers))
        verdict = Dead(name, entry.run, entry.incarnation, accuser)
        self._end(verdict, entry.claim._replace(status=DEAD), now, spread=True)

    def shift_suspicions(self, seconds: float) -> None:
        """We were stalled: nobody's time ran meanwhile."""
        for name, suspicion in self.suspicions.items():
            suspicion.shift(seconds)
            self._time(name)

    def forget(self, before: float) -> None:
        """Drop the tombstones of those that failed or left before that time."""
        for entry in [entry for entry in self.entries.values() if not entry.is_up and entry.changed_at < before]:
            assert entry is not self.me, "who has left collects no tombstones any more"
            del self.entries[entry.name]
            self.dead.pop(entry.name, None)

    # What we say of ourselves.

    def announce(self) -> None:
        self._changed(self.me)
        self._queue.add(("state", self.me.name), self.me.record.raw, urgent=self.me.incarnation > 0)

    def publish(self, tags: Mapping[str, str]) -> None:
        """Our tags are these from now on: one version, one update, one event."""
        me = self.me
        me.record = replace(me.record, version=me.version + 1, tags=dict(tags))
        self._changed(me)
        self._tell_tags(me, Tags(me.name, me.run, me.version, me.record.tags))
        self._emit(Published(me.run, me.version, dict(tags)))
        self._emit(TagsChanged(me.view()))

    def leave(self, now: float) -> None:
        self._set(self.me, self.me.claim._replace(status=LEFT), now)
        self._queue.drop(("tags", self.me.name))
        self._queue.add(("state", self.me.name), encode_message(left_message(self.me)), urgent=True)

    def _about_me(self, claim: Claim, address: str | None, version: int, accuser: str) -> None:
        me = self.me
        if claim.run > me.run:
            self._meet_my_name(claim, address)
        elif claim.run < me.run:
            # A rumour of an earlier run: nothing of it is true any more.
            if claim.status in TOLD_DEAD:
                self.on_stale_accusation()
        elif claim.status == ALIVE and address not in (None, me.address) and me.status != LEFT:
            self._meet_twin(address or "")
        elif me.status == LEFT:
            if claim.incarnation > me.incarnation:
                self._set(me, Claim(me.run, claim.incarnation, LEFT), me.changed_at)
                self._queue.add(("state", me.name), encode_message(left_message(me)), urgent=True)
        elif claim.status in TOLD_DEAD and supersedes(claim, me.claim) and not self.may_refute():
            return
        elif supersedes(claim, me.claim) or version > me.version:
            self._refute(claim.incarnation, version)
            if claim.status != ALIVE:
                self._stats.refutations += 1
                self.on_refuted(accuser)
        elif claim.status in TOLD_DEAD:
            self.on_stale_accusation()

    def _refute(self, incarnation: int, version: int) -> None:
        """Raise our incarnation over the claim's, and our version over what somebody says that it is.

        Where the numbers end we begin a new run instead (hashicorp/memberlist #358: the incarnation overflowed to 0).
        """
        me = self.me
        if incarnation >= MAX_NUMBER or version >= MAX_NUMBER:
            self._new_run(me.run + 1)
            return
        self._set(me, Claim(me.run, incarnation + 1, ALIVE), me.changed_at)
        if version > me.version:
            me.record = replace(me.record, version=version + 1)
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

    def _admit(self, message: Alive, now: float, spread: bool) -> None:
        if self._is_full(message.name) or self._refuses(message.name, message.address, message.services, message.tags):
            return
        entry = Entry(message.name, message.claim, message, now, part=message.part)
        self.entries[entry.name] = entry
        self.up += 1
        self._changed(entry)
        self._emit(MemberJoined(entry.view()))
        self.on_up(entry, False)
        self._tell_alive(entry, spread)

    def _revive(self, entry: Entry, message: Alive, now: float, spread: bool) -> None:
        if self._refuses(message.name, message.address, message.services, message.tags):
            return
        is_new_run, before = message.run > entry.run, entry.status
        joins = is_new_run or not entry.was_seen or before == LEFT
        entry.was_seen = True
        news = message.version > entry.version
        if is_new_run or news or message.version == entry.version:
            entry.record = message
        else:
            entry.record = shared(replace(message, version=entry.version, tags=entry.record.tags))
        self._set(entry, message.claim, now)
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
        self._tell_alive(entry, spread, urgent=not joins)

    def _merge_tags(self, entry: Entry, version: int, tags: Mapping[str, str], spread: bool) -> None:
        """Whole or not at all, and never an older batch after a newer one."""
        if version <= entry.version or self._refuses(entry.name, entry.address, entry.services, tags):
            return
        entry.record = shared(replace(entry.record, version=version, tags=tags))
        self._changed(entry)
        if entry.is_up:
            self._emit(TagsChanged(entry.view()))
        if spread:
            self._tell_tags(entry, Tags(entry.name, entry.run, version, entry.record.tags))
        else:
            self._queue.drop(("tags", entry.name))

    def _tell_tags(self, entry: Entry, update: Tags) -> None:
        """As news of their own, or with a record that travels already: it must not carry the older batch."""
        if entry.status == ALIVE and ("state", entry.name) in self._queue:
            self._queue.drop(("tags", entry.name))
            self._queue.add(("state", entry.name), entry.record.raw)
        else:
            self._queue.add(("tags", entry.name), encode_message(update))

    def _confirm(self, entry: Entry, message: Suspect, spread: bool) -> None:
        suspicion = self.suspicions[entry.name]
        if suspicion.confirm(message.accuser):
            assert spread, "with our first table come no second accusers: its sender accuses alone"
            self._time(entry.name)
            self._tell(entry, message, spread)

    def _time(self, name: str) -> None:
        self._timers.set(("suspicion", name), self.suspicions[name].deadline)

    def _expect_fewer_confirmations(self) -> None:
        """Whoever is a suspect itself confirms nothing: in a half of two one confirmation must do."""
        able = max(1, self.up - len(self.suspicions) - 1)
        for name, suspicion in self.suspicions.items():
            if suspicion.k > able:
                suspicion.k = able
                self._time(name)

    def _end(self, message: Dead | Left, claim: Claim, at: float, *, spread: bool, address: str = "") -> None:
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

    def _set(self, entry: Entry, claim: Claim, now: float) -> None:
        was_up = entry.is_up
        if claim.status != entry.status:
            entry.changed_at = now
        entry.claim = claim
        self.up += entry.is_up - was_up
        if claim.status != SUSPECT and self.suspicions.pop(entry.name, None) is not None:
            self._timers.cancel(("suspicion", entry.name))
            self._timers.cancel(("question", entry.name))
            self._accusations.pop(entry.name, None)
        self._note_death(entry)
        self._changed(entry)

    def _note_death(self, entry: Entry) -> None:
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

    def _tell_alive(self, entry: Entry, spread: bool, *, urgent: bool = False) -> None:
        if spread:
            self._queue.add(("state", entry.name), entry.record.raw, urgent=urgent)
        else:
            # What was to be told is older than what we hold now.
            self._queue.drop(("state", entry.name))

    def _tell(self, entry: Entry, message: Suspect | Dead | Left, spread: bool) -> None:
        if spread:
            self._queue.add(("state", entry.name), encode_message(message), urgent=True)
        else:
            self._queue.drop(("state", entry.name))


def left_message(entry: Entry) -> Left:
    return Left(entry.name, entry.run, entry.incarnation)


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
