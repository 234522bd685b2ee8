"""Scenario files: what is read, and how each mistake is answered."""

import re
import sys
from pathlib import Path

import pytest

from sim.scenario.faults.crash import Crash
from sim.scenario.faults.link import Link
from sim.scenario.faults.partition import Partition
from sim.scenario.faults.stop import Stop
from sim.scenario.load import load, load_text
from sim.scenario.mistake import ScenarioError
from sim.scenario.schema import Each, Pick

APP = '''
"""An application of the tests."""
from contextlib import contextmanager


async def main(node, *, streams: int = 4, label: str = "x") -> None: ...
async def strict(node, *, needed: float) -> None: ...
async def plain() -> None: ...
def not_async(node) -> None: ...


@contextmanager
def defect():
    yield
'''


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Makes the applications above importable."""
    (tmp_path / "scenario_test_app.py").write_text(APP)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("scenario_test_app", None)


GOOD = """\
name = "x"
summary = "A question?"
duration = "40s"
seed = 7
catches = ["scenario_test_app:defect"]

[network]
preset = "lan"
loss = "5%"

[cluster]
preset = "local"
join = "worker-1"
probe_interval = "500ms"
suspicion_multiplier = 2

[[node]]
name = "director"
app = "scenario_test_app:plain"

[[node]]
name = "worker"
count = 3
app = "scenario_test_app:main"
labels = { role = "worker" }
args = { streams = 2 }
start = "5s"

[[fault]]
at = "10s"
for = "2s"
crash = "worker-2"

[[fault]]
at = "1m"
name = "split"
partition = { groups = [["director"], "role=worker"] }

[[fault]]
at = "12s"
link = { between = ["director", "worker-*"], loss = 0.5, latency = "uniform(1ms, 5ms)" }

[[fault]]
at = "14s"
for = "1s"
stop = { each = "worker-*", next = "ready + 2s" }

[[fault]]
at = "15s"
crash = { pick = "one", of = "role=worker" }

