"""The messages of the cluster and their bytes: MessagePack arrays, one packet a datagram.

A packet is `[version, cluster, name, run, [message, …]]`, name and run being the sender's; a message is a byte string
that holds `[type, field, …]`. Whatever does not decode to exactly this, within these limits, is a `BadPacket`. Knows no
state and no transport; sealing happens outside, over the whole packet.

News reaches a member a dozen times, and the same bytes reach every member of a process: so what they decode to is
remembered, by bytes. Equal news is one object then, which a table can compare by identity and keep as its row's record.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from types import MappingProxyType
from typing import Annotated, TypeVar
from zlib import crc32

import msgspec
from msgspec import Meta, Raw, Struct
from msgspec.structs import replace

from rpcnet.cluster.swim.member import ALIVE, Claim, Member, MemberStatus
from rpcnet.cluster.swim.record import MAX_ADDRESS, MAX_KEY, MAX_NAME, MAX_NUMBER, MAX_TEXTS, MAX_VALUE, problem

__all__ = [
    "DIGESTS",
    "MAX_NUMBER",
    "PARTS",
    "VERSION",
    "Ack",
    "Alive",
    "BadPacket",
    "Closed",
    "Dead",
    "Gone",
    "Header",
    "Holder",
    "IndirectPing",
    "Knock",
    "Left",
    "Message",
    "Nack",
    "Packet",
    "Ping",
    "Record",
    "Refused",
    "Rows",
    "State",
    "Summary",
    "Suspect",
    "Tags",
    "decode",
    "encode",
    "encode_message",
    "encode_record",
    "encode_rows",
    "encode_state",
    "sender_of",
    "shared",
]

VERSION = 2
MAX_REASON = 255

DIGESTS = 2**56
"""Digests are numbers below this."""
PARTS = 256
"""A table is compared in at most so many parts."""
REMEMBERED = 8192
"""So many different pieces of news are remembered by their bytes; then all are forgotten. At most some 10 MB."""

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Address = Annotated[str, Meta(max_length=MAX_ADDRESS)]
Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
Digest = Annotated[int, Meta(ge=0, lt=DIGESTS)]
Parts = Annotated[list[Annotated[int, Meta(ge=0, lt=PARTS)]], Meta(max_length=PARTS)]
Sequence32 = Annotated[int, Meta(ge=0, lt=2**32)]
Key = Annotated[str, Meta(min_length=1, max_length=MAX_KEY)]
Value = Annotated[str, Meta(max_length=MAX_VALUE)]
Texts = Annotated[dict[Key, Value], Meta(max_length=MAX_TEXTS)]


class BadPacket(Exception):
    """Bytes that are no packet of ours."""


class Ping(Struct, array_like=True, frozen=True, tag=1):
    """Are you there? Only `target` answers: another process at the same address must not vouch for it.

    `digest` is that of the sender's table: where the receiver's differs, the two compare tables.
    """

    sequence: Sequence32
    target: Name
    digest: Number


class IndirectPing(Struct, array_like=True, frozen=True, tag=2):
    """Ping `target` for me (SWIM §3.1)."""

    sequence: Sequence32
    target: Name
    address: Address


class Ack(Struct, array_like=True, frozen=True, tag=3):
    sequence: Sequence32


class Nack(Struct, array_like=True, frozen=True, tag=4):
    """I am well and heard you, but the target did not answer me (Lifeguard §IV.A)."""

    sequence: Sequence32


class Alive(Struct, array_like=True, frozen=True, tag=5, dict=True):
    """A member's whole record. Only the member itself makes one with a new incarnation or version."""

    name: Name
    run: Number
    incarnation: Number
    address: Address
    services: Texts
    version: Number
    tags: Texts

    # Computed once for all that hold this record.

    @cached_property
    def raw(self) -> bytes:
        return encode_message(self)

    @cached_property
    def claim(self) -> Claim:
        return Claim(self.run, self.incarnation, ALIVE)

    @cached_property
    def problem(self) -> str:
        """Which of the rules of both ends (record.py) it breaks; "" where it keeps them all."""
        return problem(self.name, self.address, self.services, self.tags)

    @cached_property
    def digest(self) -> int:
        """Covers every field: one flipped bit is another digest."""
        return int.from_bytes(blake2b(self.raw, digest_size=7).digest(), "big")

    @cached_property
    def part(self) -> int:
        """In which part of a table its row is."""
        return crc32(self.name.encode("utf-8", "replace")) % PARTS

    @cached_property
    def place(self) -> int:
        """Where this run stands in the order in which members probe each other."""
        identity = f"{self.run} {self.name}".encode("utf-8", "replace")
        return int.from_bytes(blake2b(identity, digest_size=8).digest(), "big")

    @cached_property
    def member(self) -> Member:
        """What users see of it."""
        return Member(
            self.name,
            self.run,
            self.incarnation,
            MemberStatus.ALIVE,
            self.address,
            MappingProxyType(self.services),
            self.version,
            MappingProxyType(self.tags),
        )

    @cached_property
    def _tagged(self) -> list["Alive"]:
        """What `tagged` gave last."""
        return []

    def tagged(self, version: int, tags: Mapping[str, str]) -> "Alive":
        """The same with another batch of tags: one object too for all that hold this one."""
        held = self._tagged
        if not held or held[0].version != version or held[0].tags != tags:
            held[:] = [shared(replace(self, version=version, tags=tags))]
        return held[0]

    @cached_property
    def row(self) -> bytes:
        """It as a row of a table."""
        rest = (self.address, self.services, self.version, self.tags, 0)
        return encode_record(Record(self.name, self.run, self.incarnation, ALIVE, *rest))


