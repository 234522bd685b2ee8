"""The layout of frames and of what they carry, as in docs/protocol.md.

Knows numbers and structures only: no state of a stream or connection, no limits but those of the fields themselves.
Frame types, flags and shapes are plain integers, because enum members cost a Python-level hash in every table look-up.

Tests: tests/rpcnet/wire/test_frame.py and test_golden.py.
"""

import struct
from struct import Struct
from typing import Final, TypeAlias

import msgspec

from rpcnet.codec import PACKED
from rpcnet.config import HELLO_LIMITS
from rpcnet.errors import ProtocolError, Status

__all__ = [
    "ARGUMENTS",
    "BIDIRECTIONAL",
    "CANCEL",
    "CLIENT_STREAMING",
    "CREDIT",
    "END",
    "FLAG_END",
    "FLAG_ITEM",
    "FLAG_MORE",
    "FLAG_PACKED",
    "GOAWAY",
    "HEADER",
    "HEADER_BYTES",
    "HELLO",
    "ITEM",
    "ITEM_COST",
    "MAX_GOAWAY_BYTES",
    "MAX_METHOD_BYTES",
    "MAX_NAME_CHARACTERS",
    "MAX_TEXT_BYTES",
    "METADATA",
    "NAMES",
    "OPEN",
    "PING",
    "PONG",
    "PREFACE",
    "SERVER_STREAMING",
    "SHAPES",
    "TOKEN_BYTES",
    "UNARY",
    "VERSION",
    "Ending",
    "Frame",
    "Hello",
    "check_token",
    "decode_cancel",
    "decode_ending",
    "decode_goaway",
    "decode_hello",
    "decode_metadata",
    "decode_number",
    "decode_open",
]

PREFACE: Final = b"\x89rpcnet\n"
"""Opens every connection in both directions. The first byte is no text, the last is spoilt by newline translation."""
VERSION: Final = 1

HEADER: Final = Struct(">IBBI")
"""Payload length, type, flags, stream."""
HEADER_BYTES: Final = HEADER.size

HELLO: Final = 1
OPEN: Final = 2
ITEM: Final = 3
END: Final = 4
CANCEL: Final = 5
CREDIT: Final = 6
PING: Final = 7
PONG: Final = 8
GOAWAY: Final = 9
METADATA: Final = 10

NAMES: Final = {
    HELLO: "HELLO",
    OPEN: "OPEN",
    ITEM: "ITEM",
    END: "END",
    CANCEL: "CANCEL",
    CREDIT: "CREDIT",
    PING: "PING",
    PONG: "PONG",
    GOAWAY: "GOAWAY",
    METADATA: "METADATA",
}

FLAG_END: Final = 1
"""On OPEN and ITEM: nothing more comes in this direction. From a server it means status OK, no trailers."""
FLAG_MORE: Final = 2
"""On OPEN and ITEM: the message goes on in the next ITEM of this stream."""
FLAG_ITEM: Final = 4
"""On OPEN: the rest of the payload is the first item, or its first part."""

FLAG_PACKED: Final = PACKED
"""On the first frame of a message (OPEN, ITEM): it is MessagePack; without it the message is raw bytes."""

SHAPES: Final = ("unary", "client_streaming", "server_streaming", "bidirectional")
"""By number: bit 0 says that the caller streams, bit 1 that the handler does."""
UNARY, CLIENT_STREAMING, SERVER_STREAMING, BIDIRECTIONAL = range(4)

ARGUMENTS: Final = 4
"""Beside a shape whose caller streams: the caller's first message is a map of arguments, and no item."""
_SHAPES_OF_OPEN: Final = frozenset((*range(4), CLIENT_STREAMING | ARGUMENTS, BIDIRECTIONAL | ARGUMENTS))

