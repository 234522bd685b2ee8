"""The shell of membership: one SWIM core, its sockets, its timer, its watchers.

Feeds the core what comes in, carries out what comes out, and arms one timer for its next deadline. Holds no rule of the
protocol but one that is about event loops: a late timer waits until everything already received has been read.
"""

import asyncio
import logging
import random as random_module
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from math import inf
from types import TracebackType
from typing import Self

from rpcnet import observe
from rpcnet.address import is_literal, is_loopback, split_host_port
from rpcnet.cluster.errors import ClusterClosed, InvalidRecord, NameInUse, NotPermitted
from rpcnet.cluster.registry import Registry
from rpcnet.cluster.seal.checksummed import Checksummed
from rpcnet.cluster.seal.envelope import Envelope
from rpcnet.cluster.seal.keyring import Keyring
from rpcnet.cluster.seal.sealed import Sealed
from rpcnet.cluster.seal.unopened import Unopened
from rpcnet.cluster.swim import record as record_rules
from rpcnet.cluster.swim import tags as tag_rules
from rpcnet.cluster.swim.core import Core
from rpcnet.cluster.swim.effect import Effect, Exchange, Flushed, NameTaken, Noticed, Published, Send, Stats
from rpcnet.cluster.swim.event import (
    ClusterEvent,
    Condition,
    Healed,
    HeldDown,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    Partitioned,
    Released,
    ServicesChanged,
    TagsChanged,
)
from rpcnet.cluster.swim.member import Member
from rpcnet.cluster.transport import Transport
from rpcnet.cluster.watch import Watch
from rpcnet.config import ClusterConfig

__all__ = ["Cluster"]

log = logging.getLogger("rpcnet.cluster")

NOTICE_INTERVAL, MAX_NOTICED = 60.0, 64
"""Seconds between two equal warnings, and how many different ones are told in that time: others cause them."""

# How the trace calls what happened (docs/trace.md).
WITH_RECORD: dict[type[ClusterEvent], str] = {MemberJoined: "member_joined", MemberRecovered: "member_recovered"}
VERDICT: dict[type[ClusterEvent], str] = {
    MemberSuspected: "member_suspected",
    MemberFailed: "member_failed",
    MemberLeft: "member_left",
}
CONDITION: dict[type[Condition], str] = {
    Partitioned: "partitioned",
    Healed: "healed",
    HeldDown: "held_down",
    Released: "released",
}


