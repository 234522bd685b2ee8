"""Payloads: MessagePack for everybody, validated on the way in, bytes untouched."""

from dataclasses import dataclass
from typing import Any, TypedDict

import attrs
import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.codec import PACKED, RAW, PayloadError, decoder, encode


@dataclass
class Point:
    x: int
    y: float


class Named(msgspec.Struct):
    name: str
    points: list[Point]


@attrs.define
class Box:
    width: int


class Row(TypedDict):
    key: str


class Tree(msgspec.Struct):
    children: list["Tree"] = []


BUILTINS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(BUILTINS)
def test_the_msgpack_package_writes_and_reads_the_same_bytes(value: Any) -> None:
    if isinstance(value, bytes):
        assert encode(value) == (value, RAW)
        return
    assert msgpack.unpackb(encode(value)[0]) == value
    assert decoder(Any, 64)(msgpack.packb(value), PACKED) == value


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (Point(1, 2.5), Point),
        (Named("n", [Point(1, 1.0)]), Named),
        (Box(3), Box),
        ({"key": "k"}, Row),
        ([1, 2], list[int]),
        (None, type(None)),
        (7, int),
        ("text", str),
    ],
)
def test_values_of_all_kinds_come_back_as_their_type(value: Any, kind: Any) -> None:
    assert decoder(kind)(*encode(value)) == value


def test_bytes_are_never_decoded() -> None:
    payload = b"\xc1 no MessagePack at all"
    assert encode(payload) == (payload, RAW)
    assert encode(bytearray(payload)) == (payload, RAW)
    assert encode(memoryview(payload)) == (payload, RAW)
    assert decoder(bytes)(payload, RAW) is payload


@pytest.mark.parametrize(
    ("payload", "kind", "path"),
    [
        ({"name": "n", "points": [{"x": 1, "y": "far"}]}, Named, "$.points[0].y"),
        ({"x": 1}, Point, "`y`"),
        ([1, "2"], list[int], "$[1]"),
    ],
)
def test_what_does_not_fit_names_the_field(payload: Any, kind: Any, path: str) -> None:
    with pytest.raises(PayloadError) as caught:
        decoder(kind)(*encode(payload))
    assert path in str(caught.value)


def test_what_is_no_messagepack_or_cannot_be_is_an_error() -> None:
    for broken in (b"", b"\xc1", b"\x92\x01", b"\x01\x02"):
        with pytest.raises(PayloadError):
            decoder(int)(broken, PACKED)
    for value in (object(), 2**70, {1j: 2}):
        with pytest.raises(PayloadError, match="cannot be encoded"):
            encode(value)


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\x90"


@pytest.mark.parametrize("kind", [Any, list[Any], dict[str, object], list, dict[str, Any] | list[Any]])
def test_depth_is_bounded_where_the_type_does_not_bound_it(kind: Any) -> None:
    for depth in (65, 100, 5000, 100_000):
        with pytest.raises(PayloadError):
            decoder(kind, 64)(nested(depth), PACKED)


def test_depth_within_the_bound_is_fine_and_trees_are_bounded_too() -> None:
    decoder(Any, 64)(nested(62), PACKED)

    def tree(depth: int) -> bytes:
        return b"\x81\xa8children\x91" * depth + b"\x80"

    decoder(Tree, 64)(tree(20), PACKED)
    for depth in (70, 50_000):
        with pytest.raises(PayloadError, match="max_depth"):
            decoder(Tree, 64)(tree(depth), PACKED)


@pytest.mark.parametrize("kind", [dict[str, int], str, list[str]])
def test_text_that_is_not_utf_8_is_refused(kind: type) -> None:
    for payload in (b"\xa2\x00\x80", b"\x81\xa2\x00\x80\x01", b"\x91\xa1\x80"):
        with pytest.raises(PayloadError):
            decoder(kind)(payload, PACKED)
