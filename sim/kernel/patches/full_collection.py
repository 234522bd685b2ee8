"""`gc.collect()` on a node collects everything, also what a simulation has put aside.

While it runs, automatic collection is off, and what has lived for long is frozen (sim.kernel.simulation), so that ten
thousand nodes are not looked at again and again. A program that asks for a full collection wants to see what it has let
go of collected, as tests with weak references do. Knows no node.

Tests: tests/sim/kernel/patches/test_full_collection.py.
"""

import gc
from typing import Any

from sim.kernel.patches import rebind
from sim.kernel.running import on_a_node

__all__ = ["install"]


def install() -> None:
    """sim.kernel.patches calls it."""
    real = gc.collect

    def collect(_: Any, generation: int = 2) -> int:
        if generation == 2:
            gc.unfreeze()
        return real(generation)

    rebind.replace(gc, "collect", on_a_node(real, collect))
