"""Payloads: what goes in comes out as its type, or a clear error; MessagePack that other programs read and write."""

import datetime
import decimal
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NewType, TypedDict, TypeVar

import attrs
import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.codec import PACKED, RAW, PayloadError, answer_encoder, bytes_answer, decoder, encode


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


class Blob(bytes):
    """Bytes whose own idea of bytes is another one."""

    def __bytes__(self) -> bytes:
        return b"other"


class Bytes(bytearray):
    pass


GIVEN = NewType("GIVEN", bytes)
SHORT = Annotated[bytes, msgspec.Meta(max_length=4)]
NO_MESSAGEPACK = b"\xc1 no"


@pytest.mark.parametrize(
    "value",
    [NO_MESSAGEPACK, bytearray(NO_MESSAGEPACK), memoryview(NO_MESSAGEPACK), Blob(NO_MESSAGEPACK), Bytes(NO_MESSAGEPACK),
     memoryview(b"--" + NO_MESSAGEPACK)[2:], memoryview(NO_MESSAGEPACK[::-1])[::-1]],
)  # fmt: skip
def test_bytes_of_all_kinds_are_sent_as_they_are(value: Any) -> None:
    payload, layout = encode(value)
    assert (payload, layout, type(payload)) == (NO_MESSAGEPACK, RAW, bytes)


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        (bytes, bytes),
        (bytearray, bytearray),
        (memoryview, memoryview),
        (Any, bytes),
        (object, bytes),
        (GIVEN, bytes),
        (SHORT, bytes),
        (bytes | None, bytes),
        (int | bytearray, bytearray),
        (Annotated[GIVEN, "note"] | None, bytes),
    ],
)
def test_a_reader_that_admits_bytes_gets_them_as_its_type(kind: Any, read: type) -> None:
    for content in (b"", b"\xc0", b"\x01", b"\xa1x", b"\xff\xfe"):
        value = decoder(kind)(content, RAW)
        assert (value, type(value)) == (content, read)
        packed = decoder(kind)(msgspec.msgpack.encode(content), PACKED)
        assert (packed, type(packed)) == (content, read)


def test_bytes_that_are_passed_on_are_not_copied() -> None:
    payload = bytes(1000)
    for kind in (bytes, Any, bytes | None, None):
        assert decoder(kind)(payload, RAW) is payload


def test_constraints_on_bytes_are_checked_in_both_layouts() -> None:
    for payload, layout in ((b"12345", RAW), (msgspec.msgpack.encode(b"12345"), PACKED)):
        with pytest.raises(PayloadError, match="length <= 4"):
            decoder(SHORT)(payload, layout)


@pytest.mark.parametrize(("kind", "value"), [(bytes, 5), (bytes, "text"), (bytes | None, 5), (bytearray, [1])])
def test_a_reader_of_bytes_refuses_other_values(kind: Any, value: Any) -> None:
    with pytest.raises(PayloadError, match=f"Expected `.*`, got `{'array' if value == [1] else type(value).__name__}`"):
        decoder(kind)(*encode(value))


@pytest.mark.parametrize(
    ("kind", "value"), [(int, 7), (str, "x"), (list[int], [1]), (Point, Point(1, 2.0)), (type(None), None)]
)
def test_values_encoded_by_hand_are_read_by_their_type(kind: Any, value: Any) -> None:
    by_hand = msgspec.msgpack.encode(value)
    assert decoder(kind)(by_hand, RAW) == value
    assert decoder(kind)(by_hand, PACKED) == value


def test_an_untyped_reader_gets_the_bytes_of_any_layout() -> None:
    for layout in (RAW, PACKED):
        assert decoder(None)(NO_MESSAGEPACK, layout) == NO_MESSAGEPACK


ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text() | st.integers(0, 99), inner, max_size=4),
    max_leaves=8,
)
KINDS: dict[Any, st.SearchStrategy[Any]] = {
    bytes: st.binary(),
    bytearray: st.builds(bytearray, st.binary()),
    bytes | None: st.none() | st.binary(),
    bytes | int | None: st.none() | st.binary() | st.integers(0, 9),
    GIVEN: st.builds(GIVEN, st.binary()),
    Any: ANY_VALUE,
    object: ANY_VALUE,
    list[bytes | None]: st.lists(st.none() | st.binary()),
    dict[str, Any]: st.dictionaries(st.text(), ANY_VALUE, max_size=4),
    Point: st.builds(Point, st.integers(-9, 9), st.floats(allow_nan=False)),
    tuple[int, ...]: st.lists(st.integers(0, 9)).map(tuple),
    set[int]: st.sets(st.integers(0, 9)),
    datetime.datetime: st.datetimes(timezones=st.just(datetime.UTC)),
    uuid.UUID: st.uuids(),
    str | None: st.none() | st.text(),
}


