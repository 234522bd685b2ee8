"""The bytes of item `index` of a call, from one end or the other, so that any other bytes are noticed."""

from random import Random
from struct import Struct
from typing import Final

__all__ = ["NAMED_BYTES", "item", "what_is_wrong", "whose"]

_HEAD: Final = Struct(">HHB")
NAMED_BYTES: Final = _HEAD.size
"""An item of so many bytes holds its call's number."""
_PERIOD = 65_521
_BYTES: Final = Random("chaos").randbytes(_PERIOD) * 128


def item(call: int, index: int, size: int, answer: bool = False) -> bytes:
    """The item's bytes: its call, its place and its direction, then what differs from item to item."""
    start = (call * 7919 + index * 104_729 + answer * 31) % _PERIOD
    if size < NAMED_BYTES:
        return _BYTES[start : start + size]
    return _HEAD.pack(call, index, answer) + _BYTES[start : start + size - NAMED_BYTES]


def whose(payload: bytes) -> int:
    """The number of the call that an item belongs to."""
    return int(_HEAD.unpack_from(payload)[0])


def what_is_wrong(payload: bytes, call: int, index: int, sizes: tuple[int, ...], answer: bool = False) -> str:
    """Empty where this is item `index` of that call; else what differs."""
    if index >= len(sizes):
        return f"item {index} of {len(sizes)} has come"
    if payload == item(call, index, sizes[index], answer):
        return ""
    if len(payload) != sizes[index]:
        return f"item {index} has {len(payload)} bytes instead of {sizes[index]}"
    return f"item {index} has other bytes than were sent"
