"""What a type can be a payload's, and what must be known of it before bytes are decoded as it.

Walks msgspec's description of a type. Knows no bytes and no layout (rpcnet/codec.py).

Tests: tests/rpcnet/test_kinds.py.
"""

import datetime
import decimal
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Final, Literal, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import inspect

__all__ = ["Kind", "inspected", "is_payload"]

_BYTES = (inspect.BytesType, inspect.ByteArrayType, inspect.MemoryViewType, inspect.AnyType)


class Kind(NamedTuple):
    """A type of payloads."""

    kind: Any
    admits_bytes: bool
    """A value of it may be bytes, a bytearray or a memoryview."""
    may_nest: bool
    """A payload of it may be nested as deeply as its sender likes: it holds Any, itself, or fields that are skipped."""
    keys: tuple[Any, ...]
    """Types of dicts' keys whose hashes a sender can choose, anywhere inside."""
    items: tuple[Any, ...]
    """The same of sets' items."""
    least: int
    """From how many such keys in one dict it matters."""


def inspected(kind: Any) -> Kind:
    """What is to know of a type. TypeError where no payload can be of it: msgspec cannot read it, or not write it."""
    if variable := _type_variable(kind):
        raise TypeError(f"{_text(kind)} cannot be a payload: {variable} stands for no type yet")
    try:
        described = inspect.type_info(kind)
        msgspec.msgpack.Decoder(kind)
        inside: dict[int, inspect.Type] = {}
        _check(described, inside)
    except Exception as error:  # NameError for a field's type that is not defined, and whatever a class's hooks raise
        raise TypeError(f"{_text(kind)} cannot be a payload: {error}") from None
    keys, items = _choosable(inside.values())
    least = min((_least(one) for one in (*keys, *items)), default=0)
    return Kind(
        kind,
        _admits_bytes(described),
        _may_nest(described, ()),
        tuple(dict.fromkeys(map(_annotation, keys))),
        tuple(dict.fromkeys(map(_annotation, items))),
        least,
    )


def is_payload(annotation: Any) -> bool:
    """Whether an annotation is surely that of one payload: a type that can be one, and is not just anything."""
    try:
        inspected(annotation)
    except TypeError:
        return False
    described = inspect.type_info(annotation)
    return not isinstance(described, inspect.AnyType) and not _is_object(described)


def _text(kind: Any) -> str:
    return kind.__qualname__ if isinstance(kind, type) else repr(kind)


def _type_variable(kind: Any) -> Any:
    """A type variable in an annotation. Those of a generic class are its own: they stand for Any."""
    if isinstance(kind, TypeVar):
        return kind
    return next(filter(None, map(_type_variable, get_args(kind))), None)


def _admits_bytes(described: inspect.Type) -> bool:
    if isinstance(described, inspect.UnionType):
        return any(map(_admits_bytes, described.types))
    return isinstance(described, _BYTES) or _is_object(described)


def _is_object(described: inspect.Type) -> bool:
    return isinstance(described, inspect.CustomType) and described.cls is object


def _parts(described: inspect.Type) -> Iterator[inspect.Type]:
    """The types inside a type."""
    for name in described.__struct_fields__:
        value = getattr(described, name)
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, inspect.Field):
                yield part.type
            elif isinstance(part, inspect.Type):
                yield part


def _check(described: inspect.Type, seen: dict[int, inspect.Type]) -> None:
    """Refuse what msgspec takes, but can only decode to an error. Fills `seen` with all types inside."""
    if id(described) in seen:
        return
    seen[id(described)] = described
    if isinstance(described, inspect.CustomType) and described.cls is not object:
        raise TypeError(f"msgspec cannot read or write {_text(described.cls)}")
    if isinstance(described, inspect.DictType) and not _is_hashable(described.key_type, ()):
        raise TypeError("keys of a dict must be hashable")
    if isinstance(described, inspect.SetType | inspect.FrozenSetType) and not _is_hashable(described.item_type, ()):
        raise TypeError("items of a set must be hashable")
    for part in _parts(described):
        _check(part, seen)


_NEVER_HASHABLE = (
    inspect.ListType,
    inspect.SetType,
    inspect.DictType,
    inspect.ByteArrayType,
    inspect.TypedDictType,
    inspect.RawType,
    inspect.ExtType,
)


