"""The command line: its commands, how a shell completes them, and how whatever happens becomes an exit code and a
line.

Tests: tests/sim/cli/test_usage.py, tests/sim/cli/test_completion.py, tests/sim/cli/test_interrupts.py.
"""

import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import metadata
from typing import Literal

from cyclopts import App, CycloptsError
from cyclopts.exceptions import UnusedCliTokensError

from sim.cli import output, terminal
from sim.cli.check import check
from sim.cli.determinism import check_determinism
from sim.cli.diff import diff
from sim.cli.exits import DISK_FULL, HOLDS, INTERNAL, INTERRUPTED, USAGE, UsageError
from sim.cli.listing import listing
from sim.cli.new import new
from sim.cli.report import report
from sim.cli.run import run
from sim.cli.schema import schema
from sim.cli.sweep import sweep
from sim.extras import advice
from sim.paths import Unwritable

__all__ = ["execute", "main"]

app = App(
    name="rpcnet-sim",
    version=lambda: metadata.version("rpcnet"),
    help="Run scenarios on simulated machines, or as processes on real sockets.",
    suppress_keyboard_interrupt=False,  # it would end us without a word
)
for command in (run, sweep, check, report, diff, new, schema):
    app.command(command)
app.command(listing, name="list")
app.command(check_determinism, name="check-determinism")


@app.command
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Write the completion of a shell: `source <(rpcnet-sim completion bash)`.

    Parameters
    ----------
    shell:
        Which one reads it.
    """
    terminal.data(app.generate_completion(shell=shell), plain=True)
    return HOLDS


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
        return code if isinstance(code, int) else 0 if tokens else USAGE
    except BrokenPipeError:
        terminal.unread()
        return 0 if tokens else USAGE
    except UnusedCliTokensError as error:
        output.wrong(f"this is more than the command takes: {' '.join(error.unused_tokens or ())}")
        return USAGE
    except (CycloptsError, UsageError, Unwritable) as error:
        output.wrong(str(error))
        return USAGE
    except KeyboardInterrupt as error:
        output.stopped(error)
        return INTERRUPTED
    except Exception as error:
        return _failed(error)


def _failed(error: Exception) -> int:
    """Say what ended a command; returns its exit code."""
    if isinstance(error, ImportError) and (text := advice(error)):
        output.wrong(text)
        return USAGE
    from sim.backends.program import ProgramError
    from sim.scenario.mistake import ScenarioError
    from sim.study.refusal import SweepError
    from sim.trace import TraceError

    if isinstance(error, SweepError):
        output.wrong(str(error))
        return INTERNAL
    if isinstance(error, ProgramError | TraceError):
        output.wrong(str(error))
        return USAGE
    if isinstance(error, ScenarioError):
        output.mistakes(error.mistakes)
        return USAGE
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        output.wrong(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
    else:
        output.wrong("internal error, please report it:\n" + "".join(traceback.format_exception(error)).rstrip())
    return INTERNAL
