"""How deep a payload is, judged on its bytes: against what the msgpack package packs, and on bytes of any kind."""

import struct
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.depth import is_deeper

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(width=32)
    | st.text(max_size=40)
    | st.binary(max_size=300)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=20))
)
KEYS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=4) | st.binary(max_size=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=12) | st.dictionaries(KEYS, inner, max_size=12),
    max_leaves=20,
)


def depth(value: Any) -> int:
    """The oracle: containers on the longest way from the outside in."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


@given(VALUES, st.integers(0, 8), st.booleans())
def test_depth_agrees_with_the_msgpack_package(value: Any, limit: int, single: bool) -> None:
    packed = msgpack.packb(value, use_single_float=single)
    assert is_deeper(packed, limit) == (depth(value) > limit)


@given(VALUES, st.integers(1, 70), st.integers(-2, 2))
def test_a_value_wrapped_many_times_is_as_deep_as_that(value: Any, wraps: int, off: int) -> None:
    packed = msgpack.packb([value] * 3)
    for number in range(wraps):
        packed = (b"\x91" + packed, b"\x82\x01\x02\xa1k" + packed, b"\xdc\x00\x02\xc0" + packed)[number % 3]
    whole = wraps + 1 + depth(value)
    assert is_deeper(packed, max(whole + off, 0)) == (off < 0)


@given(st.binary(max_size=600), st.integers(0, 5))
def test_any_bytes_at_all_give_an_answer(payload: bytes, limit: int) -> None:
    assert is_deeper(payload, limit) in (True, False)


@given(VALUES, st.integers(0, 4), st.data())
def test_a_cut_payload_is_no_deeper_than_the_whole(value: Any, limit: int, data: st.DataObject) -> None:
    packed = msgpack.packb(value)
    cut = packed[: data.draw(st.integers(0, len(packed)))]
    assert not is_deeper(cut, limit) or is_deeper(packed, limit)


@pytest.mark.parametrize("head", range(256))
def test_each_head_is_skipped_by_its_own_length(head: int) -> None:
    """An item of each kind, alone and in runs, before one that is too deep; and cut short, so that nothing follows."""
    contents = {
        **{code: b"\0" * size for code, size in zip(range(0xCA, 0xD4), (4, 8, 1, 2, 4, 8, 1, 2, 4, 8), strict=True)},
        **{0xD4 + power: b"\0" * (1 + 2**power) for power in range(5)},
        **{code: size.to_bytes(width, "big") + b"\x91" * size for code, width, size in _COUNTED_STRINGS},
        **{code: size.to_bytes(width, "big") + b"\0" + b"\x91" * size for code, width, size in _COUNTED_EXTENSIONS},
        **{0xA0 + size: b"\x91" * size for size in range(32)},
        **{0x90 + count: b"\0" * count for count in range(16)},
        **{0x80 + count: b"\0" * 2 * count for count in range(16)},
        0xDC: b"\0\x02\0\0", 0xDD: b"\0\0\0\x02\0\0", 0xDE: b"\0\x02\0\0\0\0", 0xDF: b"\0\0\0\x02\0\0\0\0",
    }  # fmt: skip
    item = bytes([head]) + contents.get(head, b"")
    for count in (1, 7, 8, 9, 40):
        wide = b"\xdc" + struct.pack(">H", count + 1) + item * count
        assert is_deeper(wide + b"\x91\x91\x00", 2)
        assert not is_deeper(wide + b"\x91\x00", 2)
        assert not is_deeper(wide[:-1] if len(item) > 1 else wide, 2)


_COUNTED_STRINGS = [(0xC4, 1, 200), (0xC5, 2, 300), (0xC6, 4, 5), (0xD9, 1, 200), (0xDA, 2, 300), (0xDB, 4, 5)]
_COUNTED_EXTENSIONS = [(0xC7, 1, 200), (0xC8, 2, 300), (0xC9, 4, 5)]


def test_empty_containers_count_where_they_are_too_deep() -> None:
    for empty in (b"\x90", b"\x80", b"\xdc\0\0", b"\xdf\0\0\0\0"):
        for around in (b"\x91", b"\xdc\0\x28"):
            items = b"\0" * 39 if around != b"\x91" else b""
            assert is_deeper(around + items + empty, 1)
            assert not is_deeper(around + items + empty, 2)


def test_a_container_in_a_key_counts() -> None:
    assert is_deeper(b"\x81\x91\x91\x00\x00", 2)
    assert not is_deeper(b"\x81\x91\x00\x00", 2)


def test_what_follows_the_payload_does_not_count() -> None:
    assert not is_deeper(b"\x00" + b"\x91" * 100, 3)
    assert not is_deeper(b"\x91\x00" + b"\x91" * 100, 3)


def test_a_false_count_costs_nothing_and_hides_nothing() -> None:
    assert not is_deeper(b"\xdd\xff\xff\xff\xff", 1)
    assert is_deeper(b"\xdd\xff\xff\xff\xff" + b"\x91" * 3, 3)
    assert not is_deeper(b"\xdb\xff\xff\xff\xff" + b"\x91" * 100, 3)
