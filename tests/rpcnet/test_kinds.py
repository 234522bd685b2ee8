"""What a type can be a payload's, and what is known of it before bytes come."""

import collections
import datetime
import decimal
import enum
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar

import attrs
import msgspec
import pytest

from rpcnet.kinds import inspected, is_payload

T = TypeVar("T")
Blob = NewType("Blob", bytes)
Anything = NewType("Anything", Any)  # type: ignore[valid-newtype]


class Plain: ...


class Struct(msgspec.Struct):
    number: int


class Frozen(msgspec.Struct, frozen=True):
    number: int


class FrozenList(msgspec.Struct, frozen=True):
    numbers: list[int]


class Closed(msgspec.Struct, forbid_unknown_fields=True):
    number: int


class ClosedTree(msgspec.Struct, forbid_unknown_fields=True):
    children: "list[ClosedTree]"


class HoldsPlain(msgspec.Struct):
    plain: dict[str, list[Plain]]


class Unknown(msgspec.Struct):
    field: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


class Box(msgspec.Struct, Generic[T]):
    value: T


@dataclass
class Data:
    number: int


@dataclass(frozen=True)
class FrozenData:
    number: int


@attrs.frozen
class FrozenAttrs:
    number: int


@dataclass(eq=False)
class Identity:
    """Hashed by what it is, not by what it holds, so that its fields do not matter."""

    numbers: list[int]


class FrozenTree(msgspec.Struct, frozen=True):
    children: "tuple[FrozenTree, ...]"


class Row(NamedTuple):
    number: int


class Fields(TypedDict):
    number: int


class Mixed(enum.Enum):
    ONE = 1
    TWO = "two"


@pytest.mark.parametrize(
    "kind",
    [
        bytes, bytearray, memoryview, Any, object, Blob, Anything, bytes | None, Optional[Blob], int | bytearray,  # noqa: UP045
        Annotated[bytes, msgspec.Meta(max_length=3)], Annotated[Blob, "note"] | None,
    ],
)  # fmt: skip
def test_types_that_admit_bytes_are_known(kind: Any) -> None:
    assert inspected(kind).admits_bytes


@pytest.mark.parametrize("kind", [int, str, list[bytes], dict[str, bytes], Struct, tuple[Any, ...], msgspec.Raw, None])
def test_types_that_only_hold_bytes_do_not_admit_them(kind: Any) -> None:
    assert not inspected(kind).admits_bytes


@pytest.mark.parametrize(
    "kind",
    [Any, object, list, dict, tuple, list[Any], dict[str, Any], msgspec.Raw, Struct, Data, FrozenAttrs, Fields,
     ClosedTree, Box, Box[int], int | list[Any], list[Struct], dict[Frozen, int]],
)  # fmt: skip
def test_types_that_may_nest_are_known(kind: Any) -> None:
    assert inspected(kind).may_nest


@pytest.mark.parametrize(
    "kind",
    [int, str, bytes, list[int], dict[str, list[tuple[int, ...]]], Row, Closed, list[Closed], Literal[1], uuid.UUID],
)
def test_types_that_bound_their_own_depth_are_known(kind: Any) -> None:
    assert not inspected(kind).may_nest


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Plain, "Plain"),
        (list[Plain], "Plain"),
        (HoldsPlain, "Plain"),
        (complex, "complex"),
        (Callable[[int], int], "Callable"),
        (Iterator[int], "Iterator"),
        (AsyncIterator[int], "AsyncIterator"),
        (collections.deque, "deque"),
        (ValueError, "ValueError"),
        (T, "stands for no type"),
        (dict[str, list[T]], "stands for no type"),
        (Box[T], "stands for no type"),
        (Unknown, "Nowhere"),
        (bytes | str, "str-like"),
        (list[int] | tuple[int, ...], "array-like"),
        (Mixed, "Enum"),
        (Literal[b"a"], "Literal"),
        ("int", "int"),
        (3, "3"),
        (dict[list[int], int], "hashable"),
        (dict[tuple[int, list[int]], int], "hashable"),
        (dict[Struct, int], "hashable"),
        (dict[FrozenList, int], "hashable"),
        (set[Data], "hashable"),
        (set[dict[str, int]], "hashable"),
        (frozenset[Fields], "hashable"),
        (set[bytearray], "hashable"),
        (list[set[int | list[int]]], "hashable"),
    ],
)
def test_types_that_no_payload_can_be_are_refused(kind: Any, says: str) -> None:
    with pytest.raises(TypeError, match="cannot be a payload") as caught:
        inspected(kind)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "kind",
    [
        dict[Frozen, int], dict[FrozenData, int], set[FrozenAttrs], set[Row], dict[tuple[int, Frozen], int],
        frozenset[frozenset[int]], dict[Any, Any], set[Any], set[memoryview], set[int | None], set[Identity],
        set[FrozenTree],
        Box[int], Box, Annotated[int, ["a list cannot be hashed"]],
    ],
)  # fmt: skip
def test_types_that_can_be_payloads_are_taken(kind: Any) -> None:
    assert inspected(kind).kind is kind


@pytest.mark.parametrize(
    ("kind", "keys", "items", "least"),
    [
        (dict[str, int], (), (), 0),
        (dict[bytes, int], (), (), 0),
        (set[str], (), (), 0),
        (dict[datetime.date, int], (), (), 0),
        (dict[Literal[1, 2], int], (), (), 0),
        (dict[int, int], (int,), (), 1024),
        (list[dict[float, str]], (float,), (), 1024),
        (set[int], (), (int,), 1024),
        (dict[uuid.UUID, frozenset[int]], (uuid.UUID,), (int,), 64),
        (dict[decimal.Decimal, int], (decimal.Decimal,), (), 64),
        (dict[datetime.datetime, int], (datetime.datetime,), (), 64),
        (Any, (Any,), (), 256),
        (object, (Any,), (), 256),
        (dict[str, Any], (Any,), (), 256),
        (dict[tuple[int, str], int], (tuple[int, str],), (), 256),
        (set[tuple[Literal["a"], ...]], (), (tuple[Literal["a"], ...],), 256),
        (set[frozenset[int]], (), (frozenset[int], int), 64),
        (dict[Frozen | None, int], (Frozen | None,), (), 64),
        (dict[Row, int], (Row,), (), 64),
    ],
)
def test_keys_that_a_sender_can_choose_are_known(kind: Any, keys: Any, items: Any, least: int) -> None:
    known = inspected(kind)
    assert (set(known.keys), set(known.items), known.least) == (set(keys), set(items), least)


def test_an_annotation_of_one_payload_is_known() -> None:
    for kind in (int, bytes, list[Any], Struct, int | None, None):
        assert is_payload(kind)
    for kind in (Any, object, Anything, Plain, AsyncIterator[int], "int", 3, T, Iterator[int]):
        assert not is_payload(kind)
