"""docs/faults.md has every word and every parameter of the schema, and the tests that it names are there."""

import re
from pathlib import Path

import msgspec
import pytest

from sim.backends import words
from sim.scenario.faults import FAULTS, Fault
from sim.scenario.schema import Edge

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "faults.md").read_text()
TESTS = "".join(path.read_text() for path in (ROOT / "tests" / "sim").rglob("test_*.py"))


def rows(first):
    """The cells of the table whose first column is so called."""
    table = PAGE[PAGE.index(f"| {first} |") :].split("\n\n")[0].splitlines()[2:]
    return {cells[0].strip("` "): cells[1:] for cells in ([c.strip() for c in row.split("|")[1:-1]] for row in table)}


def parameters(kind):
    """What stands behind a verb: the keys of its table, or the shape of its value."""
    if kind.verb == "heal":
        return {"name"}
    value = next(field.type for field in msgspec.structs.fields(kind) if field.name == kind.verb)
    if isinstance(value, type) and issubclass(value, msgspec.Struct):
        edge = set(Edge.__struct_fields__) if issubclass(value, Edge) else set()
        return {field.encode_name for field in msgspec.structs.fields(value)} - edge
    return {"selector"}


def test_every_word_has_its_row_and_both_worlds_have_every_word():
    assert set(rows("word")) == set(FAULTS)
    for kind in FAULTS.values():
        assert kind.words() <= words("sim") & words("sockets")


@pytest.mark.parametrize("kind", FAULTS.values(), ids=FAULTS)
def test_a_word_s_parameters_are_those_of_the_schema(kind):
    listed = rows("word")[kind.verb][0]
    assert set(re.findall(r"`(\w+)`", listed) or [listed.split()[0]]) == parameters(kind)


def test_all_that_a_link_can_change_is_listed():
    assert set(rows("key | effect")) == set(Edge.__struct_fields__)


def test_the_common_keys_are_named():
    for field in msgspec.structs.fields(Fault):
        assert f"`{field.encode_name}`" in PAGE


def test_every_test_that_the_page_names_exists_and_every_row_names_one():
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert {name for name in named if f"def {name}(" not in TESTS} == set()
    for table in ("word", "key | effect"):
        assert [name for name, cells in rows(table).items() if not re.search("test_|below", cells[-1])] == []
