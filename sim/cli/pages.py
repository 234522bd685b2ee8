"""Writing the page of a run, for the commands that do.

Tests: tests/sim/cli/test_report_and_diff.py, tests/sim/cli/test_terminal.py (full disks).
"""

from pathlib import Path
from typing import Any

from sim.cli.exits import DISK_FULL

__all__ = ["write_page"]


def write_page(directory: Path, result: dict[str, Any], trace: Path) -> Path:
    """The page's file. Raises OSError, whose text says where the disk is full."""
    from sim.report import write_report  # matplotlib takes its time; only who wants a report pays

    try:
        return write_report(directory, result, trace)
    except OSError as error:
        if error.errno in DISK_FULL:
            why = f"{error.strerror}: the page cannot be written; free some space, or give another directory"
            raise OSError(error.errno, why, str(directory)) from error
        raise
