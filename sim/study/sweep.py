"""A sweep: what a plan lists is run on all cores, each result is kept as it comes, and a Study is made of them.

The same sweep with the same file goes on where it was interrupted, and ends with the same rows.

Tests: tests/sim/study/test_sweep.py.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from sim.study.plan import Plan
from sim.study.pool import lines, processes
from sim.study.refusal import Refused
from sim.study.results import Results, header_of, key_of
from sim.study.rows import Crash, Result, Row, Study

__all__ = ["carry_out", "default_out", "remaining"]


def carry_out(
    wanted: Plan,
    *,
    jobs: int | None = None,
    out: str | Path | None = None,
    advance: Callable[[], None] | None = None,
    wall_limit: float | None = None,
) -> Study:
    """Run what is not in the file yet. `advance` is called for each run, those that were there before included.

    `wall_limit` is how many real seconds each may take; one that takes longer fails.
    """
    if wall_limit is not None and not wall_limit > 0:
        raise Refused(f"wall_limit is real seconds above 0, not {wall_limit!r}")
    jobs = processes(jobs)
    results = None if out is None else Results(Path(out), header_of(wanted))
    crashes: list[Crash] = []
    try:
        found = _Found(wanted, [] if results is None else results.rows)
        for _ in range(len(found.rows) if advance else 0):
            advance()  # type: ignore[misc]
        tasks = found.missing()
        running = lines(wanted, tasks, min(jobs, len(tasks)), wall_limit)
        try:
            for line in running:
                if isinstance(line, Crash):
                    crashes.append(line)
                else:
                    if results is not None:
                        results.append(line)
                    found.add(msgspec.json.decode(line, type=Row))
                if advance:
                    advance()
        finally:
            running.close()  # type: ignore[attr-defined]
    finally:
        if results is not None:
            results.close()
    return Study(
        plan=wanted, results=found.results(wall_limit), crashes=crashes, out=None if out is None else Path(out)
    )


def remaining(wanted: Plan, out: Path) -> int:
    """How many runs the file does not hold yet. Raises Refused where it belongs to something else."""
    if not out.exists():
        return len(wanted)
    results = Results(out, header_of(wanted))
    results.close()
    return len(_Found(wanted, results.rows).missing())


def default_out(wanted: Plan) -> Path:
    """Where the command keeps results that were given no place: one file for each scenario, matrix and code."""
    return Path("reports", "sweeps", f"{wanted.scenario.name}-{header_of(wanted).short}.jsonl")


class _Found:
    """What is known of a plan's runs."""

    def __init__(self, wanted: Plan, rows: Iterable[Row]) -> None:
        self._plan = wanted
        self._of_cell = [msgspec.json.encode(dict(cell.parameters)) for cell in wanted.cells]
        asked = {(self._of_cell[cell], seed) for cell, seed in wanted.tasks()}
        self.rows = {key: row for row in rows if (key := key_of(row)) in asked}

    def add(self, row: Row) -> None:
        self.rows[key_of(row)] = row

    def missing(self) -> list[tuple[int, int]]:
        return [(cell, seed) for cell, seed in self._plan.tasks() if (self._of_cell[cell], seed) not in self.rows]

    def results(self, wall_limit: float | None) -> list[Result]:
        """In the order of the plan."""
        keys = ((cell, (self._of_cell[cell], seed)) for cell, seed in self._plan.tasks())
        return [
            Result(row=self.rows[key], cell=self._plan.cells[cell], defects=self._plan.defects, wall_limit=wall_limit)
            for cell, key in keys
            if key in self.rows
        ]
