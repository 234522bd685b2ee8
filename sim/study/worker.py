"""One process of a sweep: is told which runs to do, does them one after the other, and sends a row of each.

`python -m sim.study.worker FD`: FD is a connection to the sweep. It gets an Order, then batches of tasks, until the
connection ends. It writes no report, and keeps traces where the Order says; else each goes to one temporary file
without a name.

Tests: tests/sim/study/test_sweep.py.
"""

import ctypes
import faulthandler
import os
import signal
import sys
import tempfile
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec

from rpcnet.app import add_working_directory
from sim.scenario.run import Run, run
from sim.scenario.schema import Scenario
from sim.study.messages import Done, Interrupted, Order, Raised
from sim.study.rows import row_of

__all__ = ["serve"]

PR_SET_PDEATHSIG = 1


def serve(connection: Connection) -> None:
    """Answer each task of each batch, in order, until the other end is closed."""
    order: Order = connection.recv()
    scenarios: dict[int, Scenario] = {}
    with tempfile.TemporaryFile(prefix="rpcnet-sweep-") as spool:
        spooled = Path(f"/dev/fd/{spool.fileno()}")
        while True:
            for cell, seed in connection.recv():
                # Only what the last run said is of interest, should it take this process with it.
                sys.stdout.flush()
                os.ftruncate(sys.stderr.fileno(), 0)
                began = time.monotonic()
                try:
                    if cell not in scenarios:
                        scenarios = {cell: order.cells[cell].scenario()}
                    found = run(
                        scenarios[cell],
                        seed=seed,
                        trace=spooled if order.traces is None else trace_of(order.traces, seed),
                        defects=order.defects,
                        wall_limit=order.wall_limit,
                    )
                    seconds = time.monotonic() - began
                    result: bytes | Run = found
                    if order.traces is None:
                        result = msgspec.json.encode(row_of(found, order.cells[cell].parameters, round(seconds, 6)))
                except KeyboardInterrupt as error:
                    connection.send(Interrupted(str(error)))
                    return
                except Exception as error:
                    connection.send(Raised(f"{type(error).__name__}: {error}", traceback.format_exc()))
                else:
                    connection.send(Done(result, seconds))


def trace_of(directory: Path, seed: int) -> Path:
    """Where the trace of a run is kept."""
    return directory / f"seed-{seed}" / "trace.msgpack"


def main() -> None:
    """The process."""
    faulthandler.enable()
    _end_with_the_sweep()
    add_working_directory()
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        # The sweep is over, or gone; nobody is there to hear of it.
        return


def _end_with_the_sweep() -> None:
    """Where the sweep is killed in the middle of a run that never ends, nobody else would end us (Linux, prctl(2))."""
    if prctl := getattr(ctypes.CDLL(None), "prctl", None):
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