ITEM_COST: Final = 64
"""Credit that each ITEM frame, or first item, costs beside its bytes: about what a queued item costs in memory."""
TOKEN_BYTES: Final = 8
"""What a PING carries, and the PONG that answers it."""
MAX_METHOD_BYTES: Final = 1024
MAX_TEXT_BYTES: Final = 4096
"""Longest text of an END; a longer one is cut."""
MAX_GOAWAY_BYTES: Final = 1024
"""Longest GOAWAY; its text is cut. It fits into the smallest `max_frame_bytes`: it may be sent before HELLO is read."""
MAX_NAME_CHARACTERS: Final = 64
"""Longest name of a connection, and of a node, in HELLO."""

OPEN_HEAD: Final = Struct(">BHIQ")
"""Shape, bytes of the method name, bytes of the metadata, remaining deadline in microseconds (0 = none)."""
NUMBER: Final = Struct(">I")
GOAWAY_HEAD: Final = Struct(">IB")

Frame: TypeAlias = tuple[int, int, int, bytes]
"""Type, flags, stream, payload."""


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What each side says of itself before anything else. Unknown keys are ignored."""

    min_version: int = VERSION
    max_version: int = VERSION
    features: list[str] = []
    node: str = ""
    connection: str = ""
    """The connection's name in both ends' records; the client chooses it, the server's is empty."""
    max_message_bytes: int
    max_frame_bytes: int
    max_metadata_bytes: int
    max_streams: int
    stream_window_bytes: int
    connection_window_bytes: int


class Ending(msgspec.Struct, frozen=True, array_like=True):
    """The payload of END; an empty one is OK without anything.

    Of a shorter array the rest has these defaults; what a longer one holds beyond them is ignored.
    """

    status: int = 0
    message: str = ""
    details: bytes = b""
    trailers: dict[str, str | bytes] = {}


class _Read(msgspec.Struct, array_like=True):
    """An `Ending` as it comes, its trailers not read yet."""

    status: int = 0
    message: str = ""
    details: bytes = b""
    trailers: dict[str, msgspec.Raw] = {}


# Text that is not UTF-8 is a plain UnicodeDecodeError to msgspec.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_hello = msgspec.msgpack.Decoder(Hello)
_encode = msgspec.msgpack.Encoder().encode
_ending = msgspec.msgpack.Decoder(_Read)
# msgspec has no union of text and bytes. Read as Any, a value could be a map whose keys a peer has made to collide.
_metadata = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_text = msgspec.msgpack.Decoder(str).decode
_bytes = msgspec.msgpack.Decoder(bytes).decode
_TEXT_HEADS = frozenset((*range(0xA0, 0xC0), 0xD9, 0xDA, 0xDB))
_BYTES_HEADS = frozenset((0xC4, 0xC5, 0xC6))
_OK = Ending()
_CANCEL_STATUSES = range(1, max(Status) + 1)


def decode_hello(payload: bytes) -> Hello:
    """The peer's HELLO, its numbers checked."""
    try:
        hello = _hello.decode(payload)
    except UNREADABLE as error:
        raise ProtocolError(f"HELLO cannot be read: {error}") from None
    if not hello.min_version <= VERSION <= hello.max_version:
        raise ProtocolError(
            f"peer speaks protocol versions {hello.min_version} to {hello.max_version}, this end speaks {VERSION}"
        )
    for name, (least, most) in HELLO_LIMITS.items():
        value = getattr(hello, name)
        if not least <= value <= most:
            raise ProtocolError(f"HELLO cannot be taken: {name} is {value}; it must be {least} to {most}")
    for name, text in (("connection", hello.connection), ("node", hello.node)):
        if len(text) > MAX_NAME_CHARACTERS:
            raise ProtocolError(
                f"HELLO cannot be taken: {name} has {len(text)} characters; it must have at most {MAX_NAME_CHARACTERS}"
            )
    return hello


MOST_SHARED: Final = 64
_shared: dict[bytes, Hello] = {}


