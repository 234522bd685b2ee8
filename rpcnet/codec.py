"""Payloads: values to bytes and back, encoded and validated by msgspec in one pass.

A payload is its bytes and its layout, which travels as a flag on the message. Bytes, bytearrays and memoryviews are
sent as they are (RAW); anything else is MessagePack (PACKED): dataclass, Struct, attrs, TypedDict, builtins. The
layout decides only at a reader whose type admits bytes; other types decode whatever comes, so that values encoded by
hand work.

Knows no call and no status: what does not fit raises `PayloadError`, which names the field. What a type may be is
rpcnet/kinds.py's matter. Tests: tests/rpcnet/test_codec.py and test_hostile_payloads.py.
"""

import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import UNSET

from rpcnet.collisions import guard
from rpcnet.depth import is_deeper
from rpcnet.kinds import Kind, inspected

__all__ = [
    "NO_ARGUMENTS",
    "PACKED",
    "RAW",
    "Decode",
    "PayloadError",
    "answer_encoder",
    "arguments_decoder",
    "bytes_answer",
    "decoder",
    "encode",
]

RAW: Final = 0
PACKED: Final = 8
"""The layouts of a payload: bytes as they are, or MessagePack. Numbers of the flag on the wire (docs/protocol.md)."""

NO_ARGUMENTS: Final = (b"\x80", PACKED)
"""A map of arguments without any: payload and layout."""

Decode: TypeAlias = Callable[[bytes, int], Any]
Encode: TypeAlias = Callable[[Any], tuple[bytes, int]]


class PayloadError(ValueError):
    """A payload that does not fit its type; the text holds the path of the field, as in `$.count`."""


_encode = msgspec.msgpack.Encoder().encode
_BYTES: Final = (bytes, bytearray, memoryview)


def encode(value: Any) -> tuple[bytes, int]:
    """The bytes of a payload, and how they are laid out: RAW or PACKED. PayloadError where it cannot be encoded."""
    if isinstance(value, _BYTES):
        return value if type(value) is bytes else _plain_bytes(value), RAW
    try:
        return _encode(value), PACKED
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise PayloadError(f"{type(value).__qualname__} cannot be encoded: {error}") from None
    except Exception as error:
        # The user's code in an attribute or an Enum raised. What its text holds, and whether it has one, is not known.
        raise PayloadError(f"{type(value).__qualname__} cannot be encoded: {type(error).__name__}") from error


def _plain_bytes(value: bytes | bytearray | memoryview) -> bytes:
    try:
        return bytes(memoryview(value))  # not bytes(value), which asks a subclass
    except ValueError as error:
        raise PayloadError(f"{type(value).__qualname__} cannot be encoded: {error}") from None


def decoder(kind: Any, max_depth: int = 64) -> Decode:
    """A function from a payload and its layout to a value of this type, cached by the type.

    None means untyped: the bytes, whatever their layout. TypeError where no payload can be of this type.
    """
    try:
        return _cached_decoder(kind, max_depth)
    except TypeError:
        return _new_decoder(kind, max_depth)  # it cannot be hashed, as an Annotated that holds a list; or says so again


def _new_decoder(kind: Any, max_depth: int) -> Decode:
    if kind is None:
        return _untyped
    known = inspected(kind)
    return _for_bytes_or_packed(known, max_depth) if known.admits_bytes else _packed_only(known, max_depth)


_cached_decoder = lru_cache(maxsize=1024)(_new_decoder)


def _untyped(payload: bytes, layout: int) -> bytes:
    return payload


def _packed_only(known: Kind, max_depth: int) -> Decode:
    unpack = msgspec.msgpack.Decoder(known.kind).decode
    judge, harmless = _judge(known, max_depth)

    def decode(payload: bytes, layout: int) -> Any:
        try:
            if len(payload) > harmless:
                judge(payload)
            return unpack(payload)
        except PayloadError:
            raise
        except Exception as error:
            raise _refusal(error)  # noqa: B904 - it has its cause; a name for it here would be a cycle

    return decode


