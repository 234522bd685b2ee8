"""An application that is over in no time and goes wrong on demand, and scenarios of it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sim import Scenario
from sim.study import Study

APPS = """
import os
import random


async def main(node, *, dies: float = 0.0, fails: float = 0.0, work: int = 0, stuck: bool = False, hangs: float = 0.0):
    drawn = node.random.random()
    sum(range(work))
    if stuck:
        open(f"stuck-{drawn}", "w").close()
    while stuck or drawn < hangs:
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

MATRIX = {"network.loss": [0.0, 0.5]}


@contextmanager
def furnished(folder: Path) -> Iterator[Path]:
    """Stand in that directory, with the application and the scenario `draws.toml`."""
    (folder / "sweep_apps.py").write_text(APPS)
    (folder / "draws.toml").write_text(SCENARIO)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        yield folder
    sys.modules.pop("sweep_apps", None)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A directory to stand in, with the application and the scenario."""
    with furnished(tmp_path):
        yield tmp_path


@pytest.fixture(scope="session")
def studies(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Study]:
    """One of three processes in which all holds, and one of a single process in which half of the runs fail."""
    with furnished(tmp_path_factory.mktemp("studies")):
        good = Scenario.load("draws.toml").sweep(seeds=range(1, 6), matrix=MATRIX, jobs=3)
        broken = Scenario.load("draws.toml", {"node.one.args.fails": 0.5})
        return good, broken.sweep(seeds=range(1, 9), matrix=MATRIX, jobs=1)


@pytest.fixture
def draws(folder: Path) -> Callable[..., Scenario]:
    """The scenario, with more lines at its end and the application's arguments."""

    def draws(more: str = "", **arguments: object) -> Scenario:
        (folder / "draws.toml").write_text(SCENARIO + more)
        return Scenario.load("draws.toml", {f"node.one.args.{name}": value for name, value in arguments.items()})

    return draws
