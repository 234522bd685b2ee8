"""What others are told because of what they sent: their own verdict, our refutation, another process of their name.

Whoever sends has a right to know what we hold of it. Each is told seldom: two that hold each other for dead would
answer each other's answers for ever. Knows no timer and no probe.

Tests: tests/rpcnet/cluster/swim/test_core.py, test_table.py.
"""

from rpcnet.cluster.swim.awareness import Awareness
from rpcnet.cluster.swim.effect import Noticed
from rpcnet.cluster.swim.member import ALIVE, DEAD, Entry
from rpcnet.cluster.swim.message import Alive, Holder, Message, Packet, State
from rpcnet.cluster.swim.outbox import Outbox
from rpcnet.cluster.swim.table import Table
from rpcnet.config import ClusterConfig

__all__ = ["Replies"]

MAX_UNREACHED = 3
"""So often a member refutes without anybody having reached it. Others probe it once a period, in the mean."""
LONG_UNREACHED = 5
"""So many periods without having been reached make it once less."""


class Replies:
    def __init__(self, table: Table, outbox: Outbox, config: ClusterConfig, awareness: Awareness) -> None:
        self._table, self._outbox, self._config, self._awareness = table, outbox, config, awareness
        self._now = 0.0
        """When the packet came that is being read, or the last one."""
        self._reached_at = 0.0
        self._unreached = 0
        """How often we have refuted since somebody last reached us unasked."""
        self._accused_anew = False
        """Whether that packet holds against us what we have refuted before."""
        table.on_refuted = self._refuted
        table.on_stale_accusation = self._note_stale_accusation
        table.on_twin = self._tell_twin
        table.on_twins = self._tell_twins
        table.may_refute = self._may_refute

    def begin(self, now: float) -> None:
        """Another packet is read."""
        self._now, self._accused_anew = now, False

    def reached(self, now: float) -> None:
        """Somebody has reached us unasked."""
        self._unreached, self._reached_at = 0, now

    def answer(self, packet: Packet, source: str) -> bool:
        """What its sender must know. True where we do not know the sender: whoever runs us asks for its table."""
        entry = self._table.entries.get(packet.name)
        if entry is None:
            return True
        run, _, status = entry.claim
        if packet.run > run or not entry.was_seen:
            return True
        if packet.run < run or (status == DEAD and not self._outbox.has_sent(source)):
            if self._may_tell(entry):
                newer: list[Message] = [entry.record] if status == ALIVE else []
                self._outbox.send(source, newer, to=entry.name, gossip=False)
        elif self._accused_anew and self._may_tell(entry):
            # It has missed our refutation, and may have it from nobody else before its verdict.
            self._outbox.send(entry.address, [self._table.me.record], to=entry.name, gossip=False)
        return False

    def holder(self, packet: Packet) -> Holder | None:
        """Who has the name of this newcomer, unless it says that this one did not answer."""
        asked = [message for message in packet.messages if isinstance(message, Holder)]
        states = [message for message in packet.messages if isinstance(message, State)]
        rows = [row for state in states for row in state.records if (row.name, row.run) == (packet.name, packet.run)]
        held = self._table.holder(packet.name, rows[0].address) if asked and rows else None
        holder = Holder(held.run, held.address) if held is not None else None
        return holder if holder not in asked else None

    def _may_tell(self, entry: Entry) -> bool:
        may = self._now - entry.answered_at >= self._config.gossip_interval
        if may:
            entry.answered_at = self._now
        return may

    def _note_stale_accusation(self) -> None:
        self._accused_anew = True

    def _refuted(self, accuser: str) -> None:
        """We were accused: some of it may be our own fault. The accuser hears the refutation first."""
        self._unreached += 1
        self._awareness.change(1)
        entry = self._table.entries.get(accuser)
        if entry is not None and entry is not self._table.me and entry.address:
            self._outbox.send(entry.address, [self._table.me.record], to=accuser)

    def _may_refute(self) -> bool:
        """Not if nobody reaches us, however often we say that we live: they are right then."""
        is_long = self._now - self._reached_at > LONG_UNREACHED * self._config.probe_interval
        if self._unreached < MAX_UNREACHED - is_long:
            return True
        address = self._table.me.address
        self._outbox.effects.append(
            Noticed(
                ("unreached", ""),
                f"the others hold it for failed, and none of them reaches it at {address}:"
                " check `advertise`, and that its port is open for UDP and TCP",
            )
        )
        return False

    def _tell_twin(self, address: str) -> None:
        if self._may_tell(self._table.me):
            self._outbox.send(address, [self._table.me.record], gossip=False)

    def _tell_twins(self, entry: Entry, message: Alive) -> None:
        """Two processes have one name and run: each hears of the other, and one of them takes a newer run."""
        if self._may_tell(entry):
            self._outbox.send(message.address, [entry.record], gossip=False)
            self._outbox.send(entry.address, [message], gossip=False)