@given(st.sampled_from(list(KINDS)).flatmap(lambda kind: st.tuples(st.just(kind), KINDS[kind])))
def test_what_goes_in_comes_out(case: tuple[Any, Any]) -> None:
    kind, value = case
    payload, layout = answer_encoder(kind)(value)
    assert (payload, layout) == encode(value)
    read = decoder(kind)(payload, layout)
    assert (read, type(read)) == (value, type(value))


@given(
    st.sampled_from([*KINDS, int, float, list[Any], Tree, msgspec.Raw, decimal.Decimal, dict[uuid.UUID, int]]),
    st.binary(max_size=80) | ANY_VALUE.map(msgspec.msgpack.encode),
    st.sampled_from([RAW, PACKED]),
)
def test_any_bytes_give_a_value_or_a_payload_error(kind: Any, payload: bytes, layout: int) -> None:
    try:
        decoder(kind)(payload, layout)
    except PayloadError:
        pass


# Answers.


@pytest.mark.parametrize(
    ("kind", "answer", "says"),
    [
        (Point, {"x": 1, "y": "far"}, "Expected `float`, got `str` - at `$.y`"),
        (int, "1", "Expected `int`, got `str`"),
        (int, True, "Expected `int`, got `bool`"),
        (str, None, "Expected `str`, got `None`"),
        (int, b"\x01", "Expected `int`, got `bytes`"),
        (str | None, b"\xc0", "got `bytes`"),
        (bytes, "text", "Expected `bytes`, got `str`"),
        (bytes | None, 5, "Expected `bytes | null`, got `int`"),
        (SHORT, b"12345", "length <= 4"),
        (int, 2**70, "cannot be encoded"),
        (str, "\ud800", "cannot be encoded"),
        (Any, object(), "object cannot be encoded"),
        (list[int], [1, None], "at `$[1]`"),
        (Any, [[[[[]]]]], "max_depth (4)"),
    ],
)
def test_an_answer_of_another_type_is_refused(kind: Any, answer: Any, says: str) -> None:
    with pytest.raises(PayloadError) as caught:
        answer_encoder(kind, 4)(answer)
    assert says in str(caught.value)


@pytest.mark.parametrize("answer", [None, "text", 5, [b"x"], object()])
def test_an_answer_of_a_bytes_method_must_be_bytes(answer: Any) -> None:
    with pytest.raises(PayloadError, match=f"^Expected `bytes`, got `{type(answer).__name__}`.*register_typed"):
        bytes_answer(answer)


def test_an_answer_of_a_bytes_method_may_be_any_bytes() -> None:
    for answer in (b"x", bytearray(b"x"), memoryview(b"x"), Blob(b"x")):
        assert bytes_answer(answer) == (b"x", RAW)


def test_a_closed_memoryview_cannot_be_sent() -> None:
    view = memoryview(b"x")
    view.release()
    for send in (encode, bytes_answer, answer_encoder(Any)):
        with pytest.raises(PayloadError, match="memoryview cannot be encoded"):
            send(view)


# What a user's class does.