class Suspect(Struct, array_like=True, frozen=True, tag=6):
    name: Name
    run: Number
    incarnation: Number
    accuser: Name


class Dead(Struct, array_like=True, frozen=True, tag=7):
    name: Name
    run: Number
    incarnation: Number
    accuser: Name


class Left(Struct, array_like=True, frozen=True, tag=8):
    name: Name
    run: Number
    incarnation: Number


class Tags(Struct, array_like=True, frozen=True, tag=9):
    """All tags of a member, as one batch with one version."""

    name: Name
    run: Number
    version: Number
    tags: Texts


class Record(Struct, array_like=True, frozen=True, dict=True):
    """One row of a table in a push-pull exchange; `age` is the whole seconds since it failed or left."""

    name: Name
    run: Number
    incarnation: Number
    status: Annotated[int, Meta(ge=0, le=3)]
    address: Address
    services: Texts
    version: Number
    tags: Texts
    age: Number

    @cached_property
    def alive(self) -> Alive:
        """The record in it, whatever the row says of its life."""
        return shared(
            Alive(self.name, self.run, self.incarnation, self.address, self.services, self.version, self.tags)
        )


class State(Struct, array_like=True, frozen=True, tag=10):
    """A whole table: push and, as its answer, pull. Only over a stream."""

    records: list[Record]


class Summary(Struct, array_like=True, frozen=True, tag=11):
    """Digests of the parts of a table, by the hash of the name: answered with `Rows` of the parts that differ.

    Only over a stream.
    """

    digests: Annotated[list[Digest], Meta(min_length=1, max_length=PARTS)]


class Rows(Struct, array_like=True, frozen=True, tag=12):
    """Rows of the parts of a table that differ: `parts` are their numbers. As a question it has rows alone, and is
    acknowledged. Only over a stream.
    """

    records: list[Record]
    parts: Parts


class Refused(Struct, array_like=True, frozen=True, tag=13):
    """I do not take what you send. It tells no state, and is answered by nothing."""

    reason: Annotated[str, Meta(max_length=MAX_REASON)]


class Holder(Struct, array_like=True, frozen=True, tag=14):
    """A process that has the name of the newcomer. Sent to it: ask that one. Sent by it, beside its first table: I have
    asked that one, and it did not answer (an empty address: I have asked nobody). Only over a stream.
    """

    run: Number
    address: Address


class Knock(Struct, array_like=True, frozen=True, tag=15):
    """Ping `target` for me, and say whether its port is closed: it has refused me."""

    sequence: Sequence32
    target: Name
    address: Address


