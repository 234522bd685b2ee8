"""`rpcnet-sim report`: the page of a run again, from its trace; or its events.

Tests: tests/sim/cli/test_report_and_diff.py.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from sim.cli import output
from sim.cli.arguments import RESULT, TRACE, Flag, demand_trace
from sim.cli.exits import HOLDS, UsageError
from sim.cli.pages import write_page
from sim.paths import writable_directory

__all__ = ["report"]


def report(
    trace: Path,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="Directory for the page; left out = beside the trace.")] = None,
    json: Annotated[bool, Flag, Parameter(help="Print every event instead, one JSON object a line.")] = False,
) -> int:
    """Write the page of a run again, from its trace; or print its events.

    Parameters
    ----------
    trace:
        A trace file, or the directory that a report was written to.
    """
    import msgspec

    from sim.trace import export, read

    file = demand_trace(trace)
    if json:
        export(read(file), sys.stdout)
        return HOLDS
    beside = file.parent / RESULT
    result: dict[str, Any] = {}
    if file.name == TRACE and beside.is_file():
        from sim.report.result import read_result

        try:
            result = read_result(beside.read_bytes())
        except msgspec.DecodeError as error:
            raise UsageError(f"{beside} is no result of a run: {error}") from error
    next(read(file), None)  # what is no trace is refused before anything is written
    directory = out or (file.parent if file.name == TRACE else file.with_name(f"{file.stem}-report"))
    output.line(str(write_page(writable_directory("--out", directory), result, file)))
    return HOLDS