def _is_hashable(described: inspect.Type, around: tuple[int, ...]) -> bool:
    """Whether every value of the type can be a key. Any may be: lists are tuples there, and maps are refused."""
    if id(described) in around:
        return True
    if isinstance(described, _NEVER_HASHABLE):
        return False
    if isinstance(described, inspect.StructType | inspect.DataclassType):
        cls = get_origin(described.cls) or described.cls
        config = getattr(cls, "__struct_config__", None)
        if cls.__hash__ is None or (config is not None and config.eq and not config.frozen):
            return False
        if config is None and cls.__hash__ is object.__hash__:
            return True
    return all(_is_hashable(part, (*around, id(described))) for part in _parts(described))


def _may_nest(described: inspect.Type, around: tuple[int, ...]) -> bool:
    if id(described) in around or isinstance(described, inspect.AnyType | inspect.RawType | inspect.CustomType):
        return True
    if isinstance(described, inspect.StructType):
        cls = get_origin(described.cls) or described.cls
        if not cls.__struct_config__.forbid_unknown_fields:
            return True
    if isinstance(described, inspect.DataclassType | inspect.TypedDictType):
        return True
    return any(_may_nest(part, (*around, id(described))) for part in _parts(described))


_SALTED = (
    inspect.StrType,
    inspect.BytesType,
    inspect.MemoryViewType,
    inspect.BoolType,
    inspect.NoneType,
    inspect.EnumType,
    inspect.LiteralType,
    inspect.DateType,
    inspect.TimeType,
)
"""Types whose hashes nobody can choose, or that have few values."""


def _choosable(inside: Iterable[inspect.Type]) -> tuple[list[inspect.Type], list[inspect.Type]]:
    """Types of keys, and of items of sets, with hashes that a sender can choose."""
    keys: list[inspect.Type] = []
    items: list[inspect.Type] = []
    for one in inside:
        if isinstance(one, inspect.AnyType | inspect.CustomType):
            keys.append(inspect.AnyType())
        elif isinstance(one, inspect.DictType):
            keys.append(one.key_type)
        elif isinstance(one, inspect.SetType | inspect.FrozenSetType):
            items.append(one.item_type)
    return [one for one in keys if _is_choosable(one)], [one for one in items if _is_choosable(one)]


def _is_choosable(described: inspect.Type) -> bool:
    if isinstance(described, inspect.UnionType):
        return any(map(_is_choosable, described.types))
    return not isinstance(described, _SALTED)


def _least(described: inspect.Type) -> int:
    """How many keys in one dict are too few to matter, by what comparing two costs: so that about as much is lost."""
    if isinstance(described, inspect.IntType | inspect.FloatType):
        return 1024  # different numbers of one hash are few: places are compared, not keys
    if isinstance(described, inspect.AnyType | inspect.VarTupleType | inspect.TupleType):
        return 256
    return 64  # what Python code compares, as uuid.UUID does


_PLAIN: Final[dict[type[inspect.Type], Any]] = {
    inspect.AnyType: Any,
    inspect.NoneType: None,
    inspect.BoolType: bool,
    inspect.IntType: int,
    inspect.FloatType: float,
    inspect.StrType: str,
    inspect.BytesType: bytes,
    inspect.MemoryViewType: memoryview,
    inspect.DateTimeType: datetime.datetime,
    inspect.DateType: datetime.date,
    inspect.TimeType: datetime.time,
    inspect.TimeDeltaType: datetime.timedelta,
    inspect.UUIDType: uuid.UUID,
    inspect.DecimalType: decimal.Decimal,
}


def _annotation(described: inspect.Type) -> Any:
    """A type that reads the same keys, without their constraints."""
    if isinstance(described, inspect.UnionType):
        return Union[tuple(map(_annotation, described.types))]  # noqa: UP007
    if isinstance(described, inspect.VarTupleType):
        return tuple[_annotation(described.item_type), ...]  # type: ignore[misc]
    if isinstance(described, inspect.TupleType):
        return tuple[tuple(map(_annotation, described.item_types))]  # type: ignore[misc]
    if isinstance(described, inspect.FrozenSetType):
        return frozenset[_annotation(described.item_type)]  # type: ignore[misc]
    if isinstance(described, inspect.LiteralType):
        return Literal[described.values]
    return _PLAIN.get(type(described), getattr(described, "cls", Any))
