"""What asyncio itself makes in the place of a loop's futures: it gets hashes that are the same in every run.

`gather()` makes a future of its own class, and `shield()` and `gather()` hand out futures that the loop would take for
asyncio's private ones (sim.kernel.loop.handles). Knows no node. Tests: tests/sim/kernel/loop/test_loop.py,
tests/sim/kernel/test_determinism.py.
"""

import asyncio
import sys
from asyncio import events
from collections.abc import Callable
from typing import Any

from sim.kernel.loop.handles import HANDED_OUT, MainTask
from sim.kernel.patches import rebind

__all__ = ["install"]


def install() -> None:
    """sim.kernel.patches calls it."""
    rebind.replace(asyncio.tasks, "all_tasks", _all_tasks(asyncio.all_tasks))
    gathering: Any = asyncio.tasks._GatheringFuture  # type: ignore[attr-defined]
    rebind.put(gathering, "__hash__", _hash)
    if sys.version_info >= (3, 12):
        for each in HANDED_OUT:
            # It is what sys._getframemodulename answers, and where all import these two from.
            rebind.put(each, "__module__", "asyncio")


def _all_tasks(real: Callable[..., set[Any]]) -> Callable[..., set[Any]]:
    """A task of `node.start` says of which loop it is according to who asks, and here each node has its own."""

    def all_tasks(loop: Any = None) -> set[Any]:
        found: set[Any] = real(loop)
        asked: Any = events._get_running_loop() if loop is None else loop
        if not hasattr(type(asked), "tasks"):  # a mock of a loop has any attribute itself
            return found
        own = (task for task in asked.tasks() if isinstance(task, MainTask))
        return {task for task in found if not isinstance(task, MainTask)}.union(own)

    return all_tasks


def _hash(self: Any) -> int:
    """As NodeFuture's, where its loop is a node's."""
    try:
        return self._number  # type: ignore[no-any-return]
    except AttributeError:
        next_number = getattr(self.get_loop(), "next_number", None)
        self._number = object.__hash__(self) if next_number is None else next_number()
        return self._number  # type: ignore[no-any-return]
