"""What is taken in: the bytes that are packets for us, and those of our own cluster whose packets are not taken.

Bytes that are no packet of this cluster change nothing but a counter, and get no answer. A member of it is told why,
seldom and with fewer bytes than it sent: nobody can make us send to a third. Knows no row of the table.

Tests: tests/rpcnet/cluster/swim/test_core.py.
"""

from collections.abc import Callable

from rpcnet.cluster.swim.effect import Effect, Noticed, Stats
from rpcnet.cluster.swim.member import Entry
from rpcnet.cluster.swim.message import MAX_REASON, VERSION, BadPacket, Packet, Refused, decode, sender_of
from rpcnet.config import ClusterConfig

__all__ = ["Reception"]

REFUSAL_INTERVAL = 1.0
"""Seconds between two datagrams that tell somebody that we do not take what it sends."""


class Reception:
    def __init__(self, me: Entry, config: ClusterConfig, stats: Stats, emit: Callable[[Effect], None]) -> None:
        self._me, self._stats, self._emit = me, stats, emit
        self._cluster = config.cluster_name
        self._sender = ""
        """Who has sent what is being read."""
        self.refusal: Refused | None = None
        """Why it is not taken, or a record in it of the sender's own."""
        self._refused_at = float("-inf")

    def open(self, data: bytes, *, on_stream: bool = False) -> Packet | None:
        """The packet in these bytes, if it is one for us. On a stream it may be our own: an address led to us."""
        self._sender, self.refusal = "", None
        try:
            packet = decode(data)
        except BadPacket as error:
            self._count_bad(data, str(error), on_stream=on_stream)
            return None
        self._sender = name = packet.name
        if packet.version != VERSION:
            self._count_bad(data, "", on_stream=on_stream)
        elif packet.cluster != self._cluster:
            self._foreign(name, packet.cluster)
        elif on_stream or name != self._me.name or packet.run != self._me.run:
            return packet
        return None

    def refuse(self, name: str, reason: str) -> None:
        """Something that this member announces is not taken; it is told if it has sent that itself."""
        self._emit(Noticed(("refused", name), f"does not take what {name!r} sends: {reason}"))
        if name == self._sender:
            self.refusal = Refused(reason[:MAX_REASON])

    def refused_by(self, name: str, reason: str) -> None:
        self._stats.refused_by_others += 1
        self._emit(Noticed(("refused by", name), f"{name!r} does not take what we send: {reason!r}"))

    def take_refusal(self) -> Refused | None:
        """What the sender is to be told on its stream."""
        refusal, self.refusal = self.refusal, None
        return refusal

    def take_seldom(self, now: float) -> Refused | None:
        """The same by a datagram; `told` counts it."""
        refusal = self.take_refusal()
        return refusal if now - self._refused_at >= REFUSAL_INTERVAL else None

    def told(self, now: float) -> None:
        self._refused_at = now

    def _foreign(self, name: str, cluster: str) -> None:
        """Counted and logged, not answered: it may be a seed of the wrong cluster, or an address with a new owner."""
        self._stats.foreign_cluster += 1
        text = f"does not take what {name!r} of cluster {cluster!r} sends: this cluster is {self._cluster!r}"
        self._emit(Noticed(("foreign_cluster", ""), text))

    def _count_bad(self, data: bytes, reason: str, *, on_stream: bool) -> None:
        """Bytes that are no packet for us. One of our own cluster is told why; nobody else is told anything.

        One that speaks another version is told on its stream only: datagrams would be answered to and fro for ever.
        """
        sender = sender_of(data)
        if sender is not None and sender.cluster != self._cluster:
            self._foreign(sender.name, sender.cluster)
            return
        if sender is not None and sender.version != VERSION:
            self._stats.foreign_version += 1
            reason = f"it speaks version {sender.version} of the protocol, we speak {VERSION}"
        else:
            self._stats.malformed += 1
        if sender is not None:
            self._sender = sender.name if on_stream or sender.version == VERSION else ""
            self.refuse(sender.name, reason)
