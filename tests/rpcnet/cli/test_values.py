"""JSON that is typed arrives as the value it stands for, and what is answered can be read back from JSON."""

import datetime
import decimal
import enum
import json
import math
import string
import uuid
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cli.exits import CommandError
from rpcnet.cli.values import as_json, from_json, parsed
from rpcnet.codec import decoder, encode
from rpcnet.schema import json_schema


class Mood(enum.IntEnum):
    FINE = 1
    BAD = 2


class Circle(msgspec.Struct, tag=True):
    radius: float
    skin: bytes = b""


class Square(msgspec.Struct, tag=True):
    sides: dict[int, bytes]


class Row(msgspec.Struct, array_like=True):
    number: int
    data: bytes = b""


class Point(NamedTuple):
    x: int
    name: bytes


class Options(TypedDict, total=False):
    raw: bytes
    count: int


@dataclass
class Tree:
    value: bytes
    children: "list[Tree]" = field(default_factory=list)
    by_number: "dict[int, Tree]" = field(default_factory=dict)


NUMBERS = st.integers(-(2**63), 2**64 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TREES = st.recursive(
    st.builds(Tree, st.binary(max_size=5)),
    lambda inner: st.builds(
        Tree, st.binary(max_size=5), st.lists(inner, max_size=2), st.dictionaries(NUMBERS, inner, max_size=2)
    ),
    max_leaves=5,
)
LEAVES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, NUMBERS),
    (float, FLOATS),
    (str, st.text()),
    (bool, st.booleans()),
    (type(None), st.none()),
    (bytes, st.binary()),
    (datetime.datetime, st.datetimes(timezones=st.just(datetime.UTC), min_value=datetime.datetime(1970, 1, 1))),
    (datetime.date, st.dates()),
    (datetime.timedelta, st.timedeltas(datetime.timedelta(-1000), datetime.timedelta(1000))),
    (uuid.UUID, st.uuids()),
    (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (Mood, st.sampled_from(Mood)),
    (Circle, st.builds(Circle, FLOATS, st.binary())),
    (
        Circle | Square | None,
        st.none() | st.builds(Circle, FLOATS, st.binary()) | st.builds(Square, st.dictionaries(NUMBERS, st.binary())),
    ),
    (Row, st.builds(Row, NUMBERS, st.binary())),
    (Point, st.builds(Point, NUMBERS, st.binary())),
    (Options, st.fixed_dictionaries({}, optional={"raw": st.binary(), "count": NUMBERS})),
    (Tree, TREES),
]
KEYS = [one for one in LEAVES if one[0] in (int, str, bytes, float, Mood, uuid.UUID, datetime.date)]


@st.composite
def kinds(draw: st.DrawFn) -> tuple[Any, Any]:
    """A type, and a value of it."""
    kind, values = draw(st.sampled_from(LEAVES))
    for _ in range(draw(st.integers(0, 2))):
        inner, several = kind, values
        match draw(st.integers(0, 3)):
            case 0:
                kind, values = list[inner], st.lists(several, max_size=3)
            case 1:
                key, keys = draw(st.sampled_from(KEYS))
                kind, values = dict[key, inner], st.dictionaries(keys, several, max_size=3)
            case 2:
                kind, values = tuple[bytes, inner], st.tuples(st.binary(), several)
            case _:
                kind, values = inner | None, st.none() | several
    return kind, draw(values)


@given(kinds())
def test_typed_json_arrives_as_the_value(kind_and_value: tuple[Any, Any]) -> None:
    kind, value = kind_and_value
    typed = json.dumps(json.loads(msgspec.json.encode(value)))
    sent = from_json(parsed(typed, "the value"), json_schema(kind), "the value")
    assert decoder(kind)(*encode(sent)) == value


@given(kinds())
def test_an_answer_is_read_back_from_json(kind_and_value: tuple[Any, Any]) -> None:
    kind, value = kind_and_value
    came = decoder(Any)(*encode(value))
    assert msgspec.json.decode(as_json(came), type=kind) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | FLOATS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(JSON)
def test_json_without_schema_is_sent_as_it_is_written(value: Any) -> None:
    text = json.dumps(value)
    assert from_json(parsed(text, "the value"), None, "the value") == value
    assert json.loads(as_json(value)) == value


@pytest.mark.parametrize("number", [2.0**64, -(2.0**63) * 2, 1e300])
def test_an_integer_beyond_the_wires_is_sent_as_it_is_written(number: float) -> None:
    assert from_json(number, json_schema(int), "the value") is number
    key = "9" * 5000
    assert from_json({key: 1}, json_schema(dict[int, int]), "the value") == {key: 1}


@given(JSON, st.sampled_from([kind for kind, _ in LEAVES]))
def test_wrong_json_is_the_servers_to_judge_or_a_usage_error(value: Any, kind: Any) -> None:
    problem = ""
    try:
        encode(from_json(value, json_schema(kind), "the value"))
    except CommandError as error:
        problem = str(error)
    assert not problem or "bytes are written in base64" in problem


@given(st.text(alphabet=string.printable, max_size=20) | st.binary(max_size=20))
def test_any_text_is_json_or_a_usage_error(text: str | bytes) -> None:
    problem = ""
    try:
        value = parsed(text, "the value")
    except CommandError as error:
        problem = str(error)
    else:
        assert json.loads(as_json(value)) == json.loads(text)
    assert not problem or problem.startswith("the value is no JSON: ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("milk", "invalid character (byte 0); text is written in quotes, as '\"text\"'"),
        ('{"a": 1,}', "trailing comma"),
        ('{"a": ', "it is cut short"),
        ("1 2", "trailing characters (byte 3)"),
        (b'"\xff"', "it is not UTF-8"),
        ("[" * 100_000, "it is nested too deeply"),
    ],
)
def test_wrong_json_is_told_with_its_place(text: str | bytes, says: str) -> None:
    with pytest.raises(CommandError) as caught:
        parsed(text, "line 3")
    assert str(caught.value).startswith("line 3 is no JSON: ") and says in str(caught.value)


def test_wrong_base64_is_told_with_its_path() -> None:
    value = {"value": "YQ==", "children": [{"value": "no!"}]}
    with pytest.raises(CommandError, match=r"base64, which 'no!' is not - at `\$\.children\[0\]\.value`"):
        from_json(value, json_schema(Tree), "the value")


def test_a_whole_number_is_an_integer_where_one_is_wanted() -> None:
    assert repr(from_json([1.0, 1.5], json_schema(list[int]), "")) == "[1, 1.5]"
    assert repr(from_json([1.0], json_schema(list[float]), "")) == "[1.0]"


def test_what_json_has_not_is_written_or_refused() -> None:
    assert as_json([math.nan, msgspec.msgpack.Ext(5, b"a"), {1: b"a"}]) == (
        b'[null,{"extension":5,"data":"YQ=="},{"1":"YQ=="}]'
    )
    with pytest.raises(CommandError, match=r"cannot be written as JSON: .*; --bytes writes it as it came") as caught:
        as_json({(1, 2): 3})
    assert caught.value.code == 1
