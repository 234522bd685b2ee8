"""Payloads: values to bytes and back, encoded and validated by msgspec in one pass.

Bytes are the base API and pass through untouched, in both directions. Anything else is MessagePack: dataclass, Struct,
attrs, TypedDict, builtins. Knows no call and no status: what does not fit raises `PayloadError`, which names the field.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec

__all__ = ["PACKED", "RAW", "PayloadError", "decoder", "encode"]

RAW: Final = 0
PACKED: Final = 8
"""The layouts of a payload: bytes as they are, or MessagePack. Numbers of the flag on the wire (docs/protocol.md)."""


class PayloadError(ValueError):
    """A payload that does not fit its type; the text holds the path of the field, as in `$.count`."""


_encode = msgspec.msgpack.Encoder().encode


def encode(value: Any) -> tuple[bytes, int]:
    """The bytes of a payload, and how they are laid out: RAW or PACKED. Bytes are their own."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value), RAW
    try:
        return _encode(value), PACKED
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise PayloadError(f"{type(value).__qualname__} cannot be encoded: {error}") from None


@lru_cache(maxsize=1024)
def decoder(kind: Any, max_depth: int = 64) -> Callable[[bytes, int], Any]:
    """A function from a payload and its layout to a value of this type.

    `bytes` (and None, which means untyped) is the identity.
    """
    if kind is None or kind is bytes:
        return _identity
    decode = msgspec.msgpack.Decoder(kind).decode

    def checked(payload: bytes, layout: int) -> Any:
        try:
            value = decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise PayloadError(str(error)) from None
        except RecursionError:
            raise PayloadError(f"payload is nested deeper than max_depth ({max_depth})") from None
        # A payload of n bytes is at most n deep, so that small ones need no walk.
        if len(payload) > max_depth and _is_deeper(value, max_depth):
            raise PayloadError(f"payload is nested deeper than max_depth ({max_depth})")
        return value

    return checked if _may_nest(kind) else _unnested(decode)


def _identity(payload: bytes, layout: int) -> bytes:
    return payload


def _unnested(decode: Callable[[bytes], Any]) -> Callable[[bytes, int], Any]:
    """For types whose depth is their own: nothing to walk."""

    def checked(payload: bytes, layout: int) -> Any:
        try:
            return decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise PayloadError(str(error)) from None

    return checked


def _may_nest(kind: Any) -> bool:
    """Whether values of this type may be as deep as the sender likes: it holds Any, or itself."""
    schema, components = msgspec.json.schema_components([kind]) if _has_schema(kind) else (({},), {})
    return _is_open(schema[0], components, ())


def _has_schema(kind: Any) -> bool:
    try:
        msgspec.json.schema_components([kind])
    except (TypeError, ValueError):
        return False
    return True


def _is_open(schema: Any, components: Mapping[str, Any], above: tuple[str, ...]) -> bool:
    if not isinstance(schema, dict):
        return False
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        return name in above or _is_open(components.get(name, {}), components, (*above, name))
    if not schema.keys() & {"type", "anyOf", "enum", "const"}:
        return True
    if schema.get("type") == "array" and "items" not in schema and "prefixItems" not in schema:
        return True
    if schema.get("type") == "object" and "properties" not in schema and "additionalProperties" not in schema:
        return True
    inside: list[Any] = [schema.get("items"), schema.get("additionalProperties")]
    inside += schema.get("anyOf", ())
    inside += schema.get("prefixItems", ())
    inside += schema.get("properties", {}).values()
    return any(_is_open(part, components, above) for part in inside)


def _is_deeper(value: Any, limit: int) -> bool:
    """Walks level by level, without recursion."""
    level: list[Any] = [value]
    for _ in range(limit + 1):
        below: list[Any] = []
        for part in level:
            if isinstance(part, Mapping):
                below.extend(part.values())
            elif isinstance(part, Sequence | set | frozenset) and not isinstance(part, str | bytes | bytearray):
                below.extend(part)
            elif isinstance(part, msgspec.Struct):
                below.extend(getattr(part, name) for name in part.__struct_fields__)
            elif hasattr(part, "__dict__"):
                below.extend(vars(part).values())
        if not below:
            return False
        level = below
    return True
