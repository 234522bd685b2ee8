"""The SWIM core: datagrams and `now` in, effects out.

Puts the parts together: reads packets, answers them, and does what is due. Sans-IO: no asyncio, no socket, no clock;
time and randomness are given, and equal inputs give equal effects in equal order. Bytes that are no packet of this
cluster change nothing but a counter, and get no answer.

SWIM (DSN 2002), Lifeguard (arXiv 1707.00788). Push-pull and gossip ticks as in memberlist.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from rpcnet.cluster.errors import ClusterClosed
from rpcnet.cluster.swim import record as record_rules
from rpcnet.cluster.swim import tags as tag_rules
from rpcnet.cluster.swim.awareness import Awareness
from rpcnet.cluster.swim.contacts import Contacts
from rpcnet.cluster.swim.dissemination import Dissemination
from rpcnet.cluster.swim.effect import Effect, Exchange, Flushed, NameTaken, Published, Stats
from rpcnet.cluster.swim.event import MemberJoined
from rpcnet.cluster.swim.farewell import Farewell
from rpcnet.cluster.swim.member import Entry, Member
from rpcnet.cluster.swim.message import (
    Ack,
    Alive,
    Closed,
    Dead,
    Gone,
    Holder,
    IndirectPing,
    Knock,
    Left,
    Message,
    Nack,
    Packet,
    Ping,
    Refused,
    Rows,
    State,
    Summary,
    Suspect,
    Tags,
    encode_message,
)
from rpcnet.cluster.swim.myself import left_message
from rpcnet.cluster.swim.outbox import FRAME, Outbox, room_for_messages
from rpcnet.cluster.swim.partition import PartitionDetector
from rpcnet.cluster.swim.phi import Phi
from rpcnet.cluster.swim.prober import Prober
from rpcnet.cluster.swim.reception import Reception
from rpcnet.cluster.swim.replies import Replies
from rpcnet.cluster.swim.suspicions import Timer
from rpcnet.cluster.swim.table import Table
from rpcnet.cluster.swim.timers import Timers
from rpcnet.cluster.swim.witnesses import Witnesses
from rpcnet.config import ClusterConfig

__all__ = ["Core"]

ALWAYS_LATE = 5
"""After so many late timers in a row we are not stalled but slow: time must run again, or no death is ever found."""
LEAVE_AT_LEAST = 16
"""So many members are told directly of a leave."""


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
        stats: Stats | None = None,
    ) -> None:
        """`run` is the wall clock in µs; `room` is how many bytes a packet may take (default max_datagram_bytes); in
        `stats` it counts.

        Raises InvalidRecord, or TagsTooLarge where the record takes more than `room`.
        """
        self.stats = stats if stats is not None else Stats()
        self.awareness = Awareness(config.max_awareness)
        self._config, self._random = config, random
        self._timers: Timers[Timer] = Timers()
        packet = room or config.max_datagram_bytes
        self._queue = Dissemination(
            room_for_messages(config, name, packet), frame=FRAME, crowded=config.crowded_transmissions
        )
        record_rules.check(name, address, services or {}, {})
        record = Alive(name, run, 0, address, dict(services or {}), 0, {})
        me = Entry(name, record.claim, record, 0.0, part=record.part)
        self._effects: list[Effect] = []
        self._emit = self._effects.append
        table = self._table = Table(
            me, config, queue=self._queue, timers=self._timers, stats=self.stats, emit=self._emit
        )
        self._outbox = Outbox(table, self._queue, self._effects, config, self.stats, packet)
        self._outbox.check_room({}, record.services)
        self.send = self._outbox.send
        self._reception = Reception(me, config, self.stats, self._emit)
        self._replies = Replies(table, self._outbox, config, self.awareness)
        self._partition = PartitionDetector(table, config, timers=self._timers, emit=self._emit)
        table.on_up = self._came_up
        table.on_down = lambda entry: self._prober.ring.remove(entry.name)
        table.on_refused = self._reception.refuse
        self._prober = Prober(
            self._table,
            config,
            random=random,
            timers=self._timers,
            awareness=self.awareness,
            stats=self.stats,
            outside=self,
        )
        table.on_withdrawn = self._prober.withdraw
        table.on_unsure = self._ask_around
        self._contacts = Contacts(
            self._table,
            config,
            seeds=[seed for seed in seeds if seed != address],
            ring=self._prober.ring,
            queue=self._queue,
            random=random,
            timers=self._timers,
            outside=self,
        )
        self._phi: Phi | None = None
        self._witnesses = Witnesses(table, config, self)
        self._farewell: Farewell | None = None
        self._awake_at = 0.0
        self._late_in_a_row = 0
        self._running = False
        self._source = ""
        """Where the packet that is being read came from."""
        self._readers: dict[type[Message], Callable[[Any, str, float], None]] = {
            Ping: self._read_ping,
            Ack: self._read_ack,
            IndirectPing: lambda message, sender, now: self._prober.help(message, self._source, now),
            Nack: lambda message, sender, now: self._prober.nacked(message.sequence),
            Alive: self._read_alive,
            Suspect: self._read_suspect,
            Dead: lambda message, sender, now: table.declare(message, now),
            Gone: self._witnesses.told,
            Knock: lambda message, sender, now: self._prober.help(message, self._source, now),
            Closed: lambda message, sender, now: self._prober.closed(message.sequence, sender, now),
            Left: lambda message, sender, now: table.left(message, now),
            Tags: self._read_tags,
            Refused: lambda message, sender, now: self._reception.refused_by(sender, message.reason),
        }
        """What a datagram may hold; tables come on streams, and are skipped."""
        self._due: dict[str, Callable[[str | int, float], None]] = {
            "probe": lambda _, now: self._prober.period(now),
            "probe_timeout": lambda _, now: self._prober.timed_out(now),
            "probe_tcp": lambda _, now: self._prober.not_yet(),
            "knock": lambda sequence, now: self._prober.knock(int(sequence)),
            "doubt": lambda sequence, now: self._prober.doubts.due(int(sequence), now),
            "relay": lambda sequence, now: self._prober.relay_due(int(sequence), now),
            "suspicion": lambda name, now: self._table.give_up(str(name), now),
            "question": lambda name, now: self._question(str(name), now),
            "gossip": lambda _, now: self._gossip(now),
            "push_pull": lambda _, now: self._contacts.push_pull(now),
            "reconnect": lambda _, now: self._contacts.reconnect(now),
            "reap": lambda _, now: self._reap(now),
            "leave": lambda _, now: self._leave_round(now),
            "partition": lambda _, now: self._partition.due(now),
            "hear_out": lambda _, now: self._table.hear_out(now),
            "hold_down": lambda _, now: self._table.come_back(now),
        }

    # What it knows.

    @property
    def me(self) -> Member:
        return self._table.me.view()

    @property
    def has_joined(self) -> bool:
        """Whether we have met another member since the start, or there is nobody to ask."""
        return self._table.has_joined

    @property
    def is_partitioned(self) -> bool:
        return self._partition.is_partitioned

    @property
    def is_held_down(self) -> bool:
        """Whether we have failed for the others, and do not contradict yet (damping.py)."""
        return self._table.damping.is_holding

    def members(self, *, all: bool = False) -> list[Member]:
        """Alive and suspect ones, ourselves included, by name; `all` adds those that failed or left."""
        entries = (entry for entry in self._table.entries.values() if entry.is_up or (all and entry.was_seen))
        return [entry.view() for entry in sorted(entries, key=lambda entry: entry.name)]

    def member(self, name: str) -> Member | None:
        entry = self._table.entries.get(name)
        return entry.view() if entry is not None and entry.was_seen else None

    def phi(self, name: str, now: float) -> float | None:
        """How unusual the silence of this member is, counted from the first question on (phi.py)."""
        if self._phi is None:
            self._phi = Phi(self._config.gossip_interval)
        return self._phi.of(name, now) if self._table.is_up(name) else None

    def seconds_in_status(self, name: str, now: float) -> float | None:
        entry = self._table.entries.get(name)
        return now - entry.changed_at if entry is not None and entry.was_seen else None

    def next_deadline(self) -> float:
        """When `tick` is due; infinity where it never is."""
        return self._timers.earliest

    # What it is told to do.

    def start(self, now: float) -> list[Effect]:
        me = self._table.me
        self._running, self._awake_at, me.changed_at = True, now, now
        self._table.announce()
        self._emit(MemberJoined(me.view()))
        self._emit(Published(me.run, me.version, dict(me.tags)))
        self._replies.reached(now)
        self._prober.start(now)
        self._timers.set(("reap", ""), now + self._reap_interval())
        self._contacts.start(now)
        return self._take(now)

    def set_tags(self, tags: Mapping[str, str], now: float) -> list[Effect]:
        """Replace all our tags: one version; none where they are the same already.

        Raises TagsTooLarge and changes nothing where they do not fit.
        """
        self._check_running()
        tag_rules.size(tags, self._config.max_tags_bytes)
        self._outbox.check_room(tags, self._table.me.services)
        if tags != self._table.me.tags:
            self._table.publish(tags)
        return self._take(now)

    def set_services(self, services: Mapping[str, str], now: float) -> list[Effect]:
        """Replace all our services, as `set_tags` does with tags. Raises InvalidRecord, too."""
        self._check_running()
        record_rules.check_services(services)
        self._outbox.check_room(self._table.me.tags, services)
        if services != self._table.me.services:
            self._table.offer(services)
        return self._take(now)

    def _check_running(self) -> None:
        if not self._running or self._farewell is not None:
            raise ClusterClosed(
                f"cluster member {self._table.me.name} is not running: tags and services can be set until it leaves"
            )

    def leave(self, now: float) -> list[Effect]:
        """Tell the others that we go; `Flushed` says when enough of them have heard it."""
        if not self._running or self._farewell is not None:
            return []
        told = self._prober.ring.sample(max(LEAVE_AT_LEAST, self._outbox.transmissions()), self._table.is_up)
        self._farewell = Farewell(told, now + self._config.leave_timeout)
        self._prober.stop()
        self._contacts.stop()
        self._partition.stop()
        self._timers.cancel(("reap", ""))
        self._table.leave(now)
        self._leave_round(now)
        return self._take(now)

    def stop(self) -> None:
        """Do nothing any more, whatever comes."""
        self._running = False
        self._timers.clear()
        self._queue.clear()

    # What comes in.

    def handle(self, data: bytes, source: str, now: float) -> list[Effect]:
        """One datagram, and the address that it came from."""
        self._notice(now)
        self._source = source
        packet = self._reception.open(data) if self._running else None
        if packet is not None:
            self._replies.begin(now)
            if self._prober.unheard and packet.name in self._table.entries:
                self._prober.spoke(packet.name)
            if self._phi is not None and packet.name in self._table.entries:
                self._phi.heard(packet.name, packet.run, now)
            for message in packet.messages:
                reader = self._readers.get(type(message))
                if reader is not None:
                    reader(message, packet.name, now)
            if self._replies.answer(packet, source) and self._farewell is None:
                self._contacts.sync_address(source, packet.name, now)
        if self._reception.refusal is not None:
            self._tell_refusal(len(data), now)
        return self._take(now, passes_on=True)

    def handle_stream(self, data: bytes, source: str, now: float) -> tuple[bytes | None, list[Effect]]:
        """One request on a stream: the answer (None: close it), and effects."""
        self._notice(now)
        self._source = source
        packet = self._open_message(data)
        if packet is None:
            answer = self._reception.take_refusal()
            return (self._outbox.packet([encode_message(answer)]) if answer else None), self._take(now)
        self._replies.reached(now)
        reply: list[bytes] = []
        holder = self._replies.holder(packet)
        if holder is not None:
            return self._outbox.packet([encode_message(holder)]), self._take(now)
        for message in packet.messages:
            if isinstance(message, State | Summary | Rows):
                reply.append(self._contacts.answer(message, packet.name, now))
            elif isinstance(message, Ping) and message.target == self._table.me.name:
                self._contacts.naming.was_pinged(message.sequence)
                reply.append(encode_message(Ack(message.sequence)))
        if (refusal := self._reception.take_refusal()) is not None:
            reply.append(encode_message(refusal))
        return (self._outbox.stream_packet(reply) if reply else None), self._take(now)

    def is_answer(self, data: bytes) -> bool:
        """Whether that is the word of another member of this cluster."""
        packet = self._open_message(data)
        me = self._table.me
        return packet is not None and (packet.name, packet.run) != (me.name, me.run)

    def exchanged(self, number: int, data: bytes, now: float) -> list[Effect]:
        """The answer to an Exchange."""
        self._notice(now)
        asked = self._contacts.close(number)
        packet = self._open_message(data)
        self._prober.stream_ended(number, now)
        self._witnesses.knocked(number, now, answered=packet is not None)
        acked = (
            packet is not None
            and packet.name == self._table.me.name
            and any(isinstance(message, Ack) for message in packet.messages)
        )
        taken = self._contacts.holder_asked(number, acked, now)
        if taken is not None and not self._table.has_joined:
            self._emit(NameTaken(taken.address))
        if asked is None or packet is None:
            return self._take(now)
        holders = [message for message in packet.messages if isinstance(message, Holder) and message.address]
        if holders and asked.seed and not self._table.has_joined:
            self._contacts.ask_holder(holders[0], asked.seed, self._prober.next_sequence())
            return self._take(now)
        if packet.name == self._table.me.name and packet.run == self._table.me.run:
            self._contacts.met_ourselves(asked.seed, now)
            return self._take(now)
        for message in packet.messages:
            if isinstance(message, State | Rows):
                self._contacts.merge(message, packet.name, asked, now)
            elif isinstance(message, Ack):
                self._prober.acked(message.sequence, now)
            elif isinstance(message, Refused):
                self._reception.refused_by(packet.name, message.reason)
        return self._take(now)

    def exchange_failed(self, number: int, now: float, *, refused: bool = False) -> list[Effect]:
        """There is no answer; `refused` where the machine is there and its port is closed."""
        self._notice(now)
        self._contacts.close(number)
        self._contacts.holder_asked(number, False, now)
        self._prober.stream_ended(number, now, refused=refused)
        self._witnesses.knocked(number, now, refused=refused)
        return self._take(now)

    def tick(self, now: float) -> list[Effect]:
        """Do what is due. Call it when `next_deadline` has come, after everything received was handed in."""
        if now - self._timers.earliest > self._config.late_timer_tolerance:
            self._stalled(now)
        else:
            self._late_in_a_row = 0
        self._awake_at = now
        if self._table.is_late:
            self._table.hear_out(now)
        timers = self._timers
        while timers.earliest <= now:
            kind, about = timers.pop()
            self._due[kind](about, now)
        return self._take(now)

    # Packets.

    def _tell_refusal(self, received: int, now: float) -> None:
        """With fewer bytes than came, and seldom."""
        refusal = self._reception.take_seldom(now)
        if refusal is not None:
            data = self._outbox.packet([encode_message(refusal)])
            if len(data) <= received:
                self._reception.told(now)
                self._outbox.send_alone(self._source, data, None)

    def _read_alive(self, message: Alive, sender: str, now: float) -> None:
        """Most news is heard several times: what the row holds already needs no rule."""
        entry = self._table.entries.get(message.name)
        if entry is not None:
            held = entry.record
            if held is message:
                self._queue.heard(("state", message.name))
                return
            is_newer = held.run != message.run or held.version < message.version
            if not is_newer and held.incarnation >= message.incarnation and held.address == message.address:
                return
        self._table.alive(message, now)

    def _read_tags(self, message: Tags, sender: str, now: float) -> None:
        entry = self._table.entries.get(message.name)
        if entry is not None and entry.record.run == message.run and entry.record.version >= message.version:
            self._queue.heard(("tags", message.name))
            return
        self._table.tags(message)

    def _read_ping(self, message: Ping, sender: str, now: float) -> None:
        if message.target == self._table.me.name:
            self._replies.reached(now)
            self.send(self._source, [Ack(message.sequence)], to=sender)
            if self._farewell is None:
                self._contacts.compare(sender, message.digest, now)

    def _read_suspect(self, message: Suspect, sender: str, now: float) -> None:
        if self._table.believes(message.accuser) or message.name == self._table.me.name:
            self._table.suspect(message, now)

    def _open_message(self, data: bytes) -> Packet | None:
        """What came on a stream."""
        return self._reception.open(data, on_stream=True) if self._running else None

    # Gossip.

    def _gossip(self, now: float) -> None:
        """News to a few at random, and to one that died lately: one wrongly dead learns of it and refutes."""
        table = self._table
        names = self._prober.ring.sample(self._config.gossip_fanout, table.is_up)
        if not names and table.up <= 1:
            self._queue.clear()  # nobody to tell; whoever comes gets the whole table
        dead = table.dead_since(self._awake_at - self._config.gossip_to_dead_time)
        for name in [*names, *([self._random.choice(dead)] if dead else [])]:
            if self._queue.updates:
                self.send(table.entries[name].address, [], to=name)
        if self._queue.updates:
            self._timers.set(("gossip", ""), now + self._config.gossip_interval)

    # What the table, the prober and the contacts ask for.

    def _came_up(self, entry: Entry, returned: bool) -> None:
        self._prober.ring.add(entry.name, entry.record.place)
        if returned and self._farewell is None:
            # It may have been cut off together with others: compare tables.
            self._contacts.sync(entry.name, self._awake_at)

    def is_gone(self, entry: Entry, now: float) -> None:
        self._witnesses.seen(entry, now)

    def next_sequence(self) -> int:
        return self._prober.next_sequence()

    def ask_stream(self, address: str, message: Ping, timeout: float) -> int:
        return self._contacts.ask(address, [encode_message(message)], timeout, to=message.target)

    def open_stream(self, number: int, address: str, to: str | None, messages: list[bytes], timeout: float) -> None:
        self.stats.exchanges += 1
        self._emit(Exchange(number, address, self._outbox.stream_packet(messages), timeout, to))

    def knock(self, entry: Entry) -> None:
        """Ask one that failed whether it is there; it learns from the same packet what is held against it."""
        ping = Ping(self._prober.next_sequence(), entry.name, self._table.digest)
        self.send(entry.address, [ping], to=entry.name, gossip=False)

    def _question(self, name: str, now: float) -> None:
        """Ask a suspect directly: it may have heard of its suspicion from nobody, or we missed what it answered."""
        self._timers.set(("question", name), now + self._table.suspicions[name].least)
        self.knock(self._table.entries[name])

    def _ask_around(self, now: float) -> None:
        """Ask a few; what they hold against us rides on their answers."""
        for name in self._prober.ring.sample(self._config.gossip_fanout, self._table.is_up):
            self.knock(self._table.entries[name])
        self._timers.set(("hear_out", ""), now + self._config.gossip_interval)

    def _read_ack(self, message: Ack, sender: str, now: float) -> None:
        if self._farewell is None:
            self._prober.acked(message.sequence, now)
            return
        self._farewell.acked(message.sequence)
        if self._farewell.is_over(self._table.is_up, now):
            self._emit(Flushed())

    def _leave_round(self, now: float) -> None:
        farewell = self._farewell
        assert farewell is not None, "a leave round without a leave"
        if farewell.is_over(self._table.is_up, now):
            self._emit(Flushed())
            return
        for name, sequence in farewell.next_round(self._prober.next_sequence):
            messages: list[Message] = [Ping(sequence, name, self._table.digest), left_message(self._table.me)]
            self.send(self._table.entries[name].address, messages, to=name)
        self._timers.set(("leave", ""), now + self._config.gossip_interval)

    # Time.

    def _notice(self, now: float) -> None:
        """We are awake: as long as no timer is late, a later stall has not begun yet."""
        late = now - self._timers.earliest
        if late <= self._config.late_timer_tolerance:
            self._awake_at = now
        elif late >= self._config.probe_interval:
            self._table.is_late = True
            self._table.damping.missed(now)

    def _stalled(self, now: float) -> None:
        """Our timers are late: what others did meanwhile is not known, and nobody's time has run."""
        stall = now - self._awake_at
        self.stats.late_timers += 1
        self.awareness.change(1)
        self._late_in_a_row += 1
        if self._late_in_a_row > ALWAYS_LATE:
            return
        self._table.suspicions.shift(stall, now)
        self._prober.void(stall)
        if stall >= self._config.probe_interval and self._farewell is None:
            self._contacts.sync_with_one(now)

    def _reap_interval(self) -> float:
        return min(60.0, self._config.tombstone_time / 4)

    def _reap(self, now: float) -> None:
        self._table.forget(now - self._config.tombstone_time)
        if self._phi is not None:
            self._phi.keep(self._table.entries)
        self._timers.set(("reap", ""), now + self._reap_interval())

    def _take(self, now: float, *, passes_on: bool = False) -> list[Effect]:
        if self._queue.updates and self._running and ("gossip", "") not in self._timers:
            # News of others goes on at once, and so do suspicions, refutations and deaths: a life may depend on them.
            # Other news of ours gathers for an interval.
            if passes_on or self._queue.is_pressing:
                self._gossip(now)
            else:
                self._timers.set(("gossip", ""), now + self._config.gossip_interval)
        if self._table.came_or_went:
            self._table.came_or_went = False
            self._count_again(now)
        effects = self._effects[:]
        self._effects.clear()
        return effects

    def _count_again(self, now: float) -> None:
        if self._farewell is None:
            self._partition.judge(self._effects, now)
        if self._table.went_down:
            self._table.went_down = False
            self._contacts.look_for_missing(now)
        if self._table.up > 1:
            self._table.has_joined = True  # whoever found whom
