"""The messages of the cluster and their bytes: MessagePack arrays, one packet a datagram.

A packet is `[version, cluster, name, run, [message, …]]`, name and run being the sender's; a message is
`[type, field, …]`. Whatever does not decode to exactly this, within these limits, is a `BadPacket`. Knows no member,
no state and no transport; sealing happens outside, over the whole packet.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta, Raw, Struct

from rpcnet.cluster.swim.record import MAX_ADDRESS, MAX_KEY, MAX_NAME, MAX_NUMBER, MAX_TEXTS, MAX_VALUE

__all__ = [
    "MAX_NUMBER",
    "VERSION",
    "Ack",
    "Alive",
    "BadPacket",
    "Dead",
    "Header",
    "Holder",
    "IndirectPing",
    "Left",
    "Message",
    "Nack",
    "Packet",
    "Ping",
    "Record",
    "Refused",
    "State",
    "Suspect",
    "Tags",
    "decode",
    "encode",
    "encode_message",
    "sender_of",
]

VERSION = 1
MAX_REASON = 255

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
Address = Annotated[str, Meta(max_length=MAX_ADDRESS)]
Number = Annotated[int, Meta(ge=0, le=MAX_NUMBER)]
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


class Alive(Struct, array_like=True, frozen=True, tag=5):
    """A member's whole record. Only the member itself makes one with a new incarnation or version."""

    name: Name
    run: Number
    incarnation: Number
    address: Address
    services: Texts
    version: Number
    tags: Texts


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


class Record(Struct, array_like=True, frozen=True):
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


class State(Struct, array_like=True, frozen=True, tag=10):
    """A whole table: push and, as its answer, pull. Only over a stream."""

    records: list[Record]


class Refused(Struct, array_like=True, frozen=True, tag=13):
    """I do not take what you send. It tells no state, and is answered by nothing."""

    reason: Annotated[str, Meta(max_length=MAX_REASON)]


class Holder(Struct, array_like=True, frozen=True, tag=14):
    """A process that has the name of the newcomer. Sent to it: ask that one. Sent by it, beside its first table: I have
    asked that one, and it did not answer (an empty address: I have asked nobody). Only over a stream.
    """

    run: Number
    address: Address


Message = Ping | IndirectPing | Ack | Nack | Alive | Suspect | Dead | Left | Tags | State | Refused | Holder


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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Packet)
_header = msgspec.msgpack.Decoder(Header)


def encode_message(message: Message) -> Raw:
    return Raw(_encoder.encode(message))


def encode(cluster: str, name: str, run: int, messages: Sequence[Raw]) -> bytes:
    return _encoder.encode((VERSION, cluster, name, run, messages))


def decode(data: bytes) -> Packet:
    """Raises BadPacket, whatever the bytes are."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadPacket(str(error)) from None


def sender_of(data: bytes) -> Header | None:
    """Who sent bytes that are no packet for us, where their beginning says so."""
    try:
        return _header.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
