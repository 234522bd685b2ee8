"""Whatever stands in a scenario file, it is a scenario or it is answered with mistakes: no other exception, no hang."""

import re
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.scenario.load import load_text
from sim.scenario.mistake import ScenarioError
from sim.scenario.schema import Scenario

BASE = """\
name = "x"
duration = "40s"
seed = 7
catches = []

[network]
preset = "lan"
loss = "5%"
latency = "uniform(1ms, 5ms)"

[cluster]
join = "worker-1"
probe_interval = "500ms"

[[node]]
name = "worker"
count = 3
app = "fuzz_test_app:main"
labels = { role = "worker" }
args = { streams = 2 }
start = "0s"

[[fault]]
at = "10s"
for = "2s"
crash = "worker-2"

[[fault]]
at = "20s"
name = "split"
partition = { groups = [["worker-1"], "role=worker"], one_way = false }

[[fault]]
at = "12s"
link = { between = ["worker-1", "all"], loss = 0.5 }

[[fault]]
at = "14s"
for = "1s"
every = "9s"
stop = { each = "worker-*", next = "ready + 2s" }

[[fault]]
at = "30s"
heal = "split"

[[expect]]
member_failed = "worker-2"
by = "all"
after = "crash"
within = "10s"
max = { detection_last = "9s" }

[[expect]]
sequence = { event = "token", by = "stream", field = "index", gaps = 0, repeats = 0 }
"""
ODD = [
    *("1", "-1", "0", "0.5", "inf", "nan", "true", "1979-05-27", "99999999999999999999999"),
    *('""', '"x"', '"all"', '"10s"', '"-1s"', '"1e400s"', '"5%"', '"role="', '"="', '"[("'),
    *("[]", "[[]]", "[1]", '["worker-1", 3]', '[{ pick = "one" }]', "{}", "{ a = 1 }", '{ each = "all" }'),
    *('{ pick = "one" }', '{ pick = "one", of = 3 }', '{ pick = { pick = "one" } }'),
]
VALUE = re.compile(r"(?<= = )(?:\"[^\"\n]*\"|\[[^\n]*\]|\{[^\n]*\}|[\w.]+)")


@pytest.fixture(scope="module", autouse=True)
def _app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "fuzz_test_app.py").write_text("async def main(node, *, streams: int = 1) -> None: ...\n")
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


def answered(text):
    try:
        return load_text(text, Path("x.toml"))
    except ScenarioError as error:
        found = error
    lines = text.split("\n")
    assert found.mistakes
    for mistake in found.mistakes:
        assert mistake.message
        assert 1 <= mistake.line <= len(lines)
        assert 1 <= mistake.column <= len(lines[mistake.line - 1]) + 1
    return found


def test_the_base_is_a_scenario():
    assert isinstance(answered(BASE), Scenario)


@pytest.mark.parametrize("odd", ODD)
def test_an_odd_value_anywhere_is_answered(odd):
    for match in VALUE.finditer(BASE):
        answered(BASE[: match.start()] + odd + BASE[match.end() :])


def test_a_line_that_is_missing_is_answered():
    lines = BASE.split("\n")
    for line in range(len(lines)):
        answered("\n".join(lines[:line] + lines[line + 1 :]))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_any_mixture_of_lines_is_answered(data):
    lines = data.draw(st.lists(st.sampled_from(BASE.split("\n")), max_size=30))
    answered("\n".join(lines))


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_answered(text):
    answered(text.replace("\r", ""))


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 5000 + "]" * 5000,
        "x = " + "{ a = " * 5000 + "1" + " }" * 5000,
        BASE.replace("count = 3", "count = 2000000000"),
        BASE.replace("[network]", "[network.loss]\na = 1\n[network.loss.b]"),
        "[[node]]\n" * 300,
    ],
)
def test_what_is_too_large_or_too_deep_is_answered(text):
    assert isinstance(answered(text), ScenarioError)
