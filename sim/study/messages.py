"""What a sweep and its workers say to each other, pickled.

Tests: tests/sim/study/test_sweep.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.scenario.load import load_text
from sim.scenario.run import Run
from sim.scenario.schema import Scenario

__all__ = ["CellOrder", "Done", "Interrupted", "Order", "Raised"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellOrder:
    """A scenario: as its text and overrides, or as it is where it was built in Python."""

    parameters: dict[str, Any]
    text: str | None = None
    file: Path | None = None
    overrides: tuple[str, ...] = ()
    built: Scenario | None = None

    def scenario(self) -> Scenario:
        if self.text is None or self.file is None:
            assert self.built is not None
            return self.built
        return load_text(self.text, self.file, self.overrides)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What all runs of the sweep share."""

    cells: Sequence[CellOrder]
    defects: tuple[str, ...]
    wall_limit: float | None = None
    """Real seconds that each may take."""
    traces: Path | None = None
    """Where the traces go, each in a directory of its seed; None = nowhere, and a row of each run is all that is
    wanted."""


@dataclass(frozen=True, slots=True)
class Done:
    """The next task of the batch is done: its line of the results file, or all of it, and how long it took."""

    result: bytes | Run
    seconds: float


@dataclass(frozen=True, slots=True)
class Raised:
    """The next task of the batch could not be run."""

    error: str
    details: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Ctrl-C in the next task of the batch: where its program was."""

    where: str
