"""`rpcnet-sim sweep`: one file over many seeds and its whole matrix. What a sweep is, is in sim.study.

Tests: tests/sim/study/test_sweep.py.
"""

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sim.cli import output, terminal
from sim.cli.arguments import Defects, Flag, Interleaving, Seeds, Settings, WallLimit, Whole, wall_seconds
from sim.cli.exits import CODES, HOLDS, INTERNAL, INTERRUPTED, UsageError
from sim.cli.pages import STUDY, writable_page, write_overview
from sim.paths import writable_file

__all__ = ["sweep"]


def sweep(
    file: Path,
    /,
    *,
    seeds: Seeds = None,
    plan: Annotated[bool, Flag, Parameter(help="Say how many runs this is; run nothing.")] = False,
    jobs: Annotated[int | None, Whole, Parameter(help="Processes; left out = one a core.")] = None,
    report: Annotated[
        Path | None, Parameter(help="Directory for an overview, and the pages of the first runs that do not hold.")
    ] = None,
    out: Annotated[Path | None, Parameter(help="Keeps each result as it comes; left out = in reports/sweeps.")] = None,
    settings: Settings = [],  # noqa: B006 - cyclopts wants a list, nobody changes it
    defects: Defects = [],  # noqa: B006
    interleaving: Interleaving = None,
    wall_limit: WallLimit = None,
    json: Annotated[bool, Flag, Parameter(help="One object a run, one a line; the last one has the figures.")] = False,
) -> int:
    """Run a file with many seeds and its whole [sweep.matrix]; the same command goes on where it was interrupted.

    Parameters
    ----------
    file:
        A scenario file (TOML).
    """
    from rpcnet.app import add_working_directory
    from sim import study

    limit = wall_seconds(wall_limit)
    add_working_directory()
    scenario = study.load_to_sweep(str(file), settings)
    options = {
        "--seeds": seeds,
        "--jobs": jobs,
        "--out": out,
        "--report": report,
        "--interleaving": interleaving,
        "--wall-limit": wall_limit,
    }
    words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
    words += [word for setting in settings for word in ("--set", setting)]
    words += [word for name in defects for word in ("--defect", name)]
    again = shlex.join(["rpcnet-sim", "sweep", str(file), *words])
    kept = out
    try:
        wanted = study.plan(scenario, seeds=seeds, defects=defects, interleaving=interleaving)
        kept = out or study.default_out(wanted)
        if plan:
            left = study.remaining(wanted, kept)
            if json:
                terminal.object_(wanted.to_json() | {"remaining": left, "results": str(kept)})
            else:
                output.plan(wanted, left, str(kept))
            return HOLDS
        writable_file("--out", kept)
        if report is not None:
            writable_page("--report", report, beside=STUDY)
        with terminal.progress(f"{scenario.name} (sim)", len(wanted)) as advance:
            found = study.carry_out(wanted, jobs=jobs, out=kept, advance=advance, wall_limit=limit)
    except study.Refused as error:
        raise UsageError(str(error)) from error
    except study.SweepError as error:
        output.wrong(str(error))
        output.note(f"run what is missing: {again}")
        return INTERNAL
    except KeyboardInterrupt as error:
        output.stopped(error)
        if kept:
            output.note(f"what is done is kept in {kept}, the same command goes on from there")
        return INTERRUPTED
    page = None if report is None else write_overview(report, found, again)
    try:
        if json:
            for result in found.results:
                terminal.object_(result.to_json())
            terminal.object_(found.to_json())
        else:
            output.study(found, again)
            if page is not None:
                output.line(f"report: {page}")
    except BrokenPipeError:
        terminal.unread()
    for crash in found.crashes:
        output.wrong(str(crash))
    return INTERNAL if found.crashes else CODES[found.verdict]
