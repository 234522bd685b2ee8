"""The `rpcnet-sim` command: what its commands are called, what they take, what --help says of them.

What they do, and which exit code says what, is in sim.commands. That is loaded when a command is given: it takes much
longer than all that --help needs.
"""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

__all__ = ["main"]

app = App(
    name="rpcnet-sim",
    help="Run scenarios on simulated machines, or as processes on real sockets.",
    suppress_keyboard_interrupt=False,  # it would end us without a word
)

Settings = Annotated[
    list[str],
    Parameter(name="--set", negative=(), help="KEY=VALUE changes the file: node.worker.count=50, network.loss=5%."),
]
Seeds = Annotated[str | None, Parameter(help="A:B runs every seed from A to B, both ends included.")]
Flag = Parameter(negative=())


def main(tokens: Sequence[str] | None = None) -> None:
    """The console script."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that has no ✓ gets \u2713, not an error.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(execute(sys.argv[1:] if tokens is None else tokens))


def execute(tokens: Sequence[str]) -> int:
    """Run one command line; returns its exit code."""
    from sim import terminal

    try:
        code = app(
            list(tokens),
            console=terminal.help_(),
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
        # Without a command cyclopts shows the help: nothing was done, so nothing holds, and the usage was wrong.
        return code if isinstance(code, int) else 0 if tokens else 2
    except BrokenPipeError:
        terminal.unread()
        return 0 if tokens else 2
    except (Exception, KeyboardInterrupt) as error:
        from sim import commands

        return commands.failed(error)


@app.command
def run(
    *files: str,
    seed: Annotated[int | None, Parameter(help="Instead of the file's.")] = None,
    seeds: Seeds = None,
    backend: Annotated[Literal["sim", "sockets"], Parameter(help="Virtual time, or real processes.")] = "sim",
    slack: Annotated[float, Parameter(help="Widens within and max on sockets: machines are noisy.")] = 3.0,
    report: Annotated[Path | None, Parameter(help="Directory for the page, result.json and the trace.")] = None,
    trace: Annotated[Path | None, Parameter(help="File for the trace of a single run.")] = None,
    settings: Settings = [],  # noqa: B006 - cyclopts wants a list, nobody changes it
    defect: Annotated[list[str], Parameter(negative=(), help="Switch on a defect, by name.")] = [],  # noqa: B006
    json: Annotated[bool, Flag, Parameter(help="One object a run, one a line.")] = False,
) -> int:
    """Run scenario files and say whether what they expect holds.

    Parameters
    ----------
    files:
        Scenario files (TOML).
    """
    from sim import commands

    return commands.run(
        files,
        seed=seed,
        seeds=seeds,
        backend=backend,
        slack=slack,
        report=report,
        trace=trace,
        settings=settings,
        defect=defect,
        json=json,
    )


@app.command
def sweep(
    file: str,
    /,
    *,
    seeds: Seeds = None,
    plan: Annotated[bool, Flag, Parameter(help="Say how many runs this is; run nothing.")] = False,
    jobs: Annotated[int | None, Parameter(help="Processes; left out = one a core.")] = None,
    out: Annotated[Path | None, Parameter(help="Keeps each result as it comes; left out = in reports/sweeps.")] = None,
    settings: Settings = [],  # noqa: B006
    defect: Annotated[list[str], Parameter(negative=(), help="Switch on a defect, by name.")] = [],  # noqa: B006
) -> int:
    """Run a file with many seeds and its whole [sweep.matrix]; the same command goes on where it was interrupted.

    Parameters
    ----------
    file:
        A scenario file (TOML).
    """
    from sim import commands

    return commands.sweep(file, seeds=seeds, plan=plan, jobs=jobs, out=out, settings=settings, defect=defect)


@app.command
def check(*files: str, settings: Settings = []) -> int:  # noqa: B006
    """Read scenario files, import what they name, say what is wrong; run nothing.

    Parameters
    ----------
    files:
        Scenario files (TOML).
    """
    from sim import commands

    return commands.check(files, settings)


@app.command
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
    from sim import commands

    return commands.report(trace, out=out, json=json)


@app.command(name="list")
def list_() -> int:
    """List what there is to run: the scenarios in `scenarios/`, and the defects that `--defect` knows."""
    from sim import commands

    return commands.list_()


@app.command
def diff(one: Path, other: Path, /) -> int:
    """Name the first event that differs between two traces, and what led to it; exit code 0 = none, 1 = one.

    Parameters
    ----------
    one:
        A trace file, or the directory of a report.
    other:
        The one to compare it with.
    """
    from sim import commands

    return commands.diff(one, other)


@app.command(name="check-determinism")
def check_determinism(*files: str, seeds: Seeds = None, settings: Settings = []) -> int:  # noqa: B006
    """Run each seed in two processes that differ in what must not matter; name the first event that differs, and why.

    Parameters
    ----------
    files:
        Scenario files (TOML).
    """
    from sim import commands

    return commands.check_determinism(files, seeds=seeds, settings=settings)


if __name__ == "__main__":
    main()
