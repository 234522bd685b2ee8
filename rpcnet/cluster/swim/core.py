"""The SWIM core: datagrams and `now` in, effects out.

Puts the parts together: reads packets, answers them, and does what is due. Sans-IO: no asyncio, no socket, no clock;
time and randomness are given, and equal inputs give equal effects in equal order. Bytes that are no packet of this
cluster change nothing but a counter, and get no answer.

SWIM (DSN 2002), Lifeguard (arXiv 1707.00788). Push-pull and gossip ticks as in memberlist.
"""

from collections.abc import Callable, Mapping, Sequence
from math import ceil, log2
from random import Random

from msgspec import Raw

from rpcnet.cluster.errors import ClusterClosed, InvalidTag, TagsTooLarge
from rpcnet.cluster.swim import tags as tag_rules
from rpcnet.cluster.swim.awareness import Awareness
from rpcnet.cluster.swim.dissemination import Dissemination, transmissions
from rpcnet.cluster.swim.effect import Effect, Exchange, Flushed, Published, Send, Stats
from rpcnet.cluster.swim.event import MemberJoined
from rpcnet.cluster.swim.member import ALIVE, DEAD, SUSPECT, Claim, Entry, Member
from rpcnet.cluster.swim.message import (
    VERSION,
    Ack,
    Alive,
    BadPacket,
    Dead,
    IndirectPing,
    Left,
    Message,
    Nack,
    Packet,
    Ping,
    State,
    Suspect,
    Tags,
    decode,
    encode,
    encode_message,
)
from rpcnet.cluster.swim.prober import Prober
from rpcnet.cluster.swim.table import Table, Timer, alive_message, claim_message, left_message, record_of
from rpcnet.cluster.swim.timers import Timers
from rpcnet.config import ClusterConfig

__all__ = ["Core"]

MAX_EXCHANGES = 16
"""Streams that we hold open at once."""
FIRST_RETRY = 0.1
"""Seconds until seeds that did not answer at start are tried again; doubles up to reconnect_interval."""
ALWAYS_LATE = 5
"""After so many late timers in a row we are not stalled but slow: time must run again, or no death is ever found."""
LEAVE_ROUNDS = 5
"""After so many rounds a leave is told well enough, if anybody has acknowledged it."""
LEAVE_AT_LEAST = 16
"""So many members are told directly of a leave."""
SYNC_INTERVAL, SYNC_MEMBERS = 1.0, 128
"""Push-pull out of turn at most once in so many seconds, and rarer above so many members."""
SEVERAL = 32
"""Above so many members push-pull becomes rarer: their number of exchanges grows with n (memberlist util.go)."""


