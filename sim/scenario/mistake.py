"""What is wrong with a scenario, and where: `file:line:column: what; what is allowed`.

Knows no rule of the format; those are in load.py (shapes) and check.py (meaning).

Tests: tests/sim/scenario/test_load.py.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sim.network.spelling import did_you_mean
from sim.scenario.locate import Path

__all__ = ["Blame", "Mistake", "ScenarioError", "nearest"]


@dataclass(frozen=True, slots=True)
class Mistake:
    """One of them. `line` and `column` count from 1; 0 where there is no text, as with `--set`."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.line else ""
        return f"{self.file}{place}: {self.message}"


class ScenarioError(Exception):
    """A scenario that cannot be run; its text has one line a mistake. `file`, `line`, `column` are the first one's."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda m: (m.line, m.column)))
        first = self.mistakes[0]
        self.file, self.line, self.column, self.message = first.file, first.line, first.column, first.message
        super().__init__("\n".join(map(str, self.mistakes)))


class Blame(Protocol):
    """Notes a mistake at the value of that path, or at its key."""

    def __call__(self, path: Path, message: str, *, key: bool = False) -> None: ...


def nearest(name: object, allowed: Iterable[str]) -> str:
    """`; did you mean "x"? allowed: …` for the end of a message."""
    names = sorted(allowed)
    return f"; {did_you_mean(name, names)}allowed: {', '.join(names) or 'none'}"
