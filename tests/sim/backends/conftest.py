"""Runs small programs in either world, and gives back what their traces say."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sim.backends import runner
from sim.backends.program import NodeProgram, Outcome, Program, Script, World
from sim.trace import Event, read


class Played:
    """One run: its outcome and its events."""

    def __init__(self, outcome: Outcome, events: list[Event]) -> None:
        self.outcome = outcome
        self.events = events

    def of(self, node: str, *names: str) -> list[Event]:
        """This node's events, of these names or all."""
        return [e for e in self.events if e.node == node and (not names or e.name in names)]

    def names(self, node: str) -> list[str]:
        return [e.name for e in self.of(node)]

    def one(self, node: str, name: str) -> Event:
        (event,) = self.of(node, name)
        return event


class Stage:
    """One of the two worlds."""

    def __init__(self, backend: str, folder: Path) -> None:
        self.backend = backend
        self._folder = folder

    def play(
        self,
        nodes: dict[str, Any],
        script: Callable[[World], Script] | None = None,
        *,
        duration: float = 0.2,
        grace: float = 1.0,
        **program: Any,
    ) -> Played:
        """Each node is the name of an application in apps_under_test, or the fields of a NodeProgram."""
        trace = self._folder / "run.trace"
        built = tuple(
            NodeProgram(name=name, app=f"apps_under_test:{fields}")
            if isinstance(fields, str)
            else NodeProgram(
                name=name, app=f"apps_under_test:{fields['app']}", **{k: fields[k] for k in fields if k != "app"}
            )
            for name, fields in nodes.items()
        )
        settings: dict[str, Any] = {"scenario": "test", "seed": 1, **program}
        outcome = runner(self.backend)(
            Program(
                nodes=built,
                scripts=lambda world: [script(world)] if script else [],
                duration=duration,
                grace=grace,
                **settings,
            ),
            trace,
        )
        return Played(outcome, list(read(trace)))


@pytest.fixture(autouse=True)
def apps(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets `apps_under_test` be imported, here and in the children."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    yield
    sys.modules.pop("apps_under_test", None)


# Each run over sockets takes a second or two.
@pytest.fixture(params=["sim", pytest.param("sockets", marks=pytest.mark.gate)])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    """One body, two worlds: the same program in either."""
    return Stage(request.param, tmp_path)


@pytest.fixture
def simulated(tmp_path: Path) -> Stage:
    return Stage("sim", tmp_path)


@pytest.fixture
def sockets(tmp_path: Path) -> Stage:
    return Stage("sockets", tmp_path)
