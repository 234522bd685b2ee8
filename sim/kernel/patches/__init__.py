"""What is swapped in the process so that programs on simulated machines are answered from the simulation.

All of it by `install`, which each simulation calls; `undo` puts everything back. Importing swaps nothing. Code
that runs outside of nodes, and other threads, go on getting the real thing. Knows no simulation, only the node that
runs (sim.kernel.running). Tests: tests/sim/kernel/patches, of these two test_undo.py.
"""

from sim.kernel.cpython import warn_if_untried
from sim.kernel.patches import (
    aiodns,
    asyncio_hashes,
    clock_and_random,
    descriptors,
    full_collection,
    never_awaited,
    other_loops,
    polling,
    real_clients,
    rebind,
    signals,
    socket_module,
    threads,
    tls_sockets,
    unix_files,
)

__all__ = ["install", "undo"]

_installed = False


def install() -> None:
    """Let clocks, randomness, sockets and signals answer from a simulation to code on its nodes; once a process.

    What is imported before it has captured the real ones, of which nearly all are found. On a version of Python that
    sim was not tried on, a RuntimeWarning names what is missing. Called again, it puts again what others have put back.
    """
    global _installed
    if _installed:
        rebind.renew()
        return
    _installed = True
    warn_if_untried()
    for part in (clock_and_random, socket_module, tls_sockets, never_awaited, other_loops, signals, asyncio_hashes):
        part.install()
    for part in (descriptors, polling, unix_files, full_collection, threads, real_clients, aiodns):
        part.install()
    rebind.rebind()


def undo() -> None:
    """Put everything back as it was before `install`. Simulations that exist cannot be run any more; new ones can."""
    global _installed
    if _installed:
        _installed = False
        rebind.undo()
