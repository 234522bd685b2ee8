"""Every key and value of a TOML text is found where it stands."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.scenario.locate import Place, locate, place_of_syntax_error

TEXT = '''\
# a comment with [brackets] = and "quotes"
name = "x"   # trailing
a.b . "c d" = 1

[table]
list = [ 1, [2, 3],   # inner
  "]", { k = 'v', deep.er = [true] },
]

[[node]]
name = "one"
[node.labels]
role = """a "quoted" text
over lines"""
[[node]]
  "name" = 'two'
  args = { x = 1.5, "y" = {} }
[[node.port]]
n = 1
[[node.port]]
n = 2
'''


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (("name",), (2, 1), (2, 8)),
        (("a", "b", "c d"), (3, 7), (3, 15)),
        (("table",), (5, 1), None),
        (("table", "list"), (6, 1), (6, 8)),
        (("table", "list", 1, 0), None, (6, 14)),
        (("table", "list", 2), None, (7, 3)),
        (("table", "list", 3, "k"), (7, 10), (7, 14)),
        (("table", "list", 3, "deep", "er", 0), None, (7, 30)),
        (("node", 0), (10, 1), None),
        (("node", 0, "labels", "role"), (13, 1), (13, 8)),
        (("node", 1), (15, 1), None),
        (("node", 1, "name"), (16, 3), (16, 12)),
        (("node", 1, "args", "y"), (17, 21), (17, 27)),
        (("node", 1, "port", 1, "n"), (21, 1), (21, 5)),
    ],
)
def test_key_and_value_are_found(path, key, value):
    places = locate(TEXT)
    if key:
        assert places.key(path) == Place(*key)
    if value:
        assert places.value(path) == Place(*value)


def test_what_is_missing_is_placed_at_the_thing_around_it():
    places = locate(TEXT)
    assert places.key(("node", 1, "app")) == Place(15, 1)
    assert places.value(("node", 1, "args", "z", 3)) == Place(17, 3)
    assert places.value(("nothing",)) == Place(1, 1)


def test_windows_line_ends_do_not_shift_columns():
    assert locate("a = 1\r\n[t]\r\n b = 2\r\n").value(("t", "b")) == Place(3, 6)


def test_a_syntax_error_is_placed_where_tomllib_stopped():
    for text, place in (("a = 1\nb = = 2\n", Place(2, 5)), ('a = "x', Place(1, 7))):
        with pytest.raises(tomllib.TOMLDecodeError) as caught:
            tomllib.loads(text)
        found, message = place_of_syntax_error(text, caught.value)
        assert found == place
        assert "line" not in message


scalars = st.one_of(
    st.integers(-(2**40), 2**40),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=8),
)
documents = st.dictionaries(
    st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=4),
    st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=3), inner
            ),
        ),
        max_leaves=12,
    ),
    max_size=5,
)


def spelt(value):
    """The value in TOML, on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + "".join(c if c.isalnum() else f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(spelt, value)) + "]"
    return "{" + ", ".join(f"{k} = {spelt(v)}" for k, v in value.items()) + "}"


def paths(value, prefix=()):
    yield prefix, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*prefix, key))


@given(documents)
def test_at_the_place_of_any_value_stands_that_value(document):
    text = "".join(f"{key} = {spelt(value)}\n" for key, value in document.items())
    assert tomllib.loads(text) == document
    places = locate(text)
    for path, value in paths(document):
        if path:
            line, column = places.value(path)
            assert text.splitlines()[line - 1][column - 1 :].startswith(spelt(value))


class ReadOnce(str):
    """A text that is not counted through again for each place in it."""

    __slots__ = ()

    def count(self, *_):
        pytest.fail("the text was read again")


def test_places_in_a_file_of_many_tables_do_not_cost_the_length_of_the_file_each():
    text = "".join(f'[[node]]\nname = "n{number}"\n' for number in range(1000))
    places = locate(ReadOnce(text))
    for number in range(1000):
        assert places.key(("node", number)) == (2 * number + 1, 1)
        assert places.value(("node", number, "name")) == (2 * number + 2, 8)
    assert places.key(("nothing",)) == (1, 1)
