"""JSON Schema of a type, as far as there is one, with what a JSON writer must know of a map's keys.

In JSON each key is text; in MessagePack it is what the type says. So `propertyNames` says of keys that are no text what
they are: `{"type": "integer"}`, `{"type": "number"}`, or bytes in base64. The rest is msgspec's own.

Tests: tests/rpcnet/test_schema.py.
"""

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final

import msgspec
from msgspec import inspect

__all__ = ["json_schema"]

_OBJECTS: Final = (
    inspect.StructType,
    inspect.DataclassType,
    inspect.TypedDictType,
    inspect.NamedTupleType,
)
_COLLECTIONS: Final = (
    inspect.ListType,
    inspect.SetType,
    inspect.FrozenSetType,
    inspect.VarTupleType,
    inspect.CollectionType,
)


def json_schema(kind: Any) -> dict[str, Any] | None:
    """The schema of a type; None where there is none, as for `object`, or where it cannot travel as MessagePack."""
    try:
        schema = msgspec.json.schema(kind)
        _mark(inspect.type_info(kind), schema, schema.get("$defs", {}), set())
        msgspec.msgpack.encode(schema)  # defaults are any values
    except Exception:  # also what hooks of the user's classes raise
        return None
    return schema


def _mark(described: inspect.Type, schema: Any, definitions: dict[str, Any], seen: set[str]) -> None:
    """Add what is to be known of keys, wherever the type has a map."""
    described = _plain(described)
    if not isinstance(schema, dict):
        return
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if name in seen:
            return
        seen.add(name)
        schema = definitions.get(name, {})
    if isinstance(described, inspect.DictType):
        keys = _keys(described.key_type)
        if keys:
            schema["propertyNames"] = keys
    for part, inner in _parts(described, schema):
        _mark(part, inner, definitions, seen)


def _plain(described: inspect.Type) -> inspect.Type:
    while isinstance(described, inspect.Metadata):
        described = described.type
    return described


def _parts(described: inspect.Type, schema: dict[str, Any]) -> Iterator[tuple[inspect.Type, Any]]:
    """The types inside a type, each with its schema."""
    if isinstance(described, inspect.DictType):
        yield described.value_type, schema.get("additionalProperties")
    elif isinstance(described, _COLLECTIONS):
        yield described.item_type, schema.get("items")
    elif isinstance(described, inspect.TupleType):
        yield from zip(described.item_types, schema.get("prefixItems", ()), strict=False)
    elif isinstance(described, _OBJECTS):
        properties, positions = schema.get("properties", {}), schema.get("prefixItems", ())
        if positions:
            yield from zip((field.type for field in described.fields), positions, strict=False)
        for field in described.fields:
            yield field.type, properties.get(field.encode_name)
    elif isinstance(described, inspect.UnionType):
        yield from zip(_in_order(described), _options(schema), strict=False)


def _in_order(union: inspect.UnionType) -> list[inspect.Type]:
    """The members in the order in which msgspec writes them: records that are objects late, None last."""

    def place(member: inspect.Type) -> int:
        plain = _plain(member)
        if isinstance(plain, inspect.NoneType):
            return 2
        return int(isinstance(plain, inspect.StructType) and not plain.array_like)

    return sorted(union.types, key=place)


def _options(schema: dict[str, Any]) -> Iterator[Any]:
    for option in schema.get("anyOf", ()):
        if "anyOf" in option:
            yield from _options(option)
        else:
            yield option


def _keys(described: inspect.Type) -> dict[str, str] | None:
    """What the keys of a map are, where they are no text."""
    described = _plain(described)
    if isinstance(described, inspect.UnionType):
        return next((found for one in described.types if (found := _keys(one))), None)
    if isinstance(described, inspect.BytesType | inspect.MemoryViewType):
        return {"type": "string", "contentEncoding": "base64"}
    if isinstance(described, inspect.IntType):
        return {"type": "integer"}
    if isinstance(described, inspect.FloatType):
        return {"type": "number"}
    values: list[Any] = []
    if isinstance(described, inspect.EnumType):
        values = [member.value for member in described.cls if isinstance(member, Enum)]
    elif isinstance(described, inspect.LiteralType):
        values = list(described.values)
    return {"type": "integer"} if any(isinstance(value, int) for value in values) else None
