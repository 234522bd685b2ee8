"""One scenario with every verb, in both worlds: the same faults take effect, in the same order."""

import sys
import time
from pathlib import Path

import pytest

from sim.backends.program import ProgramError
from sim.scenario import Verdict
from sim.scenario.faults.stop import Stop
from sim.scenario.load import load_text
from sim.scenario.run import run as run_once

APP = """
import asyncio


async def main(node) -> None:
    node.ready()
    while True:
        await asyncio.sleep(0.1)
        node.record("alive")
"""

FILE = """\
name = "all-verbs"
duration = "10s"
seed = 3

[[node]]
name = "n"
count = 4
app = "two_worlds_app:main"
labels = { role = "x" }

[[fault]]
at = "1s"
for = "0.5s"
stop = { each = "n-[12]", next = "ready + 0.2s" }

[[fault]]
at = "4s"
for = "0.5s"
kill = { pick = "one", of = "role=x" }

[[fault]]
at = "5s"
for = "0.5s"
pause = "n-3"

[[fault]]
at = "5.2s"
for = "0.5s"
block = "n-4"

[[fault]]
at = "6s"
isolate = "n-1"

[[fault]]
at = "6.2s"
link = { from = "n-2", to = ["n-3", "n-4"], loss = "50%", latency = "20ms" }

[[fault]]
at = "6.4s"
for = "0.4s"
partition = { groups = [{ pick = "minority" }, "all"] }

[[fault]]
at = "7.2s"
heal = "isolate"

[[fault]]
at = "7.6s"
crash = "n-2"

[[fault]]
at = "8s"
restart = "n-2"

[[fault]]
at = "8.4s"
restart = "n-1"
name = "nobody"

[[fault]]
at = "8.6s"
for = "0.3s"
clock = { node = "n-2", offset = "1s", drift = "1%" }

[[fault]]
at = "8.7s"
slow_receive = { node = "role=x", latency = "10ms" }

[[fault]]
at = "8.8s"
for = "0.2s"
hold = { from = "n-3", to = ["n-1", "n-3"] }

[[fault]]
at = "9.2s"
reset = "n-1"

[[expect]]
logged = "alive"

[[expect]]
no_leaks = true
"""

STORY = [
    "fault stop n-1",
    "fault_undone stop n-1",
    "fault stop n-2",
    "fault_undone stop n-2",
    "fault kill n-3",
    "fault_undone kill n-3",
    "fault pause n-3",
    "fault block n-4",
    "fault_undone pause n-3",
    "fault_undone block n-4",
    "fault isolate n-1",
    "fault link n-2 n-3 n-4",
    "fault partition n-4 n-1 n-2 n-3",
    "fault_undone partition n-4 n-1 n-2 n-3",
    "fault heal n-1",
    "fault_undone isolate n-1",
    "fault crash n-2",
    "fault restart n-2",
    "fault_idle nobody",
    "fault clock n-2",
    "fault slow_receive n-1 n-2 n-3 n-4",
    "fault hold n-3 n-1",
    "fault_undone clock n-2",
    "fault_undone hold n-3 n-1",
    "fault_idle reset",
    "fault_undone link n-2 n-3 n-4",
    "fault_undone slow_receive n-1 n-2 n-3 n-4",
    "quiet",
]


@pytest.fixture(autouse=True)
def _app(tmp_path, monkeypatch):
    (tmp_path / "two_worlds_app.py").write_text(APP)
    monkeypatch.chdir(tmp_path)  # The processes of the sockets backend import from there as well.
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield
    sys.modules.pop("two_worlds_app", None)


def told(event):
    names = event.fields.get("targets", [])
    return " ".join([event.name, event.fields.get("verb", event.fields.get("name", "")), *names]).strip()


def assert_in_order(story):
    """A fault lasts from when it took effect, and `next` waits for a process: a busy machine moves both."""
    assert sorted(story) == sorted(STORY)
    planned = [line for line in STORY if "undone" not in line and " stop " not in line]
    assert [line for line in story if line in planned] == planned
    for line in STORY:
        if line.startswith("fault_undone "):
            assert story.index(line) > story.index(line.replace("fault_undone", "fault"))


@pytest.mark.parametrize("backend", ["sim", pytest.param("sockets", marks=pytest.mark.gate)])
def test_every_verb_takes_effect_and_is_undone(backend):
    run = run_once(load_text(FILE, Path("all.toml")), backend=backend)
    assert run.error is None
    assert run.verdict is Verdict.HOLDS, [judgement.saw for judgement in run.expectations]
    story = [told(event) for event in run.trace if event.name.startswith(("fault", "quiet"))]
    if backend == "sim":
        assert story == STORY
    else:
        assert_in_order(story)
    down = {"node_killed": ["n-3"], "node_crashed": ["n-2"], "node_paused": ["n-3"], "node_blocked": ["n-4"]}
    for name, nodes in down.items():
        assert [event.node for event in run.trace if event.name == name] == nodes
    assert (run.digest is None) == (backend == "sockets")


def test_a_verb_that_a_world_cannot_do_is_refused_before_anything_starts(monkeypatch, tmp_path):
    monkeypatch.setattr("sim.scenario.run.words", lambda backend: frozenset({"crash"}))
    trace = tmp_path / "x.trace"
    with pytest.raises(ProgramError, match="the sim backend cannot do"):
        run_once(load_text(FILE, Path("all.toml")), trace=trace)
    assert not trace.exists()


STOPPED = """
name = "stopped"
duration = "3s"
seed = 1

[[node]]
name = "a"
app = "two_worlds_app:main"

[[fault]]
at = "0.2s"
stop = "a"

[[expect]]
logged = "alive"
"""


@pytest.mark.gate
@pytest.mark.parametrize("backend", ["sim", "sockets"])
def test_a_fault_is_told_before_what_comes_of_it(backend, monkeypatch):
    """A runner that is held up once it has struck."""
    apply = Stop.strike

    def slowly(*arguments):
        effect = apply(*arguments)
        if backend == "sockets":
            time.sleep(1.0)
        return effect

    monkeypatch.setattr(Stop, "strike", slowly)
    run = run_once(load_text(STOPPED, Path("stopped.toml")), backend=backend)
    assert run.error is None
    times = {event.name: event.time for event in run.trace if event.name in ("fault", "node_stopping")}
    assert times["fault"] <= times["node_stopping"]