[[expect]]
no_false_failures = true
"""
GOOD = GOOD.replace('"1m"', '"0.5m"')


def read(text, overrides=()):
    return load_text(text, Path("x.toml"), overrides)


@pytest.mark.usefixtures("app")
def test_every_table_becomes_its_struct():
    scenario = read(GOOD)
    assert (scenario.name, scenario.duration, scenario.seed) == ("x", 40.0, 7)
    assert scenario.network.link() == {"preset": "lan", "loss": 0.05}
    assert scenario.cluster.settings == {"probe_interval": 0.5, "suspicion_multiplier": 2.0}
    assert [name for node in scenario.node for name in node.names()] == ["director", "worker-1", "worker-2", "worker-3"]
    crash, partition, link, stop, drawn = scenario.fault
    assert crash == Crash(at=10.0, for_=2.0, crash="worker-2")
    assert isinstance(partition, Partition) and partition.at == 30.0
    assert isinstance(link, Link) and link.link.edge() == {"loss": 0.5, "latency": "uniform(1ms, 5ms)"}
    assert stop == Stop(at=14.0, for_=1.0, stop=Each(each="worker-*", next="ready + 2s"))
    assert drawn == Crash(at=15.0, crash=Pick(pick="one", of="role=worker"))
    assert scenario.line("fault[1]") == GOOD[: GOOD.index('at = "0.5m"')].count("\n")


# What is changed in the good file, where the mistake is then (a piece of the changed text), and words of the answer.
MISTAKES = {
    "no name": ('name = "x"', 'name = ""', '""', "'' cannot name a scenario"),
    "a name that leads elsewhere": ('name = "x"', 'name = "../x"', '"../x"', "cannot name a scenario; .* no slash"),
    "a name of control characters": ('name = "x"', 'name = "a\\u0000"', '"a\\u0000"', "'a\\\\x00' cannot name"),
    "a name that no file can have": ('name = "x"', f'name = "{"a" * 101}"', '"aaa', "1 to 100 characters"),
    "wrong type": ("seed = 7", 'seed = "7"', '"7"', "seed: expected a whole number, got text"),
    "bad duration": ('duration = "40s"', 'duration = "40 sec"', '"40 sec"', "not a duration|is not a duration"),
    "duration without unit": ('at = "12s"', "at = 12", "12", 'text with a unit.*did you mean "12s"'),
    "duration as float": ('at = "12s"', "at = 12.5", "12.5", 'did you mean "12.5s"'),
    "unknown key at the top": ("seed = 7", "sede = 7", "sede", 'unknown key "sede"; did you mean "seed"'),
    "unknown table": ("[network]", "[netwrok]", "[netwrok]", 'unknown key "netwrok"; did you mean "network"'),
    "unknown key of a node": ("count = 3", "cuont = 3", "cuont", 'did you mean "count"'),
    "unknown key of a fault": ("for = ", "fro = ", "fro", 'unknown key "fro"; did you mean "for"'),
    "unknown fault": ("partition = {", "partion = {", "partion", 'unknown fault "partion"; did you mean "partition"'),
    "a fault of no kind": (
        'crash = "worker-2"',
        "",
        '[[fault]]\nat = "10s"',
        "names no fault; allowed: block, clock, crash",
    ),
    "two faults in one": ("stop = {", 'kill = "all"\nstop = {', "stop = {", "one fault a table: kill and stop"),
    "unknown expectation": (
        "no_false_failures",
        "no_false_failure",
        "no_false_failure",
        'unknown expectation "no_false_failure"; did you mean "no_false_failures"',
    ),
    "unknown node in a fault": ('crash = "worker-2"', 'crash = "wroker-2"', '"wroker-2"', 'did you mean "worker-2"'),
    "a counted node without its number": ('crash = "worker-2"', 'crash = "worker"', '"worker"', 'mean "worker-\\*"'),
    "unknown label": ('"role=worker"]', '"rolle=worker"]', None, "no node has the label"),
    "unknown pick": ('pick = "one"', 'pick = "won"', "{ pick", 'unknown pick "won"; did you mean "one"'),
    "unknown key of a pick": ("of = ", "off = ", "off", 'unknown key "off"; did you mean "of"'),
    "duration as text without unit": ('at = "12s"', 'at = "12"', '"12"', 'it has no unit; did you mean "12s"'),
    "a distribution that does not exist": (
        'at = "12s"',
        'at = "unifrom(5s, 9s)"',
        '"unifrom',
        'did you mean "uniform"',
    ),
    "a distribution of bare numbers": ('at = "12s"', 'at = "uniform(5, 9)"', '"uniform', "'5' is not a duration"),
    "drawn after the end": ('at = "12s"', 'at = "uniform(5s, 41s)"', '"uniform', "at 41 s is after the end"),
    "drawn mostly after the end": ('at = "12s"', 'at = "normal(50s, 9s)"', '"normal', "more than half of these times"),
    "drawn too often": (
        'at = "15s"',
        'at = "15s"\nevery = "uniform(0s, 0s)"',
        '"uniform',
        "every must be at least 0.001 s, not 0 s",
    ),
    "again and again at one time": (
        'at = "15s"',
        'at = "15s"\nevery = "1e-30s"',
        '"1e-30s"',
        "every must be at least 0.001 s, not 1e-30 s",
    ),
    "a duration of foreign digits": ('at = "12s"', 'at = "١٢s"', '"١٢s"', "is not a duration"),
    "a duration with a line break": ('at = "12s"', 'at = "12s\\n"', '"12s', "is not a duration"),
    "a distribution with a line break": (
        'at = "12s"',
        'at = "uniform(5s, 9s)\\n"',
        '"uniform',
        "is not a duration",
    ),
    "a share of foreign digits": ('pick = "one"', 'pick = "٣٠%"', "{ pick", 'unknown pick "٣٠%"'),
    "a network of no preset": ("[network]", '[network]\npreset = ""', '""', "unknown preset ''"),
    "an application without a name": ('app = "scenario_test_app:plain"', 'app = ""', '""', "'' names no application"),
    "more than there are": ('pick = "one"', "pick = 4", "{ pick", "pick = 4 is more than the 3 nodes there are"),
    "a number as text": ('pick = "one"', 'pick = "2"', "{ pick", "did you mean 2?"),
    "a pick of no kind": ('pick = "one"', "pick = 1.5", "1.5", "expected a whole number or text"),
    "all but nobody known": ('crash = "worker-2"', 'crash = "!wroker-2"', '"!wroker-2"', 'did you mean "worker-2"'),
    "all but all": ('crash = "worker-2"', 'crash = "!all"', '"!all"', "nobody is left: !all"),
    "a name like the end of a fault": ('name = "split"', 'name = "end of it"', '"end of it"', "cannot name a fault"),
    "the end of what lasts": (
        "no_false_failures = true",
        'converged = true\nafter = "end of crash-2"',
        '"end of crash-2"',
        'nothing undoes "crash-2" before the end of the run',
    ),
    "the end of nothing": (
        "no_false_failures = true",
        'converged = true\nafter = "end of crsh"',
        '"end of crsh"',
        'did you mean "end of crash"',
    ),
    "calls of no method": ("no_false_failures = true", 'calls = "all"\nmethod = ""', '""', "and not empty"),
    "calls within what": (
        "no_false_failures = true",
        'calls = "all"\nwithin = "2s"',
        None,
        "calls has within, but no after",
    ),
    "fault after the end": ('at = "10s"', 'at = "50s"', '"50s"', "after the end"),
    "two nodes of one name": (
        '"director"\napp',
        '"worker-2"\napp',
        '"worker"\ncount',
        "two nodes of one name.*worker-2",
    ),
    "app without a module": ("scenario_test_app:main", "no_such_module:main", '"no_such_module', "cannot import"),
    "app without the function": (
        "scenario_test_app:main",
        "scenario_test_app:mian",
        '"scenario',
        'did you mean "main"',
    ),
    "app that is not async": ("scenario_test_app:main", "scenario_test_app:not_async", '"scenario', "async def"),
    "app without a colon": ("scenario_test_app:main", "scenario_test_app", '"scenario_test_app"', "module:function"),
    "unknown argument": ("streams = 2", "steams = 2", "steams", "unknown argument 'steams'; did you mean .streams."),
    "argument of a wrong type": ("streams = 2", 'streams = "2"', '"2"', "streams"),
    "missing argument": ("app:main", "app:strict", None, "'needed' is missing"),
    "bad latency": ("uniform(1ms, 5ms)", "unifrom(1ms, 5ms)", '"unifrom', "not a latency"),
    "unknown preset": ('preset = "lan"', 'preset = "lna"', '"lna"', "unknown preset"),
    "probability above one": ('loss = "5%"', 'loss = "500%"', '"500%"', "between 0 and 1"),
    "unknown cluster setting": (
        "probe_interval",
        "probe_intervall",
        "probe_intervall",
        'did you mean "probe_interval"',
    ),
    "cluster setting of a wrong type": ('"500ms"', "0.5", "0.5", 'did you mean "0.5s"'),
    "unknown cluster preset": ('preset = "local"', 'preset = "locla"', '"locla"', 'did you mean "local"'),
    "for without sense": ("for = ", "every = ", None, "every"),
    "pause without for": ('for = "2s"\ncrash', "pause", "pause", 'pause needs for, like for = "2s"'),
    "rolling without end": ('for = "1s"\n', "", "stop", "nothing starts again: give for"),
    "unknown rolling step": ("ready + 2s", "redy + 2s", '"redy', 'next is "ready"'),
    "hold of oneself": (
        'crash = "worker-2"',
        'hold = { from = "director", to = "director" }',
        "{ from",
        "nobody has a link",
    ),
    "hold without from": ('crash = "worker-2"', 'hold = { to = "director" }', None, '"from" is missing'),
    "clock that is right": ('crash = "worker-2"', 'clock = { node = "director" }', "{ node", "changes nothing"),
    "clock that stands still": (
        'crash = "worker-2"',
        'clock = { node = "director", drift = "-100%" }',
        '"-100%"',
        "drift: a drift is above -100%",
    ),
    "offset without unit": (
        'crash = "worker-2"',
        'clock = { node = "director", offset = "-3" }',
        '"-3"',
        "offset: '3' is not an offset",
    ),
    "slowness that is no latency": (
        'crash = "worker-2"',
        'slow_receive = { node = "all", latency = "slow" }',
        '"slow"',
        "latency: .slow. is not a duration",
    ),
    "reset with an end": ('crash = "worker-2"', 'reset = "worker-2"', "for", "reset is not undone"),
    "one group": ('["director"], ', "", '["role', "two or more groups"),
    "link that goes nowhere": ('between = ["director", "worker-*"], ', "", "{ loss", "say where"),
    "link to oneself": ('["director", "worker-*"]', '["director", "director"]', "{ between", "nobody has a link"),
    "graph that is none": ('preset = "lan"', 'graph = "star_grap(9)"', '"star', "no generator"),
    "graph that is too small": ('preset = "lan"', 'graph = "star_graph(1)"', '"star', "has 2 nodes, the program 4"),
    "graph that falls apart": (
        'preset = "lan"',
        'graph = "empty_graph(4)"',
        '"empty',
        "there is no way from 'director' to",
    ),
    "graph without a file": ('preset = "lan"', 'graph = "x.graphml"', '"x.graphml"', "No such file"),
    "defect that is unknown": ("scenario_test_app:defect", "no_suspicon", '"no_suspicon"', "unknown defect"),
    "name that is taken": ('name = "split"', 'name = "quiet"', '"quiet"', "cannot name a fault"),
    "node that may not be called so": ('"director"\napp', '"all"\napp', '"all"', "cannot name a node"),
    "start after the end": ('start = "5s"', 'start = "5m"', '"5m"', "when all is over"),
    "a list where a table is": ("{ streams = 2 }", "[2]", "[2]", "args: expected a table, got a list"),
    "missing name": ('name = "x"\n', "", "summary", '"name" is missing'),
    "misspelt table": ("[[node]]", "[[nod]]", "[[nod]]", 'unknown key "nod"; did you mean "node"'),
    "syntax": ("seed = 7", "seed = = 7", "= 7", "TOML syntax: Invalid value"),
    "syntax: a key twice": ("seed = 7", "seed = 7\nseed = 8", None, "TOML syntax: Cannot overwrite a value"),
}


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_answered_with_its_place_and_what_is_meant(name):
    before, after, at, words = MISTAKES[name]
    assert before in GOOD
    text = GOOD.replace(before, after, 1)
    if name == "for without sense":
        text = text.replace('every = "2s"\ncrash', 'every = "2s"\nfor = "3s"\ncrash')
    with pytest.raises(ScenarioError) as caught:
        read(text)
    mistakes = [m for m in caught.value.mistakes if re.search(words, m.message)]
    assert mistakes, str(caught.value)
    if at is not None:
        lines = text.split("\n")
        places = ["\n".join(lines[m.line - 1 :])[m.column - 1 :] for m in mistakes]
        assert any(place.startswith(at) for place in places), str(caught.value)
    assert re.match(r"x\.toml:\d+:\d+: ", str(mistakes[0]))


@pytest.mark.usefixtures("app")
def test_one_look_finds_many_mistakes():
    text = GOOD
    for before, after in (
        ("seed = 7", 'seed = "7"'),
        ('loss = "5%"', 'loss = "5"'),
        ("count = 3", "cuont = 3"),
        ('at = "12s"', 'at = "12"'),
        ("no_false_failures", "no_false"),
    ):
        text = text.replace(before, after)
    with pytest.raises(ScenarioError) as caught:
        read(text)
    assert len(caught.value.mistakes) >= 5
    lines = [m.line for m in caught.value.mistakes]
    assert lines == sorted(lines)


@pytest.mark.usefixtures("app")
def test_a_misspelt_table_is_the_only_mistake_that_is_told():
    with pytest.raises(ScenarioError) as caught:
        read(GOOD.replace("[[node]]", "[[nod]]", 1))
    assert len(caught.value.mistakes) == 1


@pytest.mark.usefixtures("app")
def test_a_node_that_cannot_be_read_does_not_make_its_name_unknown():
    with pytest.raises(ScenarioError) as caught:
        read(GOOD.replace("count = 3", 'count = "3"'))
    assert [m.message for m in caught.value.mistakes] == ["count: expected a whole number, got text"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'name = "x"\nsummary = "\xff"\n', r"x\.toml:2:12: not UTF-8: byte 0xff"),
        (b"", r"needs at least one \[\[node\]\]"),
        (b"\x00", "TOML syntax"),
    ],
)
def test_a_file_that_is_no_scenario_is_answered(tmp_path, content, words):
    file = tmp_path / "x.toml"
    file.write_bytes(content)
    with pytest.raises(ScenarioError, match=words):
        load(file)


def test_missing_file_and_directory_are_answered(tmp_path):
    with pytest.raises(ScenarioError, match=r"nothing\.toml: no such file"):
        load(tmp_path / "nothing.toml")
    with pytest.raises(ScenarioError, match="is a directory"):
        load(tmp_path)


@pytest.mark.usefixtures("app")
def test_byte_order_mark_and_windows_lines_are_read(tmp_path):
    file = tmp_path / "x.toml"
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load(file).seed == 7


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("override", "seen"),
    [
        ("seed=9", lambda s: s.seed == 9),
        ("node.worker.count=50", lambda s: s.node[1].count == 50),
        ("node.worker.args.streams=9", lambda s: s.node[1].args == {"streams": 9}),
        ("network.loss=1%", lambda s: s.network.loss == 0.01),
        ("cluster.suspicion_multiplier=6", lambda s: s.cluster.settings["suspicion_multiplier"] == 6),
        ("cluster.question_at=0.5", lambda s: s.cluster.settings["question_at"] == 0.5),
        ("fault.crash.at=3s", lambda s: s.fault[0].at == 3.0),
        ("fault.split.at=3s", lambda s: s.fault[1].at == 3.0),
        ("fault.2.at=3s", lambda s: s.fault[2].at == 3.0),
        ("fault.crash-2.crash=director", lambda s: s.fault[4].crash == "director"),
        ("expect.no_false_failures.of=director", lambda s: s.expect[0].of == "director"),
    ],
)
def test_override_changes_the_document_before_it_is_read(override, seen):
    scenario = read(GOOD, [override])
    assert seen(scenario)
    assert scenario.origin.overrides == (override,)


@pytest.mark.usefixtures("app")
def test_overrides_from_python_may_be_plain_numbers():
    scenario = read(GOOD, {"fault.crash.at": 3, "cluster.probe_interval": 0.25, "duration": 50.0})
    assert (scenario.fault[0].at, scenario.duration) == (3.0, 50.0)
    assert scenario.cluster.settings["probe_interval"] == 0.25


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("node.wroker.count=5", r'--set node\.wroker\.count=5: there is no node "wroker"; did you mean "worker"'),
        ("node.worker.cuont=5", r'--set node\.worker\.cuont=5: unknown key "cuont"; did you mean "count"'),
        ("duration=40", r"--set duration=40: duration: a duration is text with a unit"),
        ("duration=inf", r"--set duration=inf: duration: a duration is text with a unit.*not inf$"),
        ('node.worker.app="..:x"', r"'\.\.:x' names no application; write it as module:function"),
        ("seed.x=1", r'"seed" is no table'),
        ("node.worker=1", r"a list: name one of it"),
        ("seed", r"write it as KEY=VALUE"),
        ("=3", r"write it as KEY=VALUE"),
    ],
)
def test_override_that_makes_no_sense_is_answered_as_it_was_written(override, words):
    with pytest.raises(ScenarioError, match=words):
        read(GOOD, [override])


LAYERS = """\
name = "a/b"
duration = "40"
seed = "x"

