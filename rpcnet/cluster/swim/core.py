"""The SWIM core: datagrams and `now` in, effects out.

Puts the parts together: reads packets, answers them, and does what is due. Sans-IO: no asyncio, no socket, no clock;
time and randomness are given, and equal inputs give equal effects in equal order. Bytes that are no packet of this
cluster change nothing but a counter, and get no answer.

SWIM (DSN 2002), Lifeguard (arXiv 1707.00788). Push-pull and gossip ticks as in memberlist.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from rpcnet.cluster.errors import ClusterClosed, TagsTooLarge
from rpcnet.cluster.swim import record as record_rules
from rpcnet.cluster.swim import tags as tag_rules
from rpcnet.cluster.swim.awareness import Awareness
from rpcnet.cluster.swim.contacts import Contacts
from rpcnet.cluster.swim.dissemination import Dissemination, transmissions
from rpcnet.cluster.swim.effect import Effect, Exchange, Flushed, NameTaken, Noticed, Published, Send, Stats
from rpcnet.cluster.swim.event import MemberJoined
from rpcnet.cluster.swim.farewell import Farewell
from rpcnet.cluster.swim.member import ALIVE, DEAD, SUSPECT, Entry, Member
from rpcnet.cluster.swim.message import (
    MAX_NUMBER,
    MAX_REASON,
    VERSION,
    Ack,
    Alive,
    BadPacket,
    Dead,
    Holder,
    IndirectPing,
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
    decode,
    encode,
    encode_message,
    sender_of,
)
from rpcnet.cluster.swim.prober import Prober
from rpcnet.cluster.swim.table import Table, Timer, left_message, verdict_message
from rpcnet.cluster.swim.timers import Timers
from rpcnet.config import ClusterConfig

__all__ = ["Core"]

ALWAYS_LATE = 5
"""After so many late timers in a row we are not stalled but slow: time must run again, or no death is ever found."""
COUNT = 4
"""Bytes by which the number of messages in a packet may grow its header."""
FRAME = 3
"""Bytes that a message takes in a packet beside its own."""
MAX_UNREACHED = 3
"""So often a member refutes without anybody having reached it. Others probe it once a period, in the mean."""
REFUSAL_INTERVAL = 1.0
"""Seconds between two datagrams that tell somebody that we do not take what it sends."""
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
    ) -> None:
        """`run` is the wall clock in µs; `room` is how many bytes a packet may take (default max_datagram_bytes).

        Raises InvalidRecord, or TagsTooLarge where the record takes more than `room`.
        """
        self.stats = Stats()
        self.awareness = Awareness(config.max_awareness)
        self._config, self._random = config, random
        self._room = room or config.max_datagram_bytes
        self._out: list[Effect] = []
        self._timers: Timers[Timer] = Timers()
        self._head = len(encode(config.cluster_name, name, MAX_NUMBER, [])) + COUNT
        self._queue = Dissemination(self._room - self._head, frame=FRAME, crowded=config.crowded_transmissions)
        record_rules.check(name, address, services or {}, {})
        record = Alive(name, run, 0, address, dict(services or {}), 0, {})
        self._check_room(record, {})
        me = Entry(name, record.claim, record, 0.0, part=record.part)
        self._table = Table(me, config, queue=self._queue, timers=self._timers, stats=self.stats, emit=self._emit)
        self._table.on_up = self._came_up
        self._table.on_refuted = self._refuted
        self._table.on_twin = self._tell_twin
        self._table.on_twins = self._tell_twins
        self._table.may_refute = self._may_refute
        self._table.on_refused = self._refuse
        self._prober = Prober(
            self._table,
            config,
            random=random,
            timers=self._timers,
            awareness=self.awareness,
            stats=self.stats,
            outside=self,
        )
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
        self._farewell: Farewell | None = None
        self._awake_at = 0.0
        self._late_in_a_row = 0
        self._running = False
        self._source = ""
        """Where the packet that is being read came from."""
        self._sender = ""
        """Who has sent it."""
        self._refusal: Refused | None = None
        """Why it is not taken, or a record in it of the sender's own."""
        self._refused_at = float("-inf")
        self._unreached = 0
        """How often we have refuted since somebody last reached us unasked."""
        self._accused_anew = False
        """Whether that packet holds against us what we have refuted before."""
        table = self._table
        table.on_stale_accusation = self._note_stale_accusation
        self._readers: dict[type[Message], Callable[[Any, str, float], None]] = {
            Ping: self._read_ping,
            Ack: lambda message, sender, now: self._acked(message.sequence, now),
            IndirectPing: lambda message, sender, now: self._prober.help(message, self._source, now),
            Nack: lambda message, sender, now: self._prober.nacked(message.sequence),
            Alive: lambda message, sender, now: table.alive(message, now),
            Suspect: lambda message, sender, now: table.suspect(message, now),
            Dead: lambda message, sender, now: table.declare(message, now),
            Left: lambda message, sender, now: table.left(message, now),
            Tags: lambda message, sender, now: table.tags(message),
            Refused: lambda message, sender, now: self._refused_by(sender, message.reason),
        }
        """What a datagram may hold; tables come on streams, and are skipped."""
        self._due: dict[str, Callable[[str | int, float], None]] = {
            "probe": lambda _, now: self._prober.period(now),
            "probe_timeout": lambda _, now: self._prober.timed_out(now),
            "relay": lambda sequence, now: self._prober.relay_due(int(sequence), now),
            "suspicion": lambda name, now: self._table.give_up(str(name), now),
            "question": lambda name, now: self._question(str(name), now),
            "gossip": lambda _, now: self._gossip(),
            "push_pull": lambda _, now: self._contacts.push_pull(now),
            "reconnect": lambda _, now: self._contacts.reconnect(now),
            "reap": lambda _, now: self._reap(now),
            "leave": lambda _, now: self._leave_round(now),
        }

    # What it knows.

    @property
    def me(self) -> Member:
        return self._table.me.view()

    @property
    def has_joined(self) -> bool:
        """Whether we have met another member since the start, or there is nobody to ask."""
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
        me = self._table.me
        self._running, self._awake_at, me.changed_at = True, now, now
        self._table.announce()
        self._emit(MemberJoined(me.view()))
        self._emit(Published(me.run, me.version, dict(me.tags)))
        self._prober.start(now)
        self._timers.set(("reap", ""), now + self._reap_interval())
        self._contacts.start(now)
        return self._take(now)

    def set_tags(self, tags: Mapping[str, str], now: float) -> list[Effect]:
        """Replace all our tags: one version; none where they are the same already.

        Raises TagsTooLarge and changes nothing where they do not fit.
        """
        if not self._running or self._farewell is not None:
            raise ClusterClosed(f"cluster member {self._table.me.name} is not running: tags can be set until it leaves")
        tag_rules.size(tags, self._config.max_tags_bytes)
        self._check_room(self._table.me.record, tags)
        if tags != self._table.me.tags:
            self._table.publish(tags)
        return self._take(now)

    def leave(self, now: float) -> list[Effect]:
        """Tell the others that we go; `Flushed` says when enough of them have heard it."""
        if not self._running or self._farewell is not None:
            return []
        told = self._prober.ring.sample(max(LEAVE_AT_LEAST, self._transmissions()), self._table.is_up)
        self._farewell = Farewell(told, now + self._config.leave_timeout)
        self._prober.stop()
        self._contacts.stop()
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
        self.stats.datagrams_received += 1
        self.stats.bytes_received += len(data)
        self._source = source
        packet = self._open(data)
        if packet is not None:
            self._accused_anew = False
            self._read(packet, now)
            self._answer_sender(packet, source, now)
        self._tell_refusal(len(data), now)
        return self._take(now)

    def handle_stream(self, data: bytes, source: str, now: float) -> tuple[bytes | None, list[Effect]]:
        """One request on a stream: the answer (None: close it), and effects."""
        self._notice(now)
        self._source = source
        packet = self._open(data, may_be_me=True)
        if packet is None:
            answer, self._refusal = self._refusal, None
            return (self._packet([encode_message(answer)]) if answer else None), self._take(now)
        self._unreached = 0
        reply: list[bytes] = []
        holder = self._holder_for(packet)
        if holder is not None:
            return self._packet([encode_message(holder)]), self._take(now)
        for message in packet.messages:
            if isinstance(message, State | Summary | Rows):
                reply.append(self._contacts.answer(message, packet.name, now))
            elif isinstance(message, Ping) and message.target == self._table.me.name:
                self._contacts.naming.was_pinged(message.sequence)
                reply.append(encode_message(Ack(message.sequence)))
        if self._refusal is not None:
            reply.append(encode_message(self._refusal))
            self._refusal = None
        return (self._stream_packet(reply) if reply else None), self._take(now)

    def is_answer(self, data: bytes) -> bool:
        """Whether that is the word of another member of this cluster."""
        packet = self._open(data, may_be_me=True)
        me = self._table.me
        return packet is not None and (packet.name, packet.run) != (me.name, me.run)

    def exchanged(self, number: int, data: bytes, now: float) -> list[Effect]:
        """The answer to an Exchange."""
        self._notice(now)
        asked = self._contacts.close(number)
        packet = self._open(data, may_be_me=True)
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
        holders = [message for message in packet.messages if isinstance(message, Holder)]
        if holders and asked.seed and not self._table.has_joined:
            self._contacts.ask_holder(holders[0], asked.seed, self._prober.next_sequence())
            return self._take(now)
        if packet.name == self._table.me.name and packet.run == self._table.me.run:
            self._contacts.met_ourselves(asked.seed)
            return self._take(now)
        for message in packet.messages:
            if isinstance(message, State | Rows):
                self._contacts.merge(message, packet.name, asked, now)
            elif isinstance(message, Ack):
                self._prober.acked(message.sequence)
            elif isinstance(message, Refused):
                self._refused_by(packet.name, message.reason)
        return self._take(now)

    def exchange_failed(self, number: int, now: float) -> list[Effect]:
        self._notice(now)
        self._contacts.close(number)
        self._contacts.holder_asked(number, False, now)
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
        self._sender, self._refusal = "", None
        try:
            packet = decode(data)
        except BadPacket as error:
            self._count_bad(data, str(error), on_stream=may_be_me)
            return None
        self._sender = packet.name
        if packet.version != VERSION:
            self._count_bad(data, "", on_stream=may_be_me)
        elif packet.cluster != self._config.cluster_name:
            self.stats.foreign_cluster += 1
        elif may_be_me or packet.name != self._table.me.name or packet.run != self._table.me.run:
            return packet
        return None

    def _holder_for(self, packet: Packet) -> Holder | None:
        """Who has the name of this newcomer, unless it says that this one did not answer."""
        asked = [message for message in packet.messages if isinstance(message, Holder)]
        states = [message for message in packet.messages if isinstance(message, State)]
        rows = [row for state in states for row in state.records if (row.name, row.run) == (packet.name, packet.run)]
        held = self._table.holder(packet.name, rows[0].address) if asked and rows else None
        holder = Holder(held.run, held.address) if held is not None else None
        return holder if holder not in asked else None

    def _tell_twin(self, address: str) -> None:
        me, now = self._table.me, self._awake_at
        if now - me.answered_at >= self._config.gossip_interval:
            me.answered_at = now
            self.send(address, [me.record], gossip=False)

    def _tell_twins(self, entry: Entry, message: Alive) -> None:
        """Two processes have one name and run: each hears of the other, and one of them takes a newer run."""
        now = self._awake_at
        if now - entry.answered_at >= self._config.gossip_interval:
            entry.answered_at = now
            self.send(message.address, [entry.record], gossip=False)
            self.send(entry.address, [message], gossip=False)

    def _count_bad(self, data: bytes, reason: str, *, on_stream: bool) -> None:
        """Bytes that are no packet for us. One of our own cluster is told why; nobody else is told anything.

        One that speaks another version is told on its stream only: datagrams would be answered to and fro for ever.
        """
        sender = sender_of(data)
        if sender is not None and sender.cluster != self._config.cluster_name:
            self.stats.foreign_cluster += 1
            return
        if sender is not None and sender.version != VERSION:
            self.stats.foreign_version += 1
            reason = f"it speaks version {sender.version} of the protocol, we speak {VERSION}"
        else:
            self.stats.malformed += 1
        if sender is not None:
            self._sender = sender.name if on_stream or sender.version == VERSION else ""
            self._refuse(sender.name, reason)

    def _refuse(self, name: str, reason: str) -> None:
        """Something that this member announces is not taken; it is told if it has sent that itself."""
        self._emit(Noticed(("refused", name), f"does not take what {name!r} sends: {reason}"))
        if name == self._sender:
            self._refusal = Refused(reason[:MAX_REASON])

    def _tell_refusal(self, received: int, now: float) -> None:
        """With fewer bytes than came, and seldom: nobody can make us send to a third."""
        refusal, self._refusal = self._refusal, None
        if refusal is None or now - self._refused_at < REFUSAL_INTERVAL:
            return
        data = self._packet([encode_message(refusal)])
        if len(data) <= received:
            self._refused_at = now
            self.stats.datagrams_sent += 1
            self.stats.bytes_sent += len(data)
            self._out.append(Send(self._source, data))

    def _refused_by(self, name: str, reason: str) -> None:
        self.stats.refused_by_others += 1
        self._emit(Noticed(("refused by", name), f"{name!r} does not take what we send: {reason!r}"))

    def _may_refute(self) -> bool:
        """Not if nobody reaches us, however often we say that we live: they are right then."""
        if self._unreached < MAX_UNREACHED:
            return True
        address = self._table.me.address
        self._emit(
            Noticed(
                ("unreached", ""),
                f"the others hold it for failed, and none of them reaches it at {address}:"
                " check `advertise`, and that its port is open for UDP and TCP",
            )
        )
        return False

    def _read(self, packet: Packet, now: float) -> None:
        readers = self._readers
        for message in packet.messages:
            if (type(message) is Alive or type(message) is Tags) and self._is_held(message):
                continue
            reader = readers.get(type(message))
            if reader is not None:
                reader(message, packet.name, now)

    def _is_held(self, message: Alive | Tags) -> bool:
        """Most news is heard several times: what the row holds already needs no rule."""
        entry = self._table.entries.get(message.name)
        if entry is None:
            return False
        record = entry.record
        if record is message:
            self._queue.heard(("state", message.name))
            return True
        if record.run != message.run or record.version < message.version:
            return False
        if isinstance(message, Tags):
            self._queue.heard(("tags", message.name))
            return True
        return record.incarnation >= message.incarnation and record.address == message.address

    def _read_ping(self, message: Ping, sender: str, now: float) -> None:
        if message.target == self._table.me.name:
            self._unreached = 0
            self.send(self._source, [Ack(message.sequence)], to=sender)
            if self._farewell is None:
                self._contacts.compare(sender, message.digest, now)

    def _note_stale_accusation(self) -> None:
        self._accused_anew = True

    def _answer_sender(self, packet: Packet, source: str, now: float) -> None:
        """Whoever sends has a right to know what we hold of it; whom we do not know, we ask for its table."""
        entry = self._table.entries.get(packet.name)
        if entry is None or packet.run > entry.run or not entry.was_seen:
            if self._farewell is None:
                self._contacts.sync_address(source, now)
        elif packet.run < entry.run or (entry.status == DEAD and not self._has_sent(source)):
            self._tell_verdict(entry, source, now)
        elif self._accused_anew and now - entry.answered_at >= self._config.gossip_interval:
            # It has missed our refutation, and may have it from nobody else before its verdict.
            entry.answered_at = now
            self.send(entry.address, [self._table.me.record], to=entry.name, gossip=False)

    def _tell_verdict(self, entry: Entry, source: str, now: float) -> None:
        """That it is held for dead, or that a newer run has its name.

        Seldom enough: two that hold each other for dead would answer each other's answers for ever.
        """
        if now - entry.answered_at >= self._config.gossip_interval:
            entry.answered_at = now
            newer: list[Message] = [entry.record] if entry.status == ALIVE else []
            self.send(source, newer, to=entry.name, gossip=False)

    def _has_sent(self, address: str) -> bool:
        return any(isinstance(effect, Send) and effect.address == address for effect in self._out)

    def send(self, address: str, messages: list[Message], *, to: str | None = None, gossip: bool = True) -> None:
        """One datagram: the messages, what we hold against the receiver (Lifeguard §IV.C), and as much news as fits."""
        raws = [encode_message(message) for message in messages]
        entry = self._table.entries.get(to) if to is not None else None
        doubted = entry is not None and entry.claim.status in (SUSPECT, DEAD) and entry is not self._table.me
        if entry is not None and doubted:
            raws.append(encode_message(verdict_message(entry, self._table.me.name)))
        if gossip:
            room = self._room - self._head - sum(map(len, raws)) - FRAME * len(raws)
            for accusation in () if doubted else self._table.latest_accusations():
                if (size := len(accusation) + FRAME) <= room:
                    raws.append(accusation)
                    room -= size
            raws.extend(self._queue.take(room, None if doubted else self._transmissions()))
        data = self._packet(raws)
        self.stats.datagrams_sent += 1
        self.stats.bytes_sent += len(data)
        self._out.append(Send(address, data))

    def _packet(self, messages: Sequence[bytes]) -> bytes:
        return encode(self._config.cluster_name, self._table.me.name, self._table.me.run, messages)

    def _stream_packet(self, messages: Sequence[bytes]) -> bytes:
        data = self._packet(messages)
        self.stats.stream_bytes_sent += len(data)
        return data

    # Gossip.

    def _gossip(self) -> None:
        """News to a few at random, and to one that died lately: one wrongly dead learns of it and refutes."""
        table = self._table
        names = self._prober.ring.sample(self._config.gossip_fanout, table.is_up)
        if not names and table.up <= 1:
            self._queue.clear()  # nobody to tell; whoever comes gets the whole table
        dead = table.dead_since(self._awake_at - self._config.gossip_to_dead_time)
        for name in [*names, *([self._random.choice(dead)] if dead else [])]:
            if self._queue:
                self.send(table.entries[name].address, [], to=name)

    def _transmissions(self) -> int:
        return transmissions(self._config.retransmit_multiplier, self._table.up)

    # What the table, the prober and the contacts ask for.

    def _came_up(self, entry: Entry, returned: bool) -> None:
        self._prober.ring.add(entry.name)
        if returned and self._farewell is None:
            # It may have been cut off together with others: compare tables.
            self._contacts.sync(entry.name, self._awake_at)

    def _refuted(self, accuser: str) -> None:
        """We were accused: some of it may be our own fault. The accuser hears the refutation first."""
        self._unreached += 1
        self.awareness.change(1)
        entry = self._table.entries.get(accuser)
        if entry is not None and entry is not self._table.me and entry.address:
            self.send(entry.address, [self._table.me.record], to=accuser)

    def accuse(self, entry: Entry, now: float) -> None:
        self._table.accuse(entry, now)

    def ask_stream(self, entry: Entry, message: Ping, timeout: float) -> None:
        self._contacts.ask(entry.address, [encode_message(message)], timeout)

    def open_stream(self, number: int, address: str, messages: list[bytes], timeout: float) -> None:
        self.stats.exchanges += 1
        self._emit(Exchange(number, address, self._stream_packet(messages), timeout))

    def knock(self, entry: Entry) -> None:
        """Ask one that failed whether it is there; it learns from the same packet what is held against it."""
        ping = Ping(self._prober.next_sequence(), entry.name, self._table.digest)
        self.send(entry.address, [ping], to=entry.name, gossip=False)

    def _question(self, name: str, now: float) -> None:
        """Ask a suspect directly: it may have heard of its suspicion from nobody, or we missed what it answered."""
        self._timers.set(("question", name), now + self._table.suspicions[name].least)
        self.knock(self._table.entries[name])

    def _acked(self, sequence: int, now: float) -> None:
        if self._farewell is None:
            self._prober.acked(sequence)
            return
        self._farewell.acked(sequence)
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
        if stall >= self._config.probe_interval and self._farewell is None:
            self._contacts.sync_with_one(now)

    def _reap_interval(self) -> float:
        return min(60.0, self._config.tombstone_time / 4)

    def _reap(self, now: float) -> None:
        self._table.forget(now - self._config.tombstone_time)
        self._timers.set(("reap", ""), now + self._reap_interval())

    # Small things.

    def _check_room(self, me: Alive, tags: Mapping[str, str]) -> None:
        """Our whole record must fit into one datagram."""
        highest = Alive(me.name, me.run, 2**32, me.address, me.services, 2**32, dict(tags))
        # It rides in the packets of others too, whose names may be longer.
        longest = "x" * record_rules.MAX_NAME
        size = len(encode(self._config.cluster_name, longest, me.run, [encode_message(highest)])) + COUNT
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
        if self._table.went_down:
            self._table.went_down = False
            self._contacts.look_for_missing(now)
        if self._table.up > 1:
            self._table.has_joined = True  # whoever found whom
        out, self._out = self._out, []
        return out