class Cluster:
    """One member of a cluster. `async with` joins, and leaves at the end, flushed."""

    def __init__(
        self,
        name: str,
        bind: str,
        *,
        join: Iterable[str] = (),
        services: Mapping[str, str] | None = None,
        advertise: str | None = None,
        config: ClusterConfig | None = None,
        keyring: Keyring | None = None,
        random: random_module.Random | None = None,
        wall_clock: Callable[[], float] | None = None,
    ) -> None:
        """A member that will be known as `name`.

        bind: `host:port` for datagrams and streams; port 0 takes a free one. join: seeds, `host:port`, names too.
        services: addresses of what it offers, by name. advertise: the address told to others, where it is not the bound
        one; each as others can reach it. keyring: seals all that members exchange; who has none of its keys gets no
        word. Its keys may be changed while this member runs. random, wall_clock: given in tests. Raises InvalidRecord
        or another ValueError for what no other member could use, TypeError for what is of another type.
        """
        record_rules.check_name(name)
        record_rules.check_services(services if services is not None else {})
        if keyring is not None and not isinstance(keyring, Keyring):
            raise TypeError(f"keyring is a Keyring, as Keyring.from_file makes it, not {type(keyring).__name__}")
        if config is not None and not isinstance(config, ClusterConfig):
            raise TypeError(f"config is a ClusterConfig, as ClusterConfig.lan() makes it, not {config!r}")
        split_host_port(bind)
        seeds = _seeds(join)
        if advertise is not None:
            record_rules.check_address(advertise, "advertise")
        self.name = name
        self.keyring = keyring
        """Its keys may be changed at any time; None = plain datagrams, with a checksum."""
        self.registry = Registry(lambda: self.me, self.member, self._register)
        self._bind, self._join, self._advertise = bind, seeds, advertise
        self._services = dict(services or {})
        self._config = config if config is not None else ClusterConfig.lan()
        self._random = random if random is not None else random_module.Random()
        # Looked up here, not in the signature: a default value would escape whoever replaces time.time.
        self._wall_clock = wall_clock if wall_clock is not None else time.time
        self.stats = Stats()
        """Counters: what was sent, received, refused."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """Where it was started: its sockets and timers work there alone."""
        self._core: Core | None = None
        self._transport: Transport | None = None
        self._observer: observe.Observer | None = None
        self._watches: dict[Watch, None] = {}
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._armed = inf
        self._is_joining = True
        """Whether the core has met nobody yet."""
        self._joined = asyncio.Event()
        self._flushed = asyncio.Event()
        self._closed = asyncio.Event()
        self._opening: asyncio.Task[str] | None = None
        self._refused_because: NameInUse | None = None
        """Why start() ends with this error."""
        self._has_started = False
        self._is_running = False
        self._is_leaving = False
        self._has_warned = False
        self._noticed: dict[tuple[str, str], float] = {}
        """When each warning may be logged again."""

    # Coming and going.

    async def start(self) -> None:
        """Bind, join, and return once a seed has answered, or after join_timeout: joining then goes on for ever.

        Raises AddressInUse, or another OSError where the address cannot be bound for another reason; NotPermitted for
        an address or a seed other than loopback without key or `insecure`; InvalidRecord for a clock before 1970;
        NameInUse where a process of this name answers at another address; TagsTooLarge where name, address and services
        do not fit into a datagram; ClusterClosed where it was started before, or is left meanwhile.
        """
        if self._has_started or self._is_leaving:
            raise ClusterClosed(f"cluster member {self.name} was started or left before; make a new Cluster")
        self._has_started = True  # before anything is awaited: of two starts at once one raises
        self._loop = loop = asyncio.get_running_loop()
        self._observer = observe.current()
        envelope = self._envelope()
        self._transport = transport = Transport(
            self, self._config, self.stats, envelope, only_loopback=self._may_not_leave_this_machine
        )
        try:
            bound = await self._opened(transport)
            address = self._address(bound)
            self._core = core = Core(
                self.name,
                address,
                run=record_rules.run_at(self._wall_clock()),
                config=self._config,
                random=self._random,
                seeds=self._join,
                services=self._services,
                room=self._config.max_datagram_bytes - envelope.overhead,
                stats=self.stats,
            )
        except BaseException:
            self._is_leaving = True
            try:
                await transport.close()
            finally:
                self._stop()
                self._closed.set()
            raise
        self._is_running = True
        self._record("cluster_started", member=self.name, run=core.me.run, address=address)
        now = loop.time()
        self._do(core.start(now), now)
        for watch in self._watches:
            watch.begin(self.members())
        try:
            await self._wait_for_seed(loop)
        except BaseException:
            await self.leave()
            raise
        if self._refused_because is not None:
            await self._leave_unheard()
            raise self._refused_because
        if self._is_leaving:
            raise self._left_early()

    async def leave(self) -> None:
        """Tell the others, wait until they have heard it (at most leave_timeout), close everything. Again: nothing.

        A start that is under way ends at once, with ClusterClosed. Cancelling the leave closes at once. Raises
        RuntimeError in another event loop than that of the start, as any other use does.
        """
        if self._loop is not None:
            self._check_loop()
        if self._is_leaving:
            await self._closed.wait()
            return
        self._is_leaving = True
        if self._opening is not None:
            self._opening.cancel()
            await self._closed.wait()
            return
        self._joined.set()
        if self._core is None or self._transport is None:
            self._stop()
            self._closed.set()
            return
        try:
            now = self._now()
            self._do(self._core.leave(now), now)
            await self._flushed.wait()
            self._record("cluster_left")
        finally:
            self._stop()
            try:
                await self._transport.close()
            finally:
                self._closed.set()

    async def _leave_unheard(self) -> None:
        """Close everything and say nothing: whoever has our name has not left."""
        self._is_leaving = True
        self._stop()
        assert self._transport is not None, "started without a transport"
        try:
            await self._transport.close()
        finally:
            self._closed.set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.leave()

    # What is known.

    @property
    def address(self) -> str:
        """The address that others know this member by."""
        return self.me.address

    @property
    def me(self) -> Member:
        return self._running.me

    @property
    def is_running(self) -> bool:
        """Whether it was started and not left yet."""
        return self._is_running

    @property
    def is_partitioned(self) -> bool:
        """Whether this member has not seen a majority of the cluster for a while; `expected_size` of the config."""
        return self._running.is_partitioned

    @property
    def is_held_down(self) -> bool:
        """Whether the others hold this member for failed, again, and it stays out for a while; `hold_down` of the
        config."""
        return self._running.is_held_down

    def members(self, *, all: bool = False) -> list[Member]:
        """Alive and suspect members, ourselves included, by name; `all` adds those that failed or left."""
        return self._running.members(all=all)

    def member(self, name: str) -> Member | None:
        """What is known of one member, whatever its state; None = nothing."""
        return self._running.member(name)

    def phi(self, name: str) -> float | None:
        """How unusual this member's present silence is, by phi accrual (Hayashibara et al., 2004): some 1 at times,
        8 hardly ever while it is there. A figure, no verdict.

        Counting begins with the first question, whoever it is about. None for oneself, one that is not up, and one of
        which too little was heard yet.
        """
        return self._running.phi(name, self._now())

    def seconds_in_status(self, name: str) -> float | None:
        """How long this member has had its status here; None = nothing is known of it."""
        return self._running.seconds_in_status(name, self._now())

    def watch(self, **tags: str) -> Watch:
        """Follow the members that carry these tags: `async with cluster.watch(role="worker") as view`.

        It may be opened before the start: then its snapshot is that of the start. Opening it raises ClusterClosed once
        the cluster was left. Raises InvalidTag for a tag that no member can carry, as a number is.
        """
        tag_rules.check(tags, deletes=False)
        return Watch(tags, self._config.max_watch_events, self._snapshot, self._watches)

    def _snapshot(self) -> list[Member]:
        if self._is_running:
            self._check_loop()
            return self.members()
        if self._is_leaving:
            raise ClusterClosed(f"cluster member {self.name} was left: there is nothing to watch")
        return []

    # What we say of ourselves.

    async def register_self(self, tags: tag_rules.TagPairs) -> None:
        """Announce these tags, and no others: one batch. Raises InvalidTag, TagsTooLarge, ClusterClosed."""
        self._register(tags)

    async def update_tags(self, changes: Mapping[str, str | None] | Iterable[tuple[str, str | None]]) -> None:
        """Change some tags, all at once; None deletes one. One version, one update, one event.

        Applied here when it returns; the others follow by gossip and see the batch whole or not at all. Raises
        InvalidTag, TagsTooLarge, ClusterClosed, and then changes nothing.
        """
        core = self._running
        self._set_tags(tag_rules.changed(core.me.tags, tag_rules.check(changes, deletes=True)))

    async def update_tag(self, key: str, value: str | None) -> None:
        """Change one tag; None deletes it."""
        await self.update_tags({key: value})

    async def update_services(self, changes: Mapping[str, str | None] | Iterable[tuple[str, str | None]]) -> None:
        """Change the addresses of some services, all at once; None deletes one. One update, one ServicesChanged.

        As with tags the others see all of it or nothing. Raises InvalidRecord, TagsTooLarge, ClusterClosed, and then
        changes nothing.
        """
        core = self._running
        try:
            merged = {**core.me.services, **dict(changes)}
        except (TypeError, ValueError):
            raise InvalidRecord(f"services are a mapping or (name, address) pairs, not {changes!r}") from None
        services = {name: address for name, address in merged.items() if address is not None}
        now = self._now()
        self._do(core.set_services(services, now), now)

    def _register(self, tags: tag_rules.TagPairs) -> None:
        self._set_tags(tag_rules.changed({}, tag_rules.check(tags, deletes=False)))

    def _set_tags(self, tags: dict[str, str]) -> None:
        now = self._now()
        self._do(self._running.set_tags(tags, now), now)

    # What comes in (transport.Receiver).

    def datagram(self, data: bytes, source: str) -> None:
        core, loop = self._core, self._loop
        assert core is not None and loop is not None, "a transport of a member that was not started"
        now = loop.time()
        self._do(core.handle(data, source, now), now)

    def request(self, data: bytes, source: str) -> bytes | None:
        now = self._now()
        answer, effects = self._running.handle_stream(data, source, now)
        self._do(effects, now)
        return answer

    def is_answer(self, data: bytes) -> bool:
        return self._running.is_answer(data)

    def answered(self, number: int, data: bytes) -> None:
        now = self._now()
        self._do(self._running.exchanged(number, data, now), now)

    def unopened(self, why: Unopened, source: str, *, asked: bool = False) -> None:
        stats = self.stats
        setattr(stats, why.reason, getattr(stats, why.reason) + 1)
        if why.should_be_told:
            self._notice(Noticed((why.reason, ""), f"does not open what comes from {source}: {why}"))
        elif asked:
            self._notice(Noticed((why.reason, source), f"what answers at {source} is no member of a cluster"))

    def of_other_family(self, address: str) -> None:
        text = (
            f"sends no datagrams to {address}: it is bound to {self._bind}, and IPv4 and IPv6 do not reach each other"
        )
        self._notice(Noticed(("family", ""), text))

    def unanswered(self, number: int, *, refused: bool) -> None:
        now = self._now()
        self._do(self._running.exchange_failed(number, now, refused=refused), now)

    # What the core wants.

    def _do(self, effects: list[Effect], now: float) -> None:
        core, transport = self._core, self._transport
        assert core is not None and transport is not None, "what a core wants, and neither it nor a transport"
        for effect in effects:
            if type(effect) is Send:  # nearly all of them
                transport.send(effect.address, effect.data, effect.to)
            else:
                self._carry_out(effect, transport)
        if self._is_joining and core.has_joined:
            self._is_joining = False
            self._joined.set()
        if self.stats.name_conflicts and not self._has_warned:
            self._has_warned = True
            log.warning("%s: a newer process has this name; the others see that one, not this. Rename one", self.name)
        if core.next_deadline() != self._armed:
            self._arm(core, now)

    def _carry_out(self, effect: Effect, transport: Transport) -> None:
        match effect:
            case ClusterEvent():
                self._happened(effect)
            case Exchange(number, address, data, timeout, to):
                transport.exchange(number, address, data, timeout, to)
            case Published(run, version, tags):
                self._record("tags_published", member=self.name, run=run, version=version, tags=tags)
            case Flushed():
                self._flushed.set()
            case NameTaken(address):
                self._name_taken(address)
            case Noticed():
                self._notice(effect)
            case Partitioned() | Healed() | HeldDown() | Released():
                self._record(CONDITION[type(effect)], **asdict(effect))
                self._tell_watches(effect)

    def _happened(self, event: ClusterEvent) -> None:
        member, kind = event.member, type(event)
        if self._transport is not None and kind in (MemberJoined, MemberSuspected):
            # It may have moved, if it is known by a name: a newer run, or one that does not answer where it was.
            self._transport.doubt(member.address)
        if self._observer is None:
            pass
        elif kind in VERDICT:
            self._record(VERDICT[kind], member=member.name, run=member.run, incarnation=member.incarnation)
        elif kind in WITH_RECORD:
            self._record(
                WITH_RECORD[kind],
                member=member.name,
                run=member.run,
                incarnation=member.incarnation,
                address=member.address,
                tags=dict(member.tags),
                version=member.version,
            )
        elif kind is ServicesChanged:
            self._record("services_changed", member=member.name, run=member.run, services=dict(member.services))
        elif kind is TagsChanged and member.name != self.name:
            self._record(
                "tags_changed", member=member.name, run=member.run, version=member.version, tags=dict(member.tags)
            )
        self._tell_watches(event)

    def _tell_watches(self, event: ClusterEvent | Condition) -> None:
        for watch in self._watches:
            watch.feed(event)

    def _name_taken(self, address: str) -> None:
        text = f"the name {self.name!r} is in use by a process that answers at {address}"
        if not self._joined.is_set():
            self._refused_because = NameInUse(f"cluster member {self.name} cannot join: {text}")
            self._joined.set()
        else:
            self._notice(Noticed(("name", ""), f"it has not joined, and goes on to try: {text}"))

    def _notice(self, noticed: Noticed) -> None:
        """A warning, but the same one at most once a minute."""
        now = self._now()
        if len(self._noticed) >= MAX_NOTICED:
            self._noticed = {about: until for about, until in self._noticed.items() if until > now}
        if self._noticed.get(noticed.about, now) <= now and len(self._noticed) < MAX_NOTICED:
            self._noticed[noticed.about] = now + NOTICE_INTERVAL
            log.warning("%s: %s", self.name, noticed.text)

    def _record(self, event: str, **fields: object) -> None:
        if self._observer is not None:
            self._observer.record(event, **fields)

    # The timer.

    def _arm(self, core: Core, now: float) -> None:
        """One timer for the earliest deadline. Moving it costs less than waking for nothing, in each period; one that
        is due stays, or a flood that moves the deadline would put it off for ever.
        """
        deadline, loop = core.next_deadline(), self._loop
        assert loop is not None, "a core of a member that was not started"
        if deadline == inf or not self._is_running or self._armed <= now:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = deadline
        self._timer = loop.call_at(deadline, self._fired)

    def _fired(self) -> None:
        core, loop = self._running, self._check_loop()
        deadline, now = core.next_deadline(), loop.time()
        if now - deadline > self._config.late_timer_tolerance:
            # We were held up. asyncio reads one datagram a turn, and what was sent to us meanwhile must be heard before
            # anybody is judged; a flood must not postpone that for ever.
            self._drain(-1, now + self._config.late_timer_grace)
        elif deadline > now:
            # What it was for was done or cancelled meanwhile.
            self._timer, self._armed = None, inf
            self._arm(core, now)
        else:
            self._tick(now)

    def _drain(self, seen: int, until: float) -> None:
        """Come back each turn until one has brought nothing new."""
        assert self._transport is not None, "a timer without a transport"
        loop, received = self._check_loop(), self._transport.received
        if received == seen or loop.time() >= until:
            self._tick(loop.time())
        else:
            self._timer = loop.call_soon(self._drain, received, until)

    def _tick(self, now: float) -> None:
        self._timer, self._armed = None, inf
        self._do(self._running.tick(now), now)

    # Small things.

    def _now(self) -> float:
        return self._check_loop().time()

    def _check_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            raise RuntimeError(
                f"cluster member {self.name} belongs to another event loop than the one that runs here; use it in its"
                " own (asyncio.run_coroutine_threadsafe from another thread)"
            )
        return loop

    @property
    def _running(self) -> Core:
        if self._core is None:
            raise ClusterClosed(f"cluster member {self.name} is not running: start it, or use `async with`")
        return self._core

    async def _opened(self, transport: Transport) -> str:
        """The bound address. In a task of its own, so that leave() can end it, whatever is being waited for."""
        self._opening = asyncio.get_running_loop().create_task(
            transport.open(self._bind), name=f"cluster member {self.name} binds"
        )
        try:
            bound = await self._opening
        except asyncio.CancelledError:
            me = asyncio.current_task()
            if me is not None and me.cancelling():
                raise
            raise self._left_early() from None
        finally:
            self._opening = None
        if self._is_leaving:
            raise self._left_early()
        return bound

    def _left_early(self) -> ClusterClosed:
        return ClusterClosed(f"cluster member {self.name} was left while it started")

    def _envelope(self) -> Envelope:
        if self.keyring is None:
            return Checksummed()
        config = self._config
        return Sealed(self.keyring, config.cluster_name, self.name, 2 * config.max_members)  # datagrams and requests

    @property
    def _may_not_leave_this_machine(self) -> bool:
        return self.keyring is None and not self._config.insecure

    def _address(self, bound: str) -> str:
        host, _ = split_host_port(bound)
        if self._may_not_leave_this_machine:
            if not is_loopback(host):
                raise NotPermitted(
                    f"{self.name} would listen on {bound} without a key: anybody there could speak for its members;"
                    " give it keyring=, bind a loopback address, or set ClusterConfig.insecure"
                )
            for seed in self._join:
                there, _ = split_host_port(seed)
                if is_literal(there) and not is_loopback(there):
                    raise NotPermitted(
                        f"{self.name} would tell {seed} its members without a key, and anybody on the way could read"
                        " and change them; give it keyring=, or set ClusterConfig.insecure"
                    )
        if self._advertise is not None:
            return self._advertise
        if host in ("0.0.0.0", "::"):
            raise NotPermitted(f"others cannot reach {bound}: give the address that they can, advertise='HOST:PORT'")
        return bound

    async def _wait_for_seed(self, loop: asyncio.AbstractEventLoop) -> None:
        timer = loop.call_later(self._config.join_timeout, self._joined.set)
        try:
            await self._joined.wait()
        finally:
            timer.cancel()
        core, transport = self._core, self._transport
        if core is None or transport is None or core.has_joined or self._is_leaving or self._refused_because:
            return
        seeds = ", ".join(seed if transport.finds(seed) else f"{seed} (no address found)" for seed in self._join)
        log.warning("%s: no seed of %s answers yet; going on to try", self.name, seeds)

    def _stop(self) -> None:
        self._is_running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._core is not None:
            self._core.stop()
        for watch in list(self._watches):
            watch.end()
        self._watches.clear()


def _seeds(join: Iterable[str]) -> tuple[str, ...]:
    """Checked. One address as text is an iterable of its characters, and nobody means these."""
    if isinstance(join, str) or not isinstance(join, Iterable):
        raise TypeError(f"join is a list of addresses, as in ['127.0.0.1:7946'], not {join!r}")
    seeds = tuple(join)
    for seed in seeds:
        if split_host_port(seed)[1] == 0:
            raise ValueError(f"the seed {seed!r} has port 0, at which nobody listens")
    return seeds
