"""The failure detector: one probe a period, helpers, the question over TCP, and what we ask for others.

Direct ping, soon after it the question over TCP, after the probe time-out helpers; at the end of the period, silence is
an accusation (SWIM §3.1, Lifeguard §IV.A). A port that is closed is more than silence: where we were refused twice, so
far apart that no listener was merely started again, and helpers as well, the target is gone. A probe in flight while we
ourselves were stalled is no evidence: it is void and repeated. Knows no claim: it says whom it accuses.

Tests: tests/rpcnet/cluster/swim/test_core.py, test_refusal.py.
"""

from dataclasses import dataclass
from random import Random
from typing import Protocol

from msgspec import Struct

from rpcnet.cluster.swim.awareness import Awareness
from rpcnet.cluster.swim.doubts import Doubts
from rpcnet.cluster.swim.effect import Stats
from rpcnet.cluster.swim.member import ALIVE, Entry
from rpcnet.cluster.swim.message import Ack, Closed, IndirectPing, Knock, Message, Nack, Ping
from rpcnet.cluster.swim.ring import Ring
from rpcnet.cluster.swim.suspicions import Timer
from rpcnet.cluster.swim.table import Table
from rpcnet.cluster.swim.timers import Timers
from rpcnet.config import ClusterConfig

__all__ = ["Prober"]

MAX_VOID = 2
"""A probe is repeated at most so often because we were late; a member that is always late must still find the dead."""
NACK_AT = 0.8
"""Share of the probe time-out after which a helper says that it heard nothing (Lifeguard §IV.A)."""
TCP_AT = 0.25
"""Share of the probe time-out after which we ask over TCP; where that is refused, again at its end."""
KNOCK_AT = 0.1
"""Share of the probe time-out after which a helper knocks: only if its own ping was not answered."""
REFUSALS = 2
"""So many times we, and so many helpers, must have been refused."""
SPREAD = 0.25
"""In this share of an epoch, from its beginning, all send their probes where the order is shared."""


class Outside(Protocol):
    """What the prober needs of the core."""

    def send(self, address: str, messages: list[Message], *, to: str | None = None) -> None: ...
    def ask_stream(self, address: str, message: Ping, timeout: float) -> int: ...
    def is_gone(self, entry: Entry, now: float) -> None: ...


class _Probe(Struct):  # made faster than a dataclass, once a period
    name: str
    run: int
    sequence: int
    voided: int
    times_out_at: float
    helpers: int = 0
    nacks: int = 0
    refusals: int = 0
    closed: dict[str, None] = {}
    """Helpers that were refused as well."""


@dataclass(slots=True)
class _Relay:
    """A ping that we sent for somebody else."""

    origin: str
    sequence: int
    target: str
    address: str
    nacked: bool = False


