"""Coroutines that a node's code made and let go, heard of where Python warns of them.

Python warns as before. Knows of a node its loop and its simulation's list of leaks. Tests:
tests/sim/kernel/test_simulation.py.
"""

import warnings
from typing import Any

from sim.kernel.leaks import Leak, made_here, place
from sim.kernel.patches import rebind
from sim.kernel.running import running

__all__ = ["install"]


def install() -> None:
    """sim.kernel.patches calls it."""
    warn: Any = getattr(warnings, "_warn_unawaited_coroutine", None)  # C calls it by this name
    if warn is None:
        return

    def heard(coroutine: Any) -> None:
        _record(coroutine)
        warn(coroutine)

    rebind.put(warnings, "_warn_unawaited_coroutine", heard)


def _record(coroutine: Any) -> None:
    """A leak, recorded at once."""
    node: Any = running()
    if node is None or node.loop._dead:
        return
    # Most are let go on the line that made them.
    where = place(made_here(), "let go")
    leak = Leak(node.name, "coroutine", f"{coroutine.__qualname__} was never awaited", where)
    node.record("leak", kind=leak.kind, what=leak.what, where=leak.where)
    node.simulation.leaks.append(leak)
