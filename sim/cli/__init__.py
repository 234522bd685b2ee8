"""The `rpcnet-sim` command: a file a command, which says once what it takes and does it.

All that is printed is in output, on the streams of terminal. A command loads what it needs when it runs: --help and
completion load nothing of the simulator.

Tests: tests/sim/cli.
"""

from sim.cli.main import execute, main

__all__ = ["execute", "main"]
