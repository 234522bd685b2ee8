"""The results of many runs: a row each, what they have in common, and the way back to any one of them.

Values and sums only; knows no process and no file. pandas is imported here and nowhere else, when it is asked for.

Tests: tests/sim/study/test_sweep.py.
"""

import html
import math
import signal
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from sim import notebook
from sim.extras import advice
from sim.scenario.run import Run, command_of, run
from sim.scenario.verdict import Verdict
from sim.study.plan import Cell, Plan

if TYPE_CHECKING:
    import pandas

__all__ = ["MAX_NAMED", "CellSummary", "Crash", "Figure", "Result", "Row", "Study", "how_it_ended", "row_of"]

OWN = ("seed", "verdict", "digest", "error", "virtual_seconds")
"""Columns of every row; a parameter or a figure of such a name is told apart by what it is."""


MAX_NAMED = 10
"""Failures that a page or a terminal names; the others are counted."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One run, as a line of the results file holds it."""

    seed: int
    parameters: dict[str, Any]
    verdict: Verdict
    digest: str | None
    measured: dict[str, float | None]
    """Figures by name; None for one that was no number: seconds until something that never happened."""
    saw: tuple[str, ...]
    """What each expectation saw that does not hold."""
    error: str | None
    virtual_seconds: float
    wall_seconds: float

    def flat(self) -> dict[str, Any]:
        """The columns of a study. How long it took is not among them: it is another each time."""
        row: dict[str, Any] = {"seed": self.seed, "verdict": str(self.verdict), "digest": self.digest}
        for kind, values in (("parameter", self.parameters), ("measured", self.measured)):
            for key, value in values.items():
                row[f"{kind} {key}" if key in OWN or key in row else key] = value
        return row | {"error": self.error, "virtual_seconds": self.virtual_seconds}


