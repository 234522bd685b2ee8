"""Arguments that several commands take, each with its help; and what their text means.

Tests: tests/sim/cli/test_usage.py.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from sim.cli import output
from sim.cli.exits import USAGE, UsageError

if TYPE_CHECKING:
    from cyclopts import Token

    from sim.scenario.schema import Scenario

__all__ = [
    "RESULT",
    "TRACE",
    "Defects",
    "Flag",
    "Interleaving",
    "Seeds",
    "Settings",
    "WallLimit",
    "Whole",
    "demand_files",
    "demand_trace",
    "loaded",
    "seeds_of",
    "wall_seconds",
]

TRACE, RESULT = "trace.msgpack", "result.json"
"""What lies beside a page."""

Settings = Annotated[
    list[str],
    Parameter(name="--set", negative=(), help="KEY=VALUE changes the file: node.worker.count=50, network.loss=5%."),
]
Seeds = Annotated[str | None, Parameter(help="A:B runs every seed from A to B, both ends included.")]
Defects = Annotated[list[str], Parameter(name="--defect", negative=(), help="Switch on a defect, by name.")]
Interleaving = Annotated[
    Literal["fifo", "random", "pct", "pos", "surw", "mix"] | None,
    Parameter(help="Which ready task of a node goes next, instead of as the file says; mix draws a strategy a seed."),
]
WallLimit = Annotated[
    str | None,
    Parameter(help="Real time that a simulated run may take (30s, 5m): one that takes longer fails, and says where."),
]
Flag = Parameter(negative=())


def _whole(_: object, tokens: "Sequence[Token]") -> int:
    """The number, where the text is one: 1.5 is not rounded to 2."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no whole number") from None


Whole = Parameter(converter=_whole)


def demand_files(command: str, files: Sequence[Path]) -> None:
    """Raises UsageError where there is none."""
    if not files:
        raise UsageError(f"name at least one scenario file: rpcnet-sim {command} scenarios/worker_death.toml")


def loaded(
    files: Sequence[Path],
    settings: Sequence[str],
    codes: list[int],
) -> "list[tuple[str, Scenario]]":
    """The files that are in order, each with its scenario; the mistakes of all others are told, and add a code."""
    from rpcnet.app import add_working_directory
    from sim.scenario.load import load
    from sim.scenario.mistake import ScenarioError

    add_working_directory()
    found = []
    for file in map(str, files):
        try:
            found.append((file, load(file, settings)))
        except ScenarioError as error:
            output.mistakes(error.mistakes)
            codes.append(USAGE)
    return found


def seeds_of(text: str) -> range:
    """What `--seeds` says. Raises UsageError."""
    from sim.scenario.seeds import parse_seeds

    try:
        return parse_seeds(text)
    except ValueError as error:
        raise UsageError(f"--seeds: {error}") from None


def wall_seconds(text: str | None) -> float | None:
    """What `--wall-limit` says. Raises UsageError."""
    from sim.scenario.schema import parse_duration

    try:
        seconds = None if text is None else parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--wall-limit: {error}") from None
    if seconds is not None and not seconds > 0:
        raise UsageError(f"--wall-limit must be above 0, not {text}")
    return seconds


def demand_trace(path: Path) -> Path:
    """A trace file, or the one in the directory of a report; a torn one is told of. Raises UsageError."""
    from sim.trace.reader import torn_end

    file = path / TRACE if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"{file}: no such trace")
    if file.stat().st_size == 0:
        output.note(f"{file}: it is empty, as of a run that was ended before anything happened")
    if torn := torn_end(file):
        output.note(f"{file}: {torn}")
    return file