class Closed(Struct, array_like=True, frozen=True, tag=16):
    """The port of whom you asked me to knock at is closed."""

    sequence: Sequence32


class Gone(Struct, array_like=True, frozen=True, tag=17):
    """A member whose machine answers and whose port is closed, as several have seen. Told on by those only who have
    seen it themselves, or have been told by several.
    """

    name: Name
    run: Number
    incarnation: Number
    accuser: Name


Message = (
    Ping
    | IndirectPing
    | Ack
    | Nack
    | Alive
    | Suspect
    | Dead
    | Left
    | Tags
    | State
    | Summary
    | Rows
    | Refused
    | Holder
    | Knock
    | Closed
    | Gone
)


class Header(Struct, array_like=True, frozen=True):
    """Who sends a packet; more elements may follow."""

    version: Number
    cluster: Name
    name: Name
    run: Number


class Packet(Struct, array_like=True, frozen=True):
    version: Number
    cluster: Name
    name: Name
    run: Number
    messages: list[Message]


class _Envelope(Struct, array_like=True, frozen=True):
    """A packet whose messages are not decoded yet."""

    version: Number
    cluster: Name
    name: Name
    run: Number
    messages: list[bytes]


class _Table(Struct, array_like=True, frozen=True):
    """A `State` or `Rows` whose rows are not decoded yet."""

    kind: Annotated[int, Meta(ge=10, le=12)]
    records: list[Raw]
    parts: Parts = []


_encoder = msgspec.msgpack.Encoder()
encode_message: Callable[[Message], bytes] = _encoder.encode
encode_record: Callable[[Record], bytes] = _encoder.encode
_envelope = msgspec.msgpack.Decoder(_Envelope)
_message: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_table = msgspec.msgpack.Decoder(_Table)
_record = msgspec.msgpack.Decoder(Record)
_header = msgspec.msgpack.Decoder(Header)

NEWS = frozenset((5, 6, 7, 8, 9, 17))
"""Tags of the messages that go from member to member unchanged."""
STATE, ROWS = 10, 12
TABLES = (STATE, ROWS)
_Remembered = TypeVar("_Remembered", Message, Record)
_news: dict[bytes, Message] = {}
_rows: dict[bytes, Record] = {}


def encode_state(rows: Sequence[bytes]) -> bytes:
    """A `State` of rows that are encoded already."""
    return _encoder.encode((STATE, [Raw(row) for row in rows]))


def encode_rows(rows: Sequence[bytes], parts: Sequence[int]) -> bytes:
    """`Rows` of rows that are encoded already."""
    return _encoder.encode((ROWS, [Raw(row) for row in rows], parts))


def encode(cluster: str, name: str, run: int, messages: Sequence[bytes]) -> bytes:
    return _encoder.encode((VERSION, cluster, name, run, messages))


def decode(data: bytes) -> Packet:
    """Raises BadPacket, whatever the bytes are."""
    try:
        packet = _envelope.decode(data)
        messages = [_news.get(message) or _decode(message) for message in packet.messages]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadPacket(str(error)) from None
    return Packet(packet.version, packet.cluster, packet.name, packet.run, messages)


def shared(alive: Alive) -> Alive:
    """The one object for this record."""
    found = _news.get(alive.raw)
    if not isinstance(found, Alive):
        _keep(_news, alive.raw, found := alive)
    return found


def _decode(data: bytes) -> Message:
    # An array of up to 15 elements has its length in the first byte, and its tag in the second.
    kind = data[1] if len(data) > 1 else 0
    if kind in NEWS:
        return _keep(_news, data, _message.decode(data))
    if kind in TABLES:
        table = _table.decode(data)
        records = [_rows.get(row) or _keep(_rows, row, _record.decode(row)) for row in map(bytes, table.records)]
        return State(records) if kind == STATE else Rows(records, table.parts)
    return _message.decode(data)


def _keep(held: dict[bytes, _Remembered], data: bytes, value: _Remembered) -> _Remembered:
    if len(held) >= REMEMBERED:
        held.clear()
    held[data] = value
    return value


def sender_of(data: bytes) -> Header | None:
    """Who sent bytes that are no packet for us, where their beginning says so."""
    try:
        return _header.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
