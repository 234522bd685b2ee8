"""JSON Schema with what a map's keys are, wherever in a type the map is."""

import datetime
import enum
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import pytest

from rpcnet.schema import json_schema

INTEGERS = {"type": "integer"}
BYTES = {"type": "string", "contentEncoding": "base64"}


class Number(enum.IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("key", "names"),
    [
        (int, INTEGERS),
        (Annotated[int, msgspec.Meta(ge=0)], INTEGERS),
        (Number, INTEGERS),
        (Literal[1, 2], INTEGERS),
        (int | None, INTEGERS),
        (float, {"type": "number"}),
        (bytes, BYTES),
        (str, None),
        (datetime.date, None),
        (Any, None),
    ],
)
def test_keys_that_are_no_text_are_named(key: Any, names: Any) -> None:
    schema = json_schema(dict[key, str])
    assert schema is not None
    assert schema.get("propertyNames") == names


class Pair(NamedTuple):
    first: int
    second: dict[int, int]


class Left(msgspec.Struct, tag=True):
    left: dict[int, int]


class Right(msgspec.Struct, tag=True):
    right: dict[bytes, int]


class Line(msgspec.Struct, array_like=True):
    number: int
    table: dict[int, int]


@dataclass
class Tree:
    children: "dict[int, Tree]"


def test_maps_are_found_wherever_they_are() -> None:
    def definitions(kind: Any) -> Any:
        schema = json_schema(kind)
        assert schema is not None
        return schema["$defs"]

    both = definitions(list[Left | Right | None])
    assert both["Left"]["properties"]["left"]["propertyNames"] == INTEGERS
    assert both["Right"]["properties"]["right"]["propertyNames"] == BYTES
    assert definitions(Tree)["Tree"]["properties"]["children"]["propertyNames"] == INTEGERS
    assert definitions(Pair)["Pair"]["prefixItems"][1]["propertyNames"] == INTEGERS
    assert definitions(dict[str, Line])["Line"]["prefixItems"][1]["propertyNames"] == INTEGERS
    either = json_schema(tuple[int, dict[int, int] | int | None])
    assert either is not None
    assert {"type": "object", "additionalProperties": INTEGERS, "propertyNames": INTEGERS} in either["prefixItems"][1][
        "anyOf"
    ]


@pytest.mark.parametrize("kind", [object, msgspec.msgpack.Ext])
def test_a_type_without_schema_has_none(kind: Any) -> None:
    assert json_schema(kind) is None


def test_a_default_that_cannot_travel_gives_no_schema() -> None:
    class Far(msgspec.Struct):
        number: int = 2**70

    assert json_schema(Far) is None