class Prober:
    def __init__(
        self,
        table: Table,
        config: ClusterConfig,
        *,
        random: Random,
        timers: Timers[Timer],
        awareness: Awareness,
        stats: Stats,
        outside: Outside,
    ) -> None:
        self.ring = Ring(random, config.probe_order, config.cluster_name)
        self._is_shared, self._wait = config.probe_order == "shared", config.probe_wait
        self._started, self._first_epoch = 0.0, 0
        self._table, self._config, self._timers = table, config, timers
        self._awareness, self._stats, self._outside = awareness, stats, outside
        self._random = random
        self._sequence = random.getrandbits(32)
        self._probe: _Probe | None = None
        self._again: _Probe | None = None
        self.doubts = Doubts(table, config, timers)
        self.unheard: list[_Probe] = []
        """The latest ones, where neither the target nor any helper has answered: whom we do not accuse yet."""
        self._patience = 0
        """How many more of those there may be in a row."""
        self._speakers: dict[str, None] = {}
        """The members that have spoken to us since the row began."""
        self._relays: dict[int, _Relay] = {}
        self._streams: dict[int, int] = {}
        """The sequence that was asked for on each open stream."""

    def start(self, now: float) -> None:
        """Epochs are counted by the wall clock, whose time at our start is our run. In a shared order all probe in the
        same part of them, so that two probes of one member are about a period apart.
        """
        interval = self._config.probe_interval
        spread = SPREAD if self._is_shared else 1.0
        first, begun = divmod(self._table.me.run / 1e6, interval)
        self._first_epoch = int(first)
        self._started = now - begun + interval * (1 + spread * self._random.random())
        self._timers.set(("probe", ""), self._started)

    def stop(self) -> None:
        """Probe no more; what others asked us to ask is still answered."""
        self.withdraw()
        self._again = None
        self._timers.cancel(("probe", ""))

    def withdraw(self) -> None:
        """Whomever we doubt, and have not told: we do not any more. The probe in flight proves nothing, either."""
        self._again = self._end_probe()
        self.unheard.clear()
        self.doubts.clear()

    def next_sequence(self) -> int:
        self._sequence = (self._sequence + 1) % 2**32
        return self._sequence

    # What comes in.

    def acked(self, sequence: int, now: float) -> None:
        if self._probe is not None and sequence == self._probe.sequence:
            self._table.suspicions.answered(self._probe.name, now)
            self._end_probe()
            self._heard()
            self._awareness.change(-1)
        elif (relay := self._relays.pop(sequence, None)) is not None:
            self._timers.cancel(("relay", sequence))
            self._timers.cancel(("knock", sequence))
            self._outside.send(relay.origin, [Ack(relay.sequence)])
        elif any(probe.sequence == sequence for probe in self.unheard):
            self.unheard = [probe for probe in self.unheard if probe.sequence != sequence]
            self._heard()
        else:
            self.doubts.answered(sequence, now)

    def spoke(self, name: str) -> None:
        """Something has come from that one, a member, while some are unheard."""
        self._speakers[name] = None

    def nacked(self, sequence: int) -> None:
        if self._probe is not None and sequence == self._probe.sequence:
            self._probe.nacks += 1
            self._heard()

    def _heard(self) -> None:
        """We hear others: the latest of those that answered nothing is asked again, others are probed by others."""
        if self.unheard:
            self._again = self.unheard.pop()
            self.unheard.clear()
        self._be_patient()

    def _be_patient(self) -> None:
        self._patience = self._table.up.bit_length() - 2

    def closed(self, sequence: int, helper: str, now: float) -> None:
        """A helper was refused as well."""
        if self._probe is not None and sequence == self._probe.sequence:
            self._probe.closed[helper] = None
            self._judge_refusals(now)

    def stream_ended(self, number: int, now: float, *, refused: bool = False) -> None:
        """A question on a stream is over; what was answered we are told besides."""
        sequence = self._streams.pop(number, -1)
        if not refused or not self._config.refusal_is_evidence:
            return
        if self._probe is not None and sequence == self._probe.sequence:
            self._probe.refusals += 1
            self._judge_refusals(now)
        elif (relay := self._relays.get(sequence)) is not None:
            self._outside.send(relay.origin, [Closed(relay.sequence)])

    def help(self, request: IndirectPing | Knock, source: str, now: float) -> None:
        """Ping somebody for somebody; answer with what we hear, never for the target."""
        if len(self._relays) >= self._config.max_relays:
            return
        sequence = self.next_sequence()
        self._relays[sequence] = _Relay(source, request.sequence, request.target, request.address)
        self._timers.set(("relay", sequence), now + NACK_AT * self._wait)
        if isinstance(request, Knock):
            self._timers.set(("knock", sequence), now + KNOCK_AT * self._wait)
        self._outside.send(request.address, [Ping(sequence, request.target, self._table.digest)], to=request.target)

    # What time says.

    def period(self, now: float) -> None:
        """A period ends, the next one begins."""
        probe = self._end_probe()
        if probe is not None:
            self._judge(probe, now)
        self._begin(now)
        interval = self._config.probe_interval
        # On the beat of the epochs, or each late tick would put off all later ones.
        late = (now - self._started) % interval if self._is_shared else 0.0
        self._timers.set(("probe", ""), now - (late if late < interval / 2 else 0.0) + self._stretch() * interval)

    def timed_out(self, now: float) -> None:
        """No direct ack: ask others."""
        probe = self._probe
        target = self._target(probe)
        if probe is None or target is None:
            return
        if probe.refusals:
            self._ask_over_tcp(probe, target)
        request = (Knock if probe.refusals else IndirectPing)(probe.sequence, target.name, target.address)
        for name in self.ring.sample(self._config.indirect_probes, lambda name: self._may_help(name, target)):
            probe.helpers += 1
            self._outside.send(self._table.entries[name].address, [request], to=name)

    def not_yet(self) -> None:
        """No direct ack so far: ask over TCP, and wait for the time-out. Most probes get no further than to this timer,
        so the next one is set when it is due.
        """
        probe = self._probe
        assert probe is not None, "its timer ends with it"
        self._timers.set(("probe_timeout", ""), probe.times_out_at)
        target = self._target(probe)
        if target is not None:
            self._ask_over_tcp(probe, target)

    def _ask_over_tcp(self, probe: _Probe, target: Entry) -> None:
        rest = self._stretch() * (self._config.probe_interval - TCP_AT * self._wait)
        self._ask_stream(probe.sequence, target.name, target.address, rest + self.doubts.patience)

    def knock(self, sequence: int) -> None:
        """Somebody was refused by that one; it has not answered our ping either."""
        relay = self._relays[sequence]
        self._ask_stream(sequence, relay.target, relay.address, self._config.probe_interval)

    def _ask_stream(self, sequence: int, target: str, address: str, timeout: float) -> None:
        number = self._outside.ask_stream(address, Ping(sequence, target, self._table.digest), timeout)
        self._streams[number] = sequence

    def relay_due(self, sequence: int, now: float) -> None:
        """First tell who asked that we are well and the target is silent; a late ack is passed on for a while."""
        relay = self._relays.get(sequence)
        if relay is None or relay.nacked:
            self._relays.pop(sequence, None)
            return
        relay.nacked = True
        self._timers.set(("relay", sequence), now + self._config.probe_interval)
        self._outside.send(relay.origin, [Nack(relay.sequence)])

    def void(self, stall: float) -> None:
        """We were stalled so long: the probe in flight proves nothing, ask the same member again."""
        self.doubts.shift(stall)
        probe = self._probe
        if probe is not None and probe.voided < MAX_VOID:
            self._again = self._end_probe()

    def _judge(self, probe: _Probe, now: float) -> None:
        """It was not answered in its period."""
        target = self._target(probe)
        if target is None:
            return
        self._stats.failed_probes += 1
        # Helpers that said nothing: then it is rather we who hear nothing. One, beside another that has spoken, may be
        # unwell itself.
        missed = max(0, probe.helpers - probe.nacks - (probe.nacks > 0))
        self._awareness.change(missed if probe.helpers else 1)
        damping = self._table.damping
        if probe.nacks < max(1, probe.helpers):
            damping.missed(now)
        is_unheard = probe.helpers > 1 and not probe.nacks
        if is_unheard and damping.is_holding:
            return
        if not self.unheard:
            self._speakers.clear()
        self.unheard.append(probe)
        if is_unheard and self._patience > 0:
            self._patience -= 1
            return
        if is_unheard and len(self._speakers) > len(self.unheard):
            # We hear others well: it is our own word that does not reach them.
            self.unheard.clear()
            self._be_patient()
            return
        is_deaf = probe.helpers > 0 and not probe.nacks
        wait = self._awareness.score * self.doubts.patience if is_deaf else 0.0
        silent = [(each.sequence, target) for each in self.unheard if (target := self._target(each)) is not None]
        for sequence, entry in silent:
            self.doubts.begin(entry, sequence, now, wait=wait)
        self.unheard.clear()

    def _judge_refusals(self, now: float) -> None:
        """With few members those that there are must do; but never we alone."""
        probe = self._probe
        target = self._target(probe)
        if probe is None or target is None or probe.refusals < REFUSALS or not probe.closed:
            return
        if len(probe.closed) >= min(REFUSALS, probe.helpers):
            self._end_probe()
            self._outside.is_gone(target, now)

    def _stretch(self) -> int:
        """However unwell we are: while we are held down we must know soon whether we still are."""
        return 1 if self._table.damping.is_holding else self._awareness.score + 1

    def _end_probe(self) -> _Probe | None:
        """The probe in flight, which is none any more."""
        probe, self._probe = self._probe, None
        if probe is not None:
            self._timers.cancel(("probe_tcp", ""))
            self._timers.cancel(("probe_timeout", ""))
        return probe

    def _begin(self, now: float) -> None:
        table = self._table
        again, self._again = self._again, None
        target = self._target(again) if again is not None else None
        if target is None:
            name = self._whom_next(now)
            target = table.entries[name] if name is not None else None
            again = None
        if target is None:
            return
        voided = again.voided + 1 if again is not None else 0
        wait = self._stretch() * self._wait
        probe = self._probe = _Probe(target.name, target.claim.run, self.next_sequence(), voided, now + wait)
        self._stats.probes += 1
        if self._config.tcp_probe:
            self._timers.set(("probe_tcp", ""), now + TCP_AT * wait)
        else:
            self._timers.set(("probe_timeout", ""), probe.times_out_at)
        ping = Ping(probe.sequence, target.name, self._table.digest)
        self._outside.send(target.record.address, [ping], to=target.name)

    def _whom_next(self, now: float) -> str | None:
        """Whose turn it is; a suspect that needs us goes before. Whoever we accuse already is asked anyway, until the
        verdict: in its turn another of whom we may learn something.
        """
        table, suspicions = self._table, self._table.suspicions
        if table.up - len(suspicions) <= 2 and (name := suspicions.unconfirmed(table.me.name, self.doubts)) is not None:
            return name  # nobody but us can confirm it
        name = self.ring.next(self._epoch(now), table.me.record.place)
        if name is None or not suspicions.is_accused(name, table.me.name):
            return name
        others = self.ring.sample(1, lambda each: each not in suspicions and each not in self.doubts)
        return suspicions.unconfirmed(table.me.name, self.doubts) or next(iter(others), name)

    def _epoch(self, now: float) -> int:
        """The same at members whose clocks agree within a period."""
        return self._first_epoch + round((now - self._started) / self._config.probe_interval)

    def _target(self, probe: _Probe | None) -> Entry | None:
        """Who is probed, as long as it is still the same run and counts as a member."""
        entry = self._table.entries.get(probe.name) if probe is not None else None
        return entry if entry is not None and probe is not None and entry.run == probe.run and entry.is_up else None

    def _may_help(self, name: str, target: Entry) -> bool:
        entry = self._table.entries.get(name)
        return entry is not None and entry is not target and entry.status == ALIVE