def shared(hello: Hello) -> Hello:
    """The same limits, in an object that other connections have too: of a thousand peers most say the same.

    What a peer says of itself, its names, is left out.
    """
    nameless = msgspec.structs.replace(hello, connection="", node="")
    said = _encode(nameless)
    if said not in _shared and (len(_shared) >= MOST_SHARED or nameless.features):
        return nameless
    return _shared.setdefault(said, nameless)


def decode_open(payload: bytes, max_metadata_bytes: int) -> tuple[int, str, dict[str, str | bytes], int, bytes]:
    """Shape and ARGUMENTS, method, metadata, remaining microseconds (0 = none), first message or its first part."""
    try:
        shape, method_bytes, metadata_bytes, micros = OPEN_HEAD.unpack_from(payload)
        start = OPEN_HEAD.size + method_bytes
        method = str(payload[OPEN_HEAD.size : start], "utf-8")
    except (ValueError, struct.error):
        raise ProtocolError("OPEN cannot be read: it is cut short or its method is not UTF-8") from None
    stop = start + metadata_bytes
    if stop > len(payload) or shape not in _SHAPES_OF_OPEN or not 0 < method_bytes <= MAX_METHOD_BYTES:
        raise ProtocolError("OPEN cannot be read: a length or the shape in it is wrong")
    if metadata_bytes > max_metadata_bytes:
        raise ProtocolError(f"{metadata_bytes} bytes of metadata exceed max_metadata_bytes ({max_metadata_bytes})")
    metadata = decode_metadata(payload[start:stop]) if metadata_bytes else {}
    return shape, method, metadata, micros, payload[stop:]


def decode_metadata(payload: bytes) -> dict[str, str | bytes]:
    try:
        return _values(_metadata.decode(payload))
    except UNREADABLE as error:
        raise ProtocolError(f"metadata cannot be read: {error}") from None


def _values(packed: dict[str, msgspec.Raw]) -> dict[str, str | bytes]:
    values: dict[str, str | bytes] = {}
    for key, value in packed.items():
        head = memoryview(value)[0]
        if head in _TEXT_HEADS:
            values[key] = _text(value)
        elif head in _BYTES_HEADS:
            values[key] = _bytes(value)
        else:
            raise ProtocolError(f"metadata cannot be read: {key!r} is neither text nor bytes")
    return values


def decode_ending(payload: bytes) -> Ending:
    if not payload:
        return _OK
    try:
        read = _ending.decode(payload)
        return Ending(read.status, read.message, read.details, _values(read.trailers))
    except UNREADABLE as error:
        raise ProtocolError(f"END cannot be read: {error}") from None


def decode_cancel(payload: bytes) -> int:
    """The status with which a caller lets go: any but OK."""
    if len(payload) != 1:
        raise ProtocolError(f"CANCEL has {len(payload)} bytes of payload instead of 1")
    (status,) = payload
    if status not in _CANCEL_STATUSES:
        raise ProtocolError(f"CANCEL has status {status}; it must be 1 to {_CANCEL_STATUSES[-1]}")
    return status


def check_token(kind: int, payload: bytes) -> None:
    """PING and PONG carry eight bytes of any kind."""
    if len(payload) != TOKEN_BYTES:
        raise ProtocolError(f"{NAMES[kind]} has {len(payload)} bytes of payload instead of {TOKEN_BYTES}")


def decode_number(payload: bytes) -> int:
    """The payload of CREDIT."""
    if len(payload) != NUMBER.size:
        raise ProtocolError(f"CREDIT has {len(payload)} bytes of payload instead of {NUMBER.size}")
    return int.from_bytes(payload, "big")


def decode_goaway(payload: bytes) -> tuple[int, int, str]:
    """The last stream that will be served, a status, a text."""
    if len(payload) < GOAWAY_HEAD.size:
        raise ProtocolError("GOAWAY is cut short")
    last, status = GOAWAY_HEAD.unpack_from(payload)
    return last, status, str(payload[GOAWAY_HEAD.size :], "utf-8", "replace")