class Core:
    """One member of a cluster. Every method that may have an effect returns the list of effects, in order."""

    def __init__(
        self,
        name: str,
        address: str,
        *,
        run: int,
        config: ClusterConfig,
        random: Random,
        seeds: Sequence[str] = (),
        services: Mapping[str, str] | None = None,
        room: int | None = None,
    ) -> None:
        """`run` is the wall clock in µs; `room` is how many bytes a packet may take (default max_datagram_bytes)."""
        self.stats = Stats()
        self.awareness = Awareness(config.max_awareness)
        self._config, self._random = config, random
        self._room = room or config.max_datagram_bytes
        self._out: list[Effect] = []
        self._timers: Timers[Timer] = Timers()
        self._queue = Dissemination()
        me = Entry(name, Claim(run, 0, ALIVE), address, dict(services or {}), 0, {}, 0.0)
        self._check_room(me, {})
        self._table = Table(me, config, queue=self._queue, timers=self._timers, stats=self.stats, emit=self._emit)
        self._table.on_up = self._came_up
        self._table.on_refuted = self._refuted
        self._prober = Prober(
            self._table,
            config,
            random=random,
            timers=self._timers,
            awareness=self.awareness,
            stats=self.stats,
            outside=lambda: self,
        )
        self._seeds: dict[str, str | None] = {seed: None for seed in seeds if seed != address}
        """Each seed, and the member that answered there."""
        self._exchanges: dict[int, str] = {}
        """Open exchanges: the seed they join at, or ""."""
        self._exchange_count = 0
        self._retry = FIRST_RETRY
        self._synced_at = float("-inf")
        self._awake_at = 0.0
        self._late_in_a_row = 0
        self._running = False
        self._leaving: dict[str, int] | None = None
        """Members that have not acknowledged our leave, with the sequence of their ping."""
        self._leave_rounds = self._leave_acks = 0
        self._leave_until = 0.0
        self._reply: list[Message] | None = None
        self._source = ""
        self._due: dict[str, Callable[[str | int, float], None]] = {
            "probe": lambda _, now: self._prober.period(now),
            "probe_timeout": lambda _, now: self._prober.timed_out(now),
            "relay": lambda sequence, now: self._prober.relay_due(int(sequence), now),
            "suspicion": lambda name, now: self._table.give_up(str(name), now),
            "gossip": lambda _, now: self._gossip(),
            "push_pull": lambda _, now: self._push_pull(now),
            "reconnect": lambda _, now: self._reconnect(now),
            "reap": lambda _, now: self._reap(now),
            "leave": lambda _, now: self._leave_round(now),
        }

    # What it knows.

    @property
    def me(self) -> Member:
        return self._table.me.view()

    @property
    def has_joined(self) -> bool:
        """Whether somebody else has answered since the start, or there was nobody to ask."""
        return self._table.has_joined

    def members(self, *, all: bool = False) -> list[Member]:
        """Alive and suspect ones, ourselves included, by name; `all` adds those that failed or left."""
        entries = (entry for entry in self._table.entries.values() if entry.is_up or (all and entry.was_seen))
        return [entry.view() for entry in sorted(entries, key=lambda entry: entry.name)]

    def member(self, name: str) -> Member | None:
        entry = self._table.entries.get(name)
        return entry.view() if entry is not None and entry.was_seen else None

    def next_deadline(self) -> float | None:
        return self._timers.next()

    # What it is told to do.

    def start(self, now: float) -> list[Effect]:
        config, me = self._config, self._table.me
        self._running, self._awake_at, me.changed_at = True, now, now
        self._table.announce()
        self._emit(MemberJoined(me.view()))
        self._emit(Published(me.run, me.version, dict(me.tags)))
        self._prober.start(now)
        self._timers.set(("reap", ""), now + self._reap_interval())
        if config.push_pull_interval:
            self._timers.set(("push_pull", ""), now + config.push_pull_interval * (0.5 + self._random.random()))
        for seed in self._seeds:
            self._exchange(seed, seed)
        self._table.has_joined = not self._seeds
        if config.reconnect_interval:
            self._timers.set(("reconnect", ""), now + self._retry)
        return self._take(now)

    def set_tags(self, tags: Mapping[str, str], now: float) -> list[Effect]:
        """Replace all our tags: one version. Raises TagsTooLarge and changes nothing where they do not fit."""
        if not self._running or self._leaving is not None:
            raise ClusterClosed(f"cluster member {self._table.me.name} is not running: tags can be set until it leaves")
        tag_rules.size(tags, self._config.max_tags_bytes)
        self._check_room(self._table.me, tags)
        self._table.publish(tags)
        return self._take(now)

    def leave(self, now: float) -> list[Effect]:
        """Tell the others that we go; `Flushed` says when enough of them have heard it."""
        if not self._running or self._leaving is not None:
            return []
        told = max(LEAVE_AT_LEAST, self._transmissions())
        self._leaving = dict.fromkeys(self._prober.ring.sample(told, self._is_up), -1)
        self._leave_until = now + self._config.leave_timeout
        self._prober.stop()
        for kind in ("probe", "probe_timeout", "push_pull", "reconnect", "reap"):
            self._timers.cancel((kind, ""))
        for name in list(self._table.suspicions):
            self._timers.cancel(("suspicion", name))
        self._table.leave(now)
        self._leave_round(now)
        return self._take(now)

    def stop(self) -> None:
        """Do nothing any more, whatever comes."""
        self._running = False
        self._timers.clear()
        self._queue.clear()
        self._exchanges.clear()

    # What comes in.

    def handle(self, data: bytes, source: str, now: float) -> list[Effect]:
        """One datagram, and the address that it came from."""
        self._notice(now)
        self.stats.datagrams_received += 1
        self.stats.bytes_received += len(data)
        packet = self._open(data)
        if packet is not None:
            self._source = source
            for message in packet.messages:
                if not isinstance(message, State):
                    self._read(message, packet.name, now)
            self._answer_sender(packet, source, now)
        return self._take(now)

    def handle_stream(self, data: bytes, source: str, now: float) -> tuple[bytes | None, list[Effect]]:
        """One request on a stream: the answer (None: close it), and effects."""
        self._notice(now)
        packet = self._open(data)
        if packet is None:
            return None, self._take(now)
        self._source, self._reply = source, []
        for message in packet.messages:
            if isinstance(message, State):
                self._merge(message, packet.name, now, spread=True)
                self._reply.append(self._state(now))
            elif isinstance(message, Ping):
                self._read(message, packet.name, now)
        reply, self._reply = self._reply, None
        return (self._packet([encode_message(message) for message in reply]) if reply else None), self._take(now)

    def exchanged(self, number: int, data: bytes, now: float) -> list[Effect]:
        """The answer to an Exchange."""
        self._notice(now)
        seed = self._exchanges.pop(number, None)
        packet = self._open(data, may_be_me=True)
        if seed is None or packet is None:
            return self._take(now)
        if packet.name == self._table.me.name and packet.run == self._table.me.run:
            self._seeds.pop(seed, None)  # that seed is ourselves, under another address
            self._table.has_joined = self._table.has_joined or not self._seeds
            return self._take(now)
        for message in packet.messages:
            if isinstance(message, State):
                first = not self._table.has_joined
                held = len(self._table.entries)
                self._merge(message, packet.name, now, spread=not first)
                self._table.has_joined = True
                if seed:
                    self._seeds[seed] = packet.name
                    if not first and held > 1 and len(self._table.entries) > held:
                        self._sync(packet.name, now)  # two islands meet in us: the other does not know the first yet
            elif isinstance(message, Ack):
                self._prober.acked(message.sequence)
        return self._take(now)

    def exchange_failed(self, number: int, now: float) -> list[Effect]:
        self._notice(now)
        self._exchanges.pop(number, None)
        return self._take(now)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due. Call it when `next_deadline` has come, after everything received was handed in."""
        deadline = self._timers.next()
        if deadline is not None and now - deadline > self._config.late_timer_tolerance:
            self._stalled(now)
        else:
            self._late_in_a_row = 0
        self._awake_at = now
        while (key := self._timers.pop_due(now)) is not None:
            kind, about = key
            self._due[kind](about, now)
        return self._take(now)

    # Packets.

    def _open(self, data: bytes, *, may_be_me: bool = False) -> Packet | None:
        """The packet in these bytes, if it is one for us."""
        if not self._running:
            return None
        try:
            packet = decode(data)
        except BadPacket:
            self.stats.malformed += 1
            return None
        if packet.version != VERSION:
            self.stats.foreign_version += 1
        elif packet.cluster != self._config.cluster_name:
            self.stats.foreign_cluster += 1
        elif may_be_me or packet.name != self._table.me.name or packet.run != self._table.me.run:
            return packet
        return None

    def _read(self, message: Message, sender: str, now: float) -> None:
        table = self._table
        match message:
            case Ping(sequence=sequence, target=target, digest=digest):
                if target == table.me.name:
                    self.send(self._source, [Ack(sequence)], to=sender)
                    self._compare(sender, digest, now)
            case Ack(sequence=sequence):
                self._acked(sequence)
            case IndirectPing():
                self._prober.help(message, self._source, now)
            case Nack(sequence=sequence):
                self._prober.nacked(sequence)
            case Alive():
                table.alive(message, now)
            case Suspect():
                table.suspect(message, now)
            case Dead():
                table.declare(message, now)
            case Left():
                table.left(message, now)
            case Tags():
                table.tags(message)

    def _answer_sender(self, packet: Packet, source: str, now: float) -> None:
        """Whoever sends has a right to know what we hold of it; whom we do not know, we ask for its table."""
        entry = self._table.entries.get(packet.name)
        if entry is None or packet.run > entry.run or not entry.was_seen:
            if self._leaving is None:
                self._sync_address(source, now)
        elif (packet.run < entry.run or entry.status == DEAD) and not self._has_sent(source):
            self.send(source, [], to=packet.name, gossip=False)

    def _has_sent(self, address: str) -> bool:
        return any(isinstance(effect, Send) and effect.address == address for effect in self._out)

    def send(self, address: str, messages: list[Message], *, to: str | None = None, gossip: bool = True) -> None:
        """One datagram: the messages, what we hold against the receiver (Lifeguard §IV.C), and as much news as fits."""
        if self._reply is not None:
            self._reply.extend(messages)
            return
        if not address:
            return
        raws = [encode_message(message) for message in messages]
        entry = self._table.entries.get(to) if to is not None else None
        if entry is not None and entry is not self._table.me and entry.status in (SUSPECT, DEAD):
            raws.append(encode_message(claim_message(entry, self._table.me.name)))
        size = len(self._packet(raws)) + 4
        if gossip:
            news = self._queue.take(self._room - size, self._transmissions())
            raws.extend(news)
        data = self._packet(raws)
        self.stats.datagrams_sent += 1
        self.stats.bytes_sent += len(data)
        self._out.append(Send(address, data))

    def _packet(self, messages: Sequence[Raw]) -> bytes:
        return encode(self._config.cluster_name, self._table.me.name, self._table.me.run, messages)

    # Gossip.

    def _gossip(self) -> None:
        """News to a few at random, and to one that died lately: one wrongly dead learns of it and refutes."""
        table = self._table
        names = self._prober.ring.sample(self._config.gossip_fanout, self._is_up)
        if not names and table.up <= 1:
            self._queue.clear()  # nobody to tell; whoever comes gets the whole table
        since = self._awake_at - self._config.gossip_to_dead_time
        dead = [name for name in table.dead if table.entries[name].changed_at >= since]
        for name in [*names, *([self._random.choice(dead)] if dead else [])]:
            if self._queue:
                self.send(table.entries[name].address, [], to=name)

    def _transmissions(self) -> int:
        return transmissions(self._config.retransmit_multiplier, self._table.up)

    # Push-pull.

    def _push_pull(self, now: float) -> None:
        for name in self._prober.ring.sample(1, self._is_up):
            self._exchange(self._table.entries[name].address, "")
        scale = ceil(log2(self._table.up) - log2(SEVERAL)) + 1 if self._table.up > SEVERAL else 1
        self._timers.set(("push_pull", ""), now + self._config.push_pull_interval * scale)

    def _sync(self, name: str, now: float) -> None:
        entry = self._table.entries.get(name)
        if entry is not None:
            self._sync_address(entry.address, now)

    def _sync_address(self, address: str, now: float) -> None:
        """A push-pull out of turn; few enough that nobody can make us busy with them, rarer where tables are large."""
        if now - self._synced_at >= SYNC_INTERVAL * max(1.0, len(self._table.entries) / SYNC_MEMBERS):
            self._synced_at = now
            self._exchange(address, "")

    def _compare(self, sender: str, digest: int, now: float) -> None:
        """Tables that differ while there is no news to tell have missed something: repair that now."""
        if digest != self._table.digest and not self._queue and self._leaving is None and self._is_up(sender):
            self._sync(sender, now)

    def _exchange(self, address: str, seed: str) -> None:
        if address and len(self._exchanges) < MAX_EXCHANGES and (not seed or seed not in self._exchanges.values()):
            self._ask(address, seed, [self._state(self._awake_at)], self._config.tcp_timeout)

    def _ask(self, address: str, seed: str, messages: list[Message], timeout: float) -> None:
        self._exchange_count += 1
        self._exchanges[self._exchange_count] = seed
        self.stats.exchanges += 1
        data = self._packet([encode_message(message) for message in messages])
        self._emit(Exchange(self._exchange_count, address, data, timeout))

    def _state(self, now: float) -> State:
        return State([record_of(entry, now) for entry in self._table.entries.values()])

    def _merge(self, state: State, sender: str, now: float, *, spread: bool) -> None:
        for record in state.records:
            self._table.record(record, sender, now, spread=spread)

    # Those that cannot be reached.

    def _reconnect(self, now: float) -> None:
        """Try one member that failed, or one seed, for ever: partitions heal."""
        seeds = [seed for seed, name in self._seeds.items() if name is None or not self._is_up(name)]
        failed = [entry for entry in map(self._table.entries.__getitem__, self._table.dead) if entry.address]
        if self.has_joined:
            place = self._random.randrange(len(seeds) + len(failed)) if seeds or failed else 0
            seeds, failed = seeds[place : place + 1], failed[max(0, place - len(seeds)) :][: place >= len(seeds)]
        for seed in seeds:
            self._exchange(seed, seed)
        for entry in failed[:1]:
            self.send(
                entry.address, [Ping(self._prober.next_sequence(), entry.name, self._table.digest)], to=entry.name
            )
        self._retry = min(self._retry * 2, self._config.reconnect_interval)
        self._timers.set(("reconnect", ""), now + self._retry)

    def _came_up(self, entry: Entry, returned: bool) -> None:
        self._prober.ring.add(entry.name)
        if returned and self._leaving is None:
            # It may have been cut off together with others: compare tables.
            self._sync(entry.name, self._awake_at)

    # What the table and the prober ask for.

    def _refuted(self, accuser: str) -> None:
        """We were accused: some of it may be our own fault. The accuser hears the refutation first."""
        self.awareness.change(1)
        entry = self._table.entries.get(accuser)
        if entry is not None and entry is not self._table.me and entry.address:
            self.send(entry.address, [alive_message(self._table.me)], to=accuser)

    def accuse(self, entry: Entry, now: float) -> None:
        self._table.suspect(Suspect(entry.name, entry.run, entry.incarnation, self._table.me.name), now)

    def ask_stream(self, entry: Entry, message: Ping, timeout: float) -> None:
        self._ask(entry.address, "", [message], min(timeout, self._config.tcp_timeout))

    def _acked(self, sequence: int) -> None:
        if self._leaving is None:
            self._prober.acked(sequence)
            return
        for name in [name for name, sent in self._leaving.items() if sent == sequence]:
            del self._leaving[name]
            self._leave_acks += 1
            if not self._leaving:
                self._emit(Flushed())

    # Leaving.

    def _leave_round(self, now: float) -> None:
        """Tell each of the chosen that has not acknowledged it yet; all others hear it by gossip."""
        leaving = self._leaving
        assert leaving is not None, "a leave round without a leave"
        for name in [name for name in leaving if not self._is_up(name)]:
            del leaving[name]
        told = self._leave_rounds >= LEAVE_ROUNDS and self._leave_acks > 0
        if not leaving or told or now >= self._leave_until:
            self._emit(Flushed())
            return
        self._leave_rounds += 1
        for name in leaving:
            leaving[name] = self._prober.next_sequence()
            messages: list[Message] = [Ping(leaving[name], name, self._table.digest), left_message(self._table.me)]
            self.send(self._table.entries[name].address, messages, to=name)
        self._timers.set(("leave", ""), now + self._config.gossip_interval)

    # Time.

    def _notice(self, now: float) -> None:
        """We are awake: as long as no timer is late, a later stall has not begun yet."""
        deadline = self._timers.next()
        if deadline is None or now - deadline <= self._config.late_timer_tolerance:
            self._awake_at = now

    def _stalled(self, now: float) -> None:
        """Our timers are late: what others did meanwhile is not known, and nobody's time has run."""
        stall = now - self._awake_at
        self.stats.late_timers += 1
        self.awareness.change(1)
        self._late_in_a_row += 1
        if self._late_in_a_row > ALWAYS_LATE:
            return
        self._table.shift_suspicions(stall)
        self._prober.void()
        if stall >= self._config.probe_interval and self._leaving is None:
            for name in self._prober.ring.sample(1, self._is_up):
                self._sync(name, now)

    def _reap_interval(self) -> float:
        return min(60.0, self._config.tombstone_time / 4)

    def _reap(self, now: float) -> None:
        self._table.forget(now - self._config.tombstone_time)
        self._timers.set(("reap", ""), now + self._reap_interval())

    # Small things.

    def _is_up(self, name: str) -> bool:
        entry = self._table.entries.get(name)
        return entry is not None and entry.is_up

    def _check_room(self, me: Entry, tags: Mapping[str, str]) -> None:
        """Our whole record must fit into one datagram."""
        highest = Alive(me.name, me.run, 2**32, me.address, dict(me.services), 2**32, dict(tags))
        try:
            size = len(encode(self._config.cluster_name, me.name, me.run, [encode_message(highest)])) + 4
        except UnicodeEncodeError as error:
            raise InvalidTag(f"the record of {me.name!r} holds text that is not valid Unicode: {error}") from None
        if size > self._room:
            raise TagsTooLarge(
                f"the record of {me.name} (name, address, services, tags) takes {size} bytes, more than"
                f" max_datagram_bytes leaves ({self._room}); shorten it"
            )

    def _emit(self, effect: Effect) -> None:
        self._out.append(effect)

    def _take(self, now: float) -> list[Effect]:
        if self._queue and self._running and ("gossip", "") not in self._timers:
            self._timers.set(("gossip", ""), now + self._config.gossip_interval)
        out, self._out = self._out, []
        return out
