"""Writing the page of a run, and the overview of a sweep, for the commands that do.

Tests: tests/sim/cli/test_report_and_diff.py, tests/sim/cli/test_terminal.py (full disks),
tests/sim/cli/test_sweep_report.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sim.cli.exits import DISK_FULL, UsageError
from sim.paths import writable_directory

if TYPE_CHECKING:
    from sim.study import Study

__all__ = ["MAX_PAGES", "STUDY", "writable_page", "write_overview", "write_page"]

PAGE, STUDY = "index.html", "study.json"
MAX_PAGES = 10
"""Runs of a sweep that do not hold and get a page of their own; each is run again for it."""


def writable_page(option: str, directory: Path, beside: str) -> None:
    """That a page can be written there, beside a file of that name. Raises UsageError where another page lies there."""
    writable_directory(option, directory)
    if (directory / PAGE).exists() and not (directory / beside).exists():
        raise UsageError(f"{option} {directory}: the {PAGE} in it is of no report, and is left alone; name another one")


def write_page(directory: Path, result: dict[str, Any], trace: Path) -> Path:
    """The page's file. Raises OSError, whose text says where the disk is full."""
    from sim.report import write_report  # matplotlib takes its time; only who wants a report pays

    with _told_of_a_full_disk(directory):
        return write_report(directory, result, trace)


def write_overview(directory: Path, found: "Study", command: str) -> Path:
    """The page of a sweep, study.json beside it, and the pages of the first runs that do not hold. Raises OSError."""
    import msgspec

    from sim.report import render_overview

    cells = {id(cell): number for number, cell in enumerate(found.plan.cells, 1)}
    results: list[dict[str, Any]] = []
    pages = 0
    with _told_of_a_full_disk(directory):
        for result in found.results:
            row = result.to_json()
            if result.verdict != "holds" and pages < MAX_PAGES:
                pages += 1
                name = f"seed-{result.seed}"
                name = f"cell-{cells[id(result.cell)]}-{name}" if len(cells) > 1 else name
                (directory / name).mkdir(parents=True, exist_ok=True)
                again = result.replay(directory / name / "trace.msgpack")
                write_page(directory / name, again.result() | {"report": PAGE}, again.trace.path)
                row["page"] = f"{name}/{PAGE}"
            results.append(row)
        told = found.to_json()
        (directory / STUDY).write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
        page = directory / PAGE
        # Figures that never happened are null there, as in every other result.
        study = msgspec.json.decode(msgspec.json.encode(told))
        summary = found.plan.scenario.summary
        page.write_text(render_overview(study, results, command=command, summary=summary), encoding="utf-8")
    return page


@contextmanager
def _told_of_a_full_disk(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL and "the page cannot be written" not in str(error):
            why = f"{error.strerror}: the page cannot be written; free some space, or give another directory"
            raise OSError(error.errno, why, str(directory)) from error
        raise