[network]
loss = "500%"

[cluster]
probe_intervall = "1s"
join = "w-9"

[[node]]
name = "w"
count = 3
app = "sim.apps.member:mian"
start = 5

[[node]]
name = "v"
app = "nowhere_at_all:main"
lables = { role = "v" }

[[node]]
name = "u"
args = { x = 1 }

[[fault]]
at = "5"
crash = "w-7"

[[fault]]
at = "6s"
pause = "role=v"
fro = "1s"

[[fault]]
at = "6s"
partion = { groups = [["w-1"], ["w-2"]] }
name = "cut"

[[fault]]
at = "7s"
partition = { groups = [["w-1"], ["w-8"]], one_way = 3 }

[[expect]]
member_failed = "w-12"
within = "10"

[[expect]]
member_recovered = "w-1"
after = "cutt"
within = "10s"

[[expect]]
member_left = "w-1"
after = "cut"
max = { notise_last = 3, notice_first = "soon", notise_p50 = 1 }

[[expect]]
convergd = true

[sweep]
seeds = "5:1"
interleaving = "lifo"
"""


def told(text, overrides=()):
    with pytest.raises(ScenarioError) as caught:
        read(text, overrides)
    return [(mistake.line, mistake.message) for mistake in caught.value.mistakes]


def test_mistakes_of_all_layers_are_told_at_once():
    found = told(LAYERS, ["nonsense", "node.zz.count=3"])
    expected = [
        (0, "sets nothing"),
        (0, 'there is no node "zz"'),
        (1, "cannot name a scenario"),
        (2, "not a duration"),
        (3, "expected a whole number"),
        (6, "a probability is between"),
        (9, 'did you mean "probe_interval"'),
        (10, 'unknown node "w-9"'),
        (15, "has no 'mian'"),
        (16, "a duration is text with a unit"),
        (20, "there is no module 'nowhere_at_all'"),
        (21, 'did you mean "labels"'),
        (23, '"app" is missing'),
        (28, "not a duration"),
        (29, 'unknown node "w-7"'),
        (34, 'did you mean "for"'),
        (38, 'did you mean "partition"'),
        (43, 'unknown node "w-8"'),
        (43, "expected true or false"),
        (46, 'unknown node "w-12"'),
        (47, "not a duration"),
        (51, 'did you mean "cut"'),
        (57, 'did you mean "notice_last"'),
        (57, "notice_first: a limit is a number"),
        (57, 'did you mean "notice_p50"'),
        (60, 'did you mean "converged"'),
        (63, 'seeds "5:1" is empty'),
        (64, "interleaving = 'lifo' is unknown; did you mean"),
    ]
    assert [line for line, _ in found] == [line for line, _ in expected]
    assert [words for (_, message), (_, words) in zip(found, expected, strict=True) if words not in message] == []


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ('for = "2s"\ncrash', 'for = "2"\ncrash'),
        ('at = "10s"', 'at = "10"'),
        ("count = 3", "count = 'three'"),
        ('labels = { role = "worker" }', "labels = 3"),
        ("args = { streams = 2 }", "args = 3"),
        ('{ groups = [["director"], "role=worker"] }', "{ groups = 3 }"),
        ('next = "ready + 2s"', "next = 3"),
        ('loss = "5%"', 'loss = ["5%"]'),
        ('duration = "40s"', 'duration = "soon"'),
        ("count = 3", "number = 3"),
        ('labels = { role = "worker" }', 'tags = { role = "worker" }'),
        ('name = "split"', "name = 3"),
        ("no_false_failures = true", 'member_failed = "worker-2"\nwithin = 3\nafter = "split"'),
    ],
)
def test_one_mistake_in_a_good_file_is_one_mistake(written, instead):
    good = f'{GOOD}\n[[expect]]\nmember_failed = "worker-2"\nafter = "split"\n'
    assert written in good
    assert len(told(good.replace(written, instead, 1))) == 1