def _for_bytes_or_packed(known: Kind, max_depth: int) -> Decode:
    """For types that admit bytes: only here the layout decides."""
    kind = known.kind
    as_they_are = kind in (bytes, Any, object)
    unpack = _packed_only(known, max_depth)

    def decode(payload: bytes, layout: int) -> Any:
        if layout == PACKED:
            return unpack(payload, layout)
        if as_they_are:
            return payload
        try:
            return msgspec.convert(payload, kind)
        except Exception as error:
            raise _refusal(error)  # noqa: B904 - as above

    return decode


def _judge(known: Kind, max_depth: int) -> tuple[Callable[[bytes], None], int]:
    """What refuses MessagePack that would take too long to decode, and the most bytes that need no look."""
    limit = max_depth if known.may_nest else sys.maxsize
    fewest = known.least or sys.maxsize
    collide = guard(known.keys, known.items, known.least) if known.least else None

    def judge(payload: bytes) -> None:
        size = len(payload)
        if size > limit and is_deeper(payload, limit):
            raise PayloadError(f"payload is nested deeper than max_depth ({max_depth})")
        if collide is not None and size > fewest and collide(payload):
            raise PayloadError("keys of a map, or items of a set, collide: it would take very long to build")

    return judge, min(limit, fewest)


def _refusal(error: Exception) -> PayloadError:
    refusal = _named(error)
    refusal.__suppress_context__ = True
    return refusal


def _named(error: Exception) -> PayloadError:
    if isinstance(error, msgspec.MsgspecError | UnicodeDecodeError):
        return PayloadError(str(error))
    if isinstance(error, RecursionError):
        return PayloadError("payload is nested deeper than Python's recursion limit allows")
    if type(error) is TypeError:
        return PayloadError("a key of a map, or an item of a set, is not hashable")
    # A constructor of the user's class raised. What its text holds, and whether it has one, is not known.
    refusal = PayloadError(f"its constructor raised {type(error).__name__}")
    refusal.__cause__ = error
    return refusal


# Arguments by name.


def arguments_decoder(kinds: Mapping[str, tuple[Any, bool]], max_depth: int = 64) -> Decode:
    """A function from a payload to a dict of arguments: those that came. Unknown names are ignored.

    `kinds`: type, and whether it may be left out, by name. TypeError where no payload can be of a type.
    """
    # The fields have names of their own: a parameter may be called as what every Struct has.
    names = [(f"p{number}", name) for number, name in enumerate(kinds)]
    fields = [
        (field, kinds[name][0], msgspec.field(name=name, default=UNSET if kinds[name][1] else msgspec.NODEFAULT))
        for field, name in names
    ]
    decode = decoder(msgspec.defstruct("Arguments", fields, kw_only=True), max_depth)

    def decode_arguments(payload: bytes, layout: int) -> dict[str, Any]:
        came = decode(payload, layout)
        return {name: value for field, name in names if (value := getattr(came, field)) is not UNSET}

    return decode_arguments


# Answers of handlers.


def bytes_answer(answer: Any) -> tuple[bytes, int]:
    """An answer of a method of bytes, as it is sent; PayloadError where it is none."""
    if type(answer) is bytes:
        return answer, RAW
    if isinstance(answer, _BYTES):
        return _plain_bytes(answer), RAW
    raise PayloadError(
        f"Expected `bytes`, got `{type(answer).__qualname__}` (methods of other types are for register_typed)"
    )


def answer_encoder(kind: Any, max_depth: int = 64) -> Encode:
    """How answers of a typed method are sent; PayloadError, with the path, where an answer is not of its type.

    The answer is decoded again as its reader will decode it, so that a handler's mistake is an error at the handler.
    """
    decode = decoder(kind, max_depth)
    admits_bytes = inspected(kind).admits_bytes
    # What is encoded from exactly this builtin is decoded as it: nothing to check.
    sure = kind if kind in (int, float, bool, str, bytes, type(None)) else None

    def encode_answer(answer: Any) -> tuple[bytes, int]:
        payload, layout = encode(answer)
        if type(answer) is not sure:
            if layout == RAW and not admits_bytes:
                raise PayloadError(f"Expected {_name(kind)}, got `{type(answer).__qualname__}`")
            decode(payload, layout)
        return payload, layout

    return encode_answer


def _name(kind: Any) -> str:
    return f"`{kind.__qualname__}`" if isinstance(kind, type) else str(kind)
