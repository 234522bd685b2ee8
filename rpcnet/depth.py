"""How deeply a MessagePack payload is nested, judged on its bytes before anything is built from them.

Knows no types and builds no values. Takes time in proportion to the bytes, whatever they are: a string is skipped by
its length, a run of numbers by one match of a pattern. What is no MessagePack is not this module's matter: a reader of
the bytes refuses it.

Layout: https://github.com/msgpack/msgpack/blob/master/spec.md. Tests: tests/rpcnet/test_depth.py.
"""

import re
from functools import cache
from typing import Final

__all__ = ["COUNTED", "STEP", "is_deeper"]

_ARRAYS: Final = (*range(0x90, 0xA0), 0xDC, 0xDD)
_MAPS: Final = (*range(0x80, 0x90), 0xDE, 0xDF)
_NO_CONTAINER: Final = bytes(set(range(256)) - {*_ARRAYS, *_MAPS})

_FIXED: Final = {
    0xCA: 5, 0xCB: 9,  # floats
    0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9,  # integers
    0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18,  # extensions of 1 to 16 bytes
    **{0xA0 + size: 1 + size for size in range(32)},  # short strings
}  # fmt: skip
"""Bytes of a scalar, its head included, by the head. Heads of one byte that are left out are scalars of one byte."""
COUNTED: Final = {
    0xC4: (1, 2), 0xC5: (2, 3), 0xC6: (4, 5),  # bytes
    0xC7: (1, 3), 0xC8: (2, 4), 0xC9: (4, 6),  # extensions
    0xD9: (1, 2), 0xDA: (2, 3), 0xDB: (4, 5),  # strings
}  # fmt: skip
"""Scalars that say their length: how many bytes it takes, and bytes before the content, the length's included."""

_SINGLE: Final = rb"\x00-\x7f\xc0-\xc3\xe0-\xff"
_SINGLES: Final = re.compile(b"[" + _SINGLE + b"]+")
_SINGLES_OR_EMPTY: Final = re.compile(b"[" + _SINGLE + rb"\x80\x90]+")
_EMPTY: Final = (0x80, 0x90)
_LONG_RUN: Final = 8
"""Items that must be left in a container before a pattern is faster than one step each (measured)."""

STEP: Final = [_FIXED.get(head, 0 if head in (*_ARRAYS, *_MAPS) or head in COUNTED else 1) for head in range(256)]
"""Bytes of an item by its head; 0 where it is a container or says its length."""


@cache
def _run(head: int) -> re.Pattern[bytes]:
    """Items of one head after each other. Made when the first are met: all of them would take long to import."""
    return re.compile(b"(?:" + re.escape(bytes([head])) + b".{%d})+" % (_FIXED[head] - 1), re.DOTALL)


def is_deeper(payload: bytes, limit: int) -> bool:
    """Whether arrays and maps lie within each other more than `limit` deep; a map's keys count as its values do."""
    # Each level takes a byte of its own, so that few such bytes cannot nest deeply. This is most payloads' way out.
    if len(payload) <= limit or len(payload.translate(None, _NO_CONTAINER)) <= limit:
        return False
    return _walk(payload, limit)


def _walk(payload: bytes, limit: int) -> bool:
    # A long function because it is a hot path: a call for each item would cost more than the item.
    size = len(payload)
    step_of = STEP
    position = 0
    left = 1
    """Items that are still to come in the innermost container."""
    around: list[int] = []
    """The same of those around it. The first is the payload itself, which is no container."""
    while True:
        while not left:
            if not around:
                return False
            left = around.pop()
        if position >= size:
            return False
        head = payload[position]
        step = step_of[head]
        if step:
            position += step
            left -= 1
            if left >= _LONG_RUN and position < size and step_of[payload[position]] == step:
                if step == 1:
                    singles = _SINGLES_OR_EMPTY if len(around) < limit else _SINGLES
                    run = singles.match(payload, position, position + left)
                else:
                    run = _run(head).match(payload, position, position + left * step)
                if run is not None:
                    left -= (run.end() - position) // step
                    position = run.end()
            continue
        left -= 1
        counted = COUNTED.get(head)
        if counted is not None:
            width, before = counted
            position += before + int.from_bytes(payload[position + 1 : position + 1 + width], "big")
            continue
        if len(around) == limit:
            return True
        if head in _EMPTY:
            position += 1
            if left >= _LONG_RUN:
                run = _SINGLES_OR_EMPTY.match(payload, position, position + left)
                if run is not None:
                    left -= run.end() - position
                    position = run.end()
            continue
        if head < 0xA0:
            count = head & 15
            position += 1
        else:
            width = 2 if head in (0xDC, 0xDE) else 4
            count = int.from_bytes(payload[position + 1 : position + 1 + width], "big")
            position += 1 + width
        if head < 0x90 or head > 0xDD:
            count *= 2
        around.append(left)
        left = count
