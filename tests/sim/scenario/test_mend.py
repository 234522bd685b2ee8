"""Lines of wrong syntax do not hide each other, nor the mistakes of other layers."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.scenario.load import load_text
from sim.scenario.locate import place_of_syntax_error
from sim.scenario.mend import mend
from sim.scenario.mistake import ScenarioError

FILE = """\
name = "x"
duration = 40s
summary = "unclosed

[network]
loss = 5%
latency = "20"

[[node]]
name = "m"
count = 3
app = "sim.apps.member:main"

[[fault]]
at = 5s
crash = m-2

[[fault]]
at = "7s"
pause = "m-9"
for = 1s

[[expect]]
member_failed = "m-7"
within = 10s
after = "crash"
"""


def told(text):
    with pytest.raises(ScenarioError) as caught:
        load_text(text, Path("x.toml"))
    return [(mistake.line, mistake.message) for mistake in caught.value.mistakes]


def test_unquoted_values_are_told_at_once_with_the_mistakes_of_other_layers():
    found = told(FILE)
    assert [line for line, _ in found] == [2, 3, 6, 7, 15, 16, 20, 21, 24, 25]
    syntax = [line for line, message in found if message.startswith("TOML syntax: ")]
    assert syntax == [2, 3, 6, 15, 16, 21, 25]
    others = [message for line, message in found if line not in syntax]
    assert "not a duration" in others[0] and 'unknown node "m-9"' in others[1] and 'unknown node "m-7"' in others[2]


def test_the_judge_of_an_expectation_without_quotes_is_one_mistake():
    text = FILE.partition("[[fault]]")[0].replace("40s", '"40s"').replace('"unclosed', '"x"').replace("5%", "0")
    assert len(told(text.replace('"20"', '"20ms"') + "[[expect]]\npython = module:judge\n")) == 1


def test_a_key_that_is_set_twice_hides_nothing():
    found = told(FILE.replace("40s", '"40s"').replace('"unclosed', '"x"\nname = "y"'))
    assert found[0] == (4, "TOML syntax: Cannot overwrite a value")
    assert len(found) == 9


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[table\n", 1),
        ("a b = 3\n", 1),
        ("a = [1,\n  b = 2\n]\n", 2),
        ("a = [1x,\n  2]\n", 1),
        ("a = { b = 1x\n", 1),
        ('a = """x\ny\n', 1),
    ],
)
def test_what_is_no_statement_of_its_own_ends_the_reading(text, line):
    assert mend(text, line) is None


LINES = ["a = 1", "b = 1s", "[t]", "[[u]]", "c = [1", "]", 'd = "x', "a.b = 2", ""]


@given(st.lists(st.sampled_from(LINES), max_size=12))
def test_a_mended_text_has_its_next_error_further_down(lines):
    text, last = "\n".join(lines), 0
    for _ in range(len(lines) + 1):
        try:
            tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            line = place_of_syntax_error(text, error)[0].line
            mended = mend(text, line)
            if mended is None:
                return
            assert line > last and mended.count("\n") == text.count("\n")
            text, last = mended, line
        else:
            return
    raise AssertionError("mended for ever")