class Unkind(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@dataclass
class Strict:
    error: ClassVar[Exception]
    x: int

    def __post_init__(self) -> None:
        raise self.error


@pytest.mark.parametrize("error", [KeyError("secret"), Unkind(), RuntimeError()])
def test_whatever_a_constructor_raises_is_a_payload_error(error: Exception) -> None:
    Strict.error = error
    with pytest.raises(PayloadError, match=f"its constructor raised {type(error).__name__}$") as caught:
        decoder(Strict)(b"\x81\xa1x\x01", PACKED)
    assert caught.value.__cause__ is error


def test_the_text_of_a_value_error_in_a_constructor_is_told() -> None:
    Strict.error = ValueError("x must be even")
    with pytest.raises(PayloadError, match="x must be even"):
        decoder(Strict)(b"\x81\xa1x\x01", PACKED)


class Zone(datetime.tzinfo):
    def utcoffset(self, moment: datetime.datetime | None) -> datetime.timedelta:
        raise Unkind


class Unset(set[int]):
    def __iter__(self) -> Any:
        raise Unkind


@pytest.mark.parametrize("value", [datetime.datetime(2026, 1, 1, tzinfo=Zone()), Unset({1})])
def test_whatever_is_raised_while_a_value_is_encoded_is_one(value: Any) -> None:
    for send in (encode, answer_encoder(Any)):
        with pytest.raises(PayloadError, match=r"cannot be encoded: Unkind$") as caught:
            send(value)
        assert isinstance(caught.value.__cause__, Unkind)


def test_a_key_that_is_not_hashable_is_a_payload_error() -> None:
    with pytest.raises(PayloadError, match="hashable"):
        decoder(set[Any])(b"\x91\x80", PACKED)
    with pytest.raises(PayloadError, match="hashable"):
        decoder(Any)(b"\x81\x80\x01", PACKED)


# Decoders.


@pytest.mark.parametrize(
    "kind", [complex, object(), Callable[..., int], TypeVar("T"), bytes | str, dict[list[int], int]]
)
def test_a_type_that_no_payload_can_be_has_no_decoder(kind: Any) -> None:
    for make in (decoder, answer_encoder):
        with pytest.raises(TypeError, match="cannot be a payload"):
            make(kind)


def test_a_decoder_is_made_once_for_a_type() -> None:
    assert decoder(list[int], 64) is decoder(list[int], 64)
    assert decoder(Any, 64) is not decoder(Any, 65)
    cannot_be_hashed = Annotated[int, msgspec.Meta(extra={})]
    assert decoder(cannot_be_hashed)(b"\x01", PACKED) == 1


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
    """So many lists in each other."""
    return b"\x91" * (depth - 1) + b"\x90"


@pytest.mark.parametrize("kind", [Any, list[Any], dict[str, object] | list[Any], list, msgspec.Raw])
@pytest.mark.parametrize("limit", [1, 8, 64])
def test_depth_is_bounded_where_the_type_does_not_bound_it(kind: Any, limit: int) -> None:
    decoder(kind, limit)(nested(limit), PACKED)
    for depth in (limit + 1, limit + 36, 5000, 100_000):
        with pytest.raises(PayloadError, match=rf"nested deeper than max_depth \({limit}\)"):
            decoder(kind, limit)(nested(depth), PACKED)


def test_a_tree_is_as_deep_as_its_bytes() -> None:
    def tree(depth: int) -> bytes:
        return b"\x81\xa8children\x91" * depth + b"\x80"

    decoder(Tree, 64)(tree(31), PACKED)
    for depth in (32, 70, 50_000):
        with pytest.raises(PayloadError, match="max_depth"):
            decoder(Tree, 64)(tree(depth), PACKED)


@pytest.mark.parametrize("kind", [Named, Point, Box, Row, Tree])
def test_a_field_that_is_skipped_is_bounded_too(kind: Any) -> None:
    with pytest.raises(PayloadError, match="max_depth"):
        decoder(kind, 64)(b"\x81\xa7unknown" + nested(100), PACKED)


def test_bytes_are_not_judged_by_what_they_would_mean() -> None:
    assert decoder(Any, 2)(nested(100), RAW) == nested(100)
    assert decoder(Any, 2)(msgspec.msgpack.encode(nested(100)), PACKED) == nested(100)


def test_python_s_own_limit_of_depth_is_a_payload_error() -> None:
    with pytest.raises(PayloadError, match="recursion limit"):
        decoder(Any, 10**6)(nested(100_000), PACKED)


@pytest.mark.parametrize("kind", [dict[str, int], str, list[str]])
def test_text_that_is_not_utf_8_is_refused(kind: type) -> None:
    for payload in (b"\xa2\x00\x80", b"\x81\xa2\x00\x80\x01", b"\x91\xa1\x80"):
        with pytest.raises(PayloadError):
            decoder(kind)(payload, PACKED)