def row_of(found: Run, parameters: Mapping[str, Any], wall_seconds: float) -> Row:
    """What is kept of a run."""
    return Row(
        seed=found.seed,
        parameters=dict(parameters),
        verdict=found.verdict,
        digest=found.digest,
        measured={name: value if math.isfinite(value) else None for name, value in found.measured.items()},
        saw=(
            (found.why,)
            if found.why
            else tuple(f"{j.name} {j.verdict}: {j.saw}" for j in found.expectations if j.verdict is not Verdict.HOLDS)
        ),
        error=found.error,
        virtual_seconds=found.virtual_seconds,
        wall_seconds=wall_seconds,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """One run of a study. `replay()` gives the whole of it."""

    row: Row
    cell: Cell
    defects: tuple[str, ...] = ()
    wall_limit: float | None = None
    """Real seconds that it might take."""

    @property
    def seed(self) -> int:
        return self.row.seed

    @property
    def parameters(self) -> dict[str, Any]:
        return self.row.parameters

    @property
    def verdict(self) -> Verdict:
        return self.row.verdict

    @property
    def command(self) -> str | None:
        """The command line that runs it again; None for a scenario that is in no file."""
        return command_of(self.cell.scenario, self.seed, defects=self.defects, wall_limit=self.wall_limit)

    def to_json(self) -> dict[str, Any]:
        """The row, the name of the scenario, why it does not hold and the command that runs it again."""
        row: dict[str, Any] = msgspec.to_builtins(self.row)
        return {"scenario": self.cell.scenario.name} | row | {"why": self.why or None, "command": self.command}

    def replay(self, trace: str | Path | None = None) -> notebook.Run:
        """Run it again, with its trace: the same seed, the same parameters, the same digest."""
        found = run(self.cell.scenario, seed=self.seed, trace=trace, defects=self.defects, wall_limit=self.wall_limit)
        return notebook.Run.of(found)

    @property
    def why(self) -> str:
        """In a line, why it does not hold: what an application raised, else what the expectations saw."""
        return self.row.error.strip().splitlines()[0] if self.row.error else "; ".join(self.row.saw)

    def __repr__(self) -> str:
        where = f" {self.cell}" if self.parameters else ""
        return f"<Result seed={self.seed}{where}: {self.verdict}{' ' if self.why else ''}{self.why:.200}>"


@dataclass(frozen=True, slots=True)
class Crash:
    """A run that took its process with it: a signal, os._exit, no memory left."""

    seed: int
    parameters: dict[str, Any]
    how: str
    output: str
    """The last that the process wrote."""

    def __str__(self) -> str:
        cell = "".join(f", {key}={value}" for key, value in self.parameters.items())
        said = f"; its last words:\n{self.output}" if self.output else ""
        return f"seed {self.seed}{cell}: the process that ran it {self.how}{said}"


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A measured figure over the runs of a cell."""

    runs: int
    """In how many it was measured."""
    p50: float
    """inf where what it measures never happened in so many runs; so is p99."""
    p99: float


@dataclass(frozen=True, kw_only=True)
class CellSummary:
    """The runs of one cell together."""

    parameters: Mapping[str, Any]
    count: Mapping[Verdict, int]
    figures: Mapping[str, Figure]

    @property
    def runs(self) -> int:
        """How many."""
        return sum(self.count.values())


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """All results of a sweep, in the order of its plan. In a notebook it shows its summary."""

    plan: Plan
    results: Sequence[Result]
    crashes: Sequence[Crash] = field(default=())
    """Runs that took their process with them; they have no row, and the same sweep tries them again."""
    out: Path | None = None

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """A flat dict for each run: seed, verdict, digest, parameters, measured figures, error, virtual_seconds."""
        return [result.row.flat() for result in self.results]

    @property
    def failures(self) -> list[Result]:
        """The runs that fail."""
        return [result for result in self.results if result.verdict is Verdict.FAILS]

    @property
    def verdict(self) -> Verdict:
        """Fails where one fails, inconclusive where one is or is missing; of no run at all nothing can be said."""
        found = {result.verdict for result in self.results}
        if Verdict.FAILS in found:
            return Verdict.FAILS
        return Verdict.INCONCLUSIVE if Verdict.INCONCLUSIVE in found or self.missing or not found else Verdict.HOLDS

    @property
    def missing(self) -> int:
        """How many runs of the plan have no result, as they took their process with them."""
        return len(self.plan) - len(self.results)

    def to_json(self) -> dict[str, Any]:
        """All but the runs: the verdict, what is missing, the figures of each cell."""
        return {
            "scenario": self.plan.scenario.name,
            "verdict": str(self.verdict),
            "runs": len(self.results),
            "missing": self.missing,
            "crashes": [str(crash) for crash in self.crashes],
            "cells": [
                {
                    "parameters": dict(cell.parameters),
                    "runs": cell.runs,
                    "verdicts": {str(verdict): cell.count.get(verdict, 0) for verdict in Verdict},
                    "figures": dict(cell.figures),
                }
                for cell in self.cells
            ],
            "results": None if self.out is None else str(self.out),
        }

    def to_pandas(self) -> "pandas.DataFrame":
        """The rows as a data frame. Raises ImportError with what to install where there is no pandas."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError(f"there is no data frame; {advice(error) or error}") from error
        return pandas.DataFrame(self.rows)

    def plot(self, figure: str, over: str | None = None) -> notebook.Picture:
        """A measured figure of all runs: over a parameter each run as a point and the median as a line; else the share
        of runs that are at or below it, a line a cell.

        Raises ValueError where no run measured it, or there is no such parameter.
        """
        from sim.study.plot import draw  # matplotlib takes its time

        return draw(self, figure, over)

    @cached_property
    def cells(self) -> list[CellSummary]:
        """What the runs of each cell have in common."""
        of_cell: dict[int, list[Row]] = {id(cell): [] for cell in self.plan.cells}
        for result in self.results:
            of_cell[id(result.cell)].append(result.row)
        return [_summary(cell, of_cell[id(cell)]) for cell in self.plan.cells]

    def table(self, cells: Sequence[CellSummary] | None = None) -> tuple[list[str], list[list[str]]]:
        """Heads and lines of the summary: a column a cell; runs, verdicts, and each figure as p50 / p99."""
        cells = self.cells if cells is None else cells
        heads = ["", *("\n".join(f"{key}={value}" for key, value in cell.parameters.items()) for cell in cells)]
        lines = [["runs", *(str(cell.runs) for cell in cells)]]
        lines += [[str(verdict), *(str(cell.count.get(verdict, 0)) for cell in cells)] for verdict in Verdict]
        lines += [
            [f"{name} p50 / p99", *(_percentiles(cell.figures.get(name)) for cell in cells)]
            for name in dict.fromkeys(name for cell in cells for name in cell.figures)
        ]
        return heads, lines

    def _repr_html_(self) -> str:
        heads, lines = self.table()
        head = "".join(f"<th>{html.escape(text).replace(chr(10), '<br/>')}</th>" for text in heads)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in line) + "</tr>" for line in lines)
        bad = "".join(f"<li><code>{html.escape(repr(result))}</code></li>" for result in self.failures[:MAX_NAMED])
        lost = "".join(f"<pre>{html.escape(str(crash))}</pre>" for crash in self.crashes)
        bad = f"<ul>{bad}</ul>" if bad else ""
        return (
            f"<p><b>{html.escape(str(self.plan))}</b>, {len(self.results)} done: <b>{self.verdict}</b></p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{bad}{lost}"
        )

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        return f"<Study {self.plan}, {len(self.results)} done: {self.verdict}>"


def _summary(cell: Cell, rows: Iterable[Row]) -> CellSummary:
    import numpy  # it takes its time, and only summaries want it

    count: Counter[Verdict] = Counter()
    values: dict[str, list[float]] = {}
    for row in rows:
        count[row.verdict] += 1
        for name, value in row.measured.items():
            values.setdefault(name, []).append(math.inf if value is None else value)
    figures = {}
    for name, measured in values.items():
        # Between a number and none there is nothing to interpolate.
        method: Literal["linear", "higher"] = "linear" if max(measured) < math.inf else "higher"
        p50, p99 = numpy.percentile(measured, [50, 99], method=method)
        figures[name] = Figure(runs=len(measured), p50=float(p50), p99=float(p99))
    return CellSummary(parameters=cell.parameters, count=count, figures=figures)


def _percentiles(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return " / ".join("none" if value == math.inf else f"{value:.4g}" for value in (figure.p50, figure.p99))


def how_it_ended(code: int) -> str:
    """What a process's status says: "was ended by SIGABRT"."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
