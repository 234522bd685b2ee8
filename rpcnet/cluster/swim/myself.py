"""What we say of ourselves, and what others say of us: refutation, our name in another's hands, our tags, our leave.

Only the accused refutes, and only it raises its incarnation (SWIM §4.2). Knows no packet and nobody else's row.

Tests: tests/rpcnet/cluster/swim/test_table.py.
"""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from rpcnet.cluster.swim.damping import Damping
from rpcnet.cluster.swim.dissemination import Dissemination
from rpcnet.cluster.swim.effect import Effect, Published, Stats
from rpcnet.cluster.swim.event import MemberJoined, MemberRecovered, ServicesChanged, TagsChanged
from rpcnet.cluster.swim.member import ALIVE, DEAD, LEFT, SUSPECT, Claim, Entry, supersedes
from rpcnet.cluster.swim.message import MAX_NUMBER, Left, Tags, encode_message
from rpcnet.cluster.swim.roster import Roster
from rpcnet.cluster.swim.suspicions import Suspicions

__all__ = ["Myself", "left_message"]

MAX_RAISES = 3
"""So often a member takes a run above one of its own name that seems to live."""
TOLD_DEAD = (SUSPECT, DEAD)


class Myself(Roster):
    def __init__(
        self,
        me: Entry,
        suspicions: Suspicions,
        damping: Damping,
        *,
        queue: Dissemination,
        stats: Stats,
        emit: Callable[[Effect], None],
    ) -> None:
        super().__init__(me, suspicions)
        self.damping = damping
        self.has_joined = False
        self.is_late = False
        """Whether we were stalled, and what has come meanwhile is still being read."""
        self._withheld: tuple[Claim, str] | None = None
        """The strongest accusation in it, or the one that we have asked others about."""
        self._asked = -1
        """The highest incarnation of which we have asked what the others hold against it."""
        self._is_asking = False
        self._raises = 0
        self.on_refuted: Callable[[str], None] = lambda accuser: None
        self.on_stale_accusation: Callable[[], None] = lambda: None
        """Told when somebody still holds against us what we have refuted."""
        self.on_withdrawn: Callable[[], None] = lambda: None
        """Told when we take back what we hold against others."""
        self.on_unsure: Callable[[float], None] = lambda now: None
        """Told when others are to be asked what they hold against us; `hear_out` a little later."""
        self.on_twin: Callable[[str], None] = lambda address: None
        """Told of another process that has our name and run, and where it is: it is to hear of us."""
        self.may_refute: Callable[[], bool] = lambda: True
        """Asked before we contradict those who hold us for suspect or dead."""
        self._queue, self._stats, self._emit = queue, stats, emit

    # What we say.

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

    def offer(self, services: Mapping[str, str]) -> None:
        """Our services are these from now on. They go with the whole record, which a higher incarnation makes news."""
        me = self.me
        me.record = replace(me.record, services=dict(services))
        self._refute(me.incarnation, 0)
        self._emit(ServicesChanged(me.view()))

    def leave(self, now: float) -> None:
        self.damping.end()
        self._set(self.me, self.me.claim._replace(status=LEFT), now)
        self._queue.drop(("tags", self.me.name))
        self._queue.add(("state", self.me.name), encode_message(left_message(self.me)), urgent=True)

    def _tell_tags(self, entry: Entry, update: Tags) -> None:
        """As news of their own, or with a record that travels already: it must not carry the older batch."""
        if entry.status == ALIVE and ("state", entry.name) in self._queue:
            self._queue.drop(("tags", entry.name))
            self._queue.add(("state", entry.name), entry.record.raw)
        else:
            self._queue.add(("tags", entry.name), encode_message(update))

    # What others say of us.

    def _about_me(self, claim: Claim, address: str | None, version: int, accuser: str, now: float) -> None:
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
        elif claim.status in TOLD_DEAD and supersedes(claim, me.claim) and not self._may_refute(claim, accuser, now):
            return
        elif supersedes(claim, me.claim) or version > me.version:
            self._refute(claim.incarnation, version)
            if claim.status != ALIVE:
                self._stats.refutations += 1
                self.on_refuted(accuser)
        elif claim.status in TOLD_DEAD:
            if claim.status == DEAD:
                self.damping.failed(claim.incarnation, now)
            self.on_stale_accusation()

    def _may_refute(self, claim: Claim, accuser: str, now: float) -> bool:
        if self.is_late or (self._is_asking and claim.status == SUSPECT):
            # First all that has come is read: we may be dead already for those who say that we are suspect.
            if self._withheld is None or supersedes(claim, self._withheld[0]):
                self._withheld = claim, accuser
            return False
        if claim.status == SUSPECT and claim.incarnation > self._asked and self.damping.is_close(now):
            # It may be the echo of a death that would hold us down: whoever is told of one asks us as a suspect first.
            self._asked, self._is_asking, self._withheld = claim.incarnation, True, (claim, accuser)
            self.on_unsure(now)
            return False
        if claim.status == DEAD and not self.damping.is_holding:
            self.withdraw(now)
            self.damping.failed(claim.incarnation, now)
        return not self.damping.holds(claim.incarnation, now) and self.may_refute()

    def hear_out(self, now: float) -> None:
        """All that had come in a stall was read, or those that we asked have answered: now the worst that was said of
        us counts.
        """
        self.is_late = self._is_asking = False
        if self._withheld is not None:
            (claim, accuser), self._withheld = self._withheld, None
            self._about_me(claim, None, 0, accuser, now)

    def withdraw(self, now: float) -> None:
        """Who has failed for the others has heard little: whom nobody else doubts we do not doubt any more."""
        self.on_withdrawn()
        for name in self.suspicions.of_ours_alone(self.me.name):
            entry = self.entries[name]
            self._set(entry, entry.claim._replace(status=ALIVE), now)
            self._queue.drop(("state", name))
            self._emit(MemberRecovered(entry.view()))

    def come_back(self, now: float) -> None:
        """The hold-down is over, if no probe was missed meanwhile."""
        held = self.damping.due(now)
        if held is not None:
            self._refute(held, 0)

    def _refute(self, incarnation: int, version: int) -> None:
        """Raise our incarnation over the claim's, and our version over what somebody says that it is.

        Where the numbers end we begin a new run instead (hashicorp/memberlist #358: the incarnation overflowed to 0).
        """
        me = self.me
        if incarnation >= MAX_NUMBER or version >= MAX_NUMBER:
            self._new_run(me.run + 1)
            return
        if not self.damping.is_holding:
            self._set(me, Claim(me.run, incarnation + 1, ALIVE), me.changed_at)
        if version > me.version:
            me.record = replace(me.record, version=version + 1)
            self._emit(Published(me.run, me.version, dict(me.tags)))
        self.announce()

    # Our name in another's hands.

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
        self.damping.end()
        self._asked = -1
        self._set(self.me, Claim(min(run, MAX_NUMBER), 0, ALIVE), self.me.changed_at)
        self.announce()
        self._emit(MemberJoined(self.me.view()))
        self._emit(Published(self.me.run, self.me.version, dict(self.me.tags)))


def left_message(entry: Entry) -> Left:
    return Left(entry.name, entry.run, entry.incarnation)
