"""An application that is over in no time and goes wrong on demand, and scenarios of it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sim.scenario.schema import Scenario

APPS = """
import os
import random


async def main(node, *, dies: float = 0.0, fails: float = 0.0, work: int = 0, stuck: bool = False):
    drawn = node.random.random()
    sum(range(work))
    while stuck:
        pass
    node.record("drawn", value=random.random())
    if drawn < dies:
        print("these are my last words")
        os._exit(7)
    if drawn < fails:
        raise ValueError("broken on purpose")
    node.ready()


def judge(trace, **keys):
    return True
"""

SCENARIO = """
name = "draws"
duration = "1s"
seed = 3

[network]
loss = "0%"

[[node]]
name = "one"
app = "sweep_apps:main"
args = { work = 0 }

[[expect]]
logged = "drawn"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory to stand in, with the application and the scenario `draws.toml`."""
    (tmp_path / "sweep_apps.py").write_text(APPS)
    (tmp_path / "draws.toml").write_text(SCENARIO)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("sweep_apps", None)


@pytest.fixture
def draws(folder: Path) -> Callable[..., Scenario]:
    """The scenario, with more lines at its end and the application's arguments."""

    def draws(more: str = "", **arguments: object) -> Scenario:
        (folder / "draws.toml").write_text(SCENARIO + more)
        return Scenario.load("draws.toml", {f"node.one.args.{name}": value for name, value in arguments.items()})

    return draws
