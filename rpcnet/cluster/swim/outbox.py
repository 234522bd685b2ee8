"""What is to be done: effects in order, and the packets among them with their news.

Each datagram carries what it is for, what we hold against its receiver (Lifeguard §IV.C), our own accusations that
still run, and as much news as fits. Knows no rule about claims, and reads no packet.

Tests: tests/rpcnet/cluster/swim/test_core.py.
"""

from collections.abc import Mapping, Sequence

from rpcnet.cluster.errors import TagsTooLarge
from rpcnet.cluster.swim import record as record_rules
from rpcnet.cluster.swim.dissemination import Dissemination, transmissions
from rpcnet.cluster.swim.effect import Effect, Send, Stats
from rpcnet.cluster.swim.member import DEAD, SUSPECT
from rpcnet.cluster.swim.message import MAX_NUMBER, Alive, Message, encode, encode_message
from rpcnet.cluster.swim.table import Table, verdict_message
from rpcnet.config import ClusterConfig

__all__ = ["FRAME", "Outbox", "room_for_messages"]

COUNT = 4
"""Bytes by which the number of messages in a packet may grow its header."""
DOUBTED = (SUSPECT, DEAD)
FRAME = 3
"""Bytes that a message takes in a packet beside its own."""


def room_for_messages(config: ClusterConfig, name: str, packet: int) -> int:
    """Of so many bytes."""
    return packet - len(encode(config.cluster_name, name, MAX_NUMBER, [])) - COUNT


class Outbox:
    def __init__(
        self,
        table: Table,
        queue: Dissemination,
        effects: list[Effect],
        config: ClusterConfig,
        stats: Stats,
        packet: int,
    ) -> None:
        """`packet` is how many bytes one may take."""
        self.effects = effects
        self._cluster = config.cluster_name
        self._table, self._queue, self._config, self._stats, self._packet = table, queue, config, stats, packet
        self._room = room_for_messages(config, table.me.name, packet)

    def send(self, address: str, messages: list[Message], *, to: str | None = None, gossip: bool = True) -> None:
        """One datagram. To a member that is doubted the news does not count as told: it may reach nobody."""
        raws = list(map(encode_message, messages))
        table = self._table
        entry = table.entries.get(to) if to is not None else None
        doubted = entry is not None and entry.claim.status in DOUBTED and entry is not table.me
        if entry is not None and doubted and (entry.status == DEAD or self._config.buddy_system):
            raws.append(encode_message(verdict_message(entry, table.me.name)))
        if gossip and (self._queue.updates or table.suspicions.accusations):
            self._add_news(raws, doubted)
        self.send_alone(address, self.packet(raws), to)

    def _add_news(self, raws: list[bytes], doubted: bool) -> None:
        room = self._room - sum(map(len, raws)) - FRAME * len(raws)
        for accusation in () if doubted else self._table.suspicions.latest_accusations():
            if (size := len(accusation) + FRAME) <= room:
                raws.append(accusation)
                room -= size
        raws.extend(self._queue.take(room, None if doubted else self.transmissions()))

    def send_alone(self, address: str, packet: bytes, to: str | None) -> None:
        """That datagram, with no news."""
        self._stats.datagrams_sent += 1
        self._stats.bytes_sent += len(packet)
        self.effects.append(Send(address, packet, to))

    def has_sent(self, address: str) -> bool:
        return any(isinstance(effect, Send) and effect.address == address for effect in self.effects)

    def packet(self, messages: Sequence[bytes]) -> bytes:
        me = self._table.me
        return encode(self._cluster, me.name, me.claim.run, messages)

    def stream_packet(self, messages: Sequence[bytes]) -> bytes:
        data = self.packet(messages)
        self._stats.stream_bytes_sent += len(data)
        return data

    def transmissions(self) -> int:
        return transmissions(self._config.retransmit_multiplier, self._table.up)

    def check_room(self, tags: Mapping[str, str], services: Mapping[str, str]) -> None:
        """Our whole record, with these tags and services, must fit into one datagram. Raises TagsTooLarge."""
        me = self._table.me.record
        highest = Alive(me.name, me.run, 2**32, me.address, dict(services), 2**32, dict(tags))
        # It rides in the packets of others too, whose names may be longer.
        longest = "x" * record_rules.MAX_NAME
        size = len(encode(self._config.cluster_name, longest, me.run, [encode_message(highest)])) + COUNT
        if size > self._packet:
            raise TagsTooLarge(
                f"the record of {me.name} (name, address, services, tags) takes {size} bytes, more than"
                f" max_datagram_bytes leaves ({self._packet}); shorten it"
            )
