"""Metadata of a call, checked before it is sent. Knows no call and no frame.

Tests: tests/rpcnet/test_metadata.py.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from rpcnet.errors import InvalidArgument, ResourceExhausted

__all__ = ["checked_metadata", "encoded_metadata"]

_encode = msgspec.msgpack.Encoder().encode


def checked_metadata(metadata: Any) -> dict[str, str | bytes]:
    """A copy, whose keys are text and whose values are text or bytes. InvalidArgument where that is not so."""
    if not isinstance(metadata, Mapping):
        raise InvalidArgument(f"metadata must be a mapping of text to text or bytes, not {type(metadata).__name__}")
    try:
        items = list(metadata.items())
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # of a mapping of the user's own
        raise InvalidArgument(f"metadata cannot be read: {type(error).__name__}") from error
    checked: dict[str, str | bytes] = {}
    for key, value in items:
        if not isinstance(key, str) or not isinstance(value, str | bytes):
            kinds = f"{type(key).__name__} to {type(value).__name__}"
            raise InvalidArgument(f"metadata must be text to text or bytes, not {kinds}")
        checked[_text(key)] = _text(value) if isinstance(value, str) else bytes(memoryview(value))
    return checked


def encoded_metadata(metadata: Any, limit: int) -> bytes:
    """Metadata as a frame carries it. InvalidArgument, or ResourceExhausted above `limit` bytes."""
    encoded = _encode(checked_metadata(metadata))
    if len(encoded) > limit:
        raise ResourceExhausted(f"metadata of {len(encoded)} bytes exceeds max_metadata_bytes ({limit})")
    return encoded


def _text(value: str) -> str:
    try:
        str.encode(value)  # not value.encode(), which asks a subclass
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"metadata {value!r} is not text that UTF-8 can hold: {error.reason}") from None
    return value if type(value) is str else str.__str__(value)
