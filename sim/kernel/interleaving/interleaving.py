"""The strategies by name, and one for each node.

Tests: tests/sim/kernel/interleaving/test_interleaving.py.
"""

from collections.abc import Callable
from random import Random

from sim.kernel.interleaving.chooser import Chooser
from sim.kernel.interleaving.pct import PriorityChanges
from sim.kernel.interleaving.pos import PartialOrder
from sim.kernel.interleaving.strategy import RandomWalk, Strategy
from sim.kernel.interleaving.surw import UniformWalk

__all__ = ["FIFO", "INTERLEAVINGS", "MIX", "Interleaving"]

FIFO, MIX = "fifo", "mix"
STRATEGIES: dict[str, type[Strategy]] = {
    "random": RandomWalk,
    "pct": PriorityChanges,
    "pos": PartialOrder,
    "surw": UniformWalk,
}
INTERLEAVINGS = (FIFO, *STRATEGIES, MIX)
"""What a user may ask for."""


class Interleaving:
    """How the tasks of all nodes of one simulation are interleaved. `name` is one of INTERLEAVINGS but fifo.

    Every node has a strategy of its own, with chance of its own: tasks race with tasks of their process, PCT's few
    change points are wanted in each, and what one node does leaves the choices on all others as they are. A node that
    was restarted begins with a new one, and goes on in its chance. Raises ValueError.
    """

    def __init__(self, name: str, seed: int) -> None:
        if name not in (*STRATEGIES, MIX):
            raise ValueError(f"interleaving is one of {', '.join(INTERLEAVINGS)}, not {name!r}")
        self.name = name
        self.strategy = Random(f"{seed}/interleaving").choice(list(STRATEGIES)) if name == MIX else name
        """What it is in this run: `mix` draws one for each seed."""
        self._seed = seed
        self._random: dict[str, Random] = {}

    def chooser(self, node: str, note: Callable[..., object]) -> Chooser:
        """For the loop of that node."""
        random = self._random.setdefault(node, Random(f"{self._seed}/interleaving/{node}"))
        return Chooser(STRATEGIES[self.strategy](random), note)
