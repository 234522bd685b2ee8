"""What a strategy chooses among: the next steps of tasks, and the first of the plain callbacks.

asyncio promises that callbacks run in the order of `call_soon`; of tasks it promises nothing. So a node's plain
callbacks are taken as one thread, whose next step is the first of them, and each task as another. How a step of a task
is told from a callback is asyncio's affair: sim.kernel.cpython. Tests: tests/sim/kernel/interleaving/test_steps.py.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from sim.kernel.cpython import TASK_STEP_TYPE, TASK_STEPS

__all__ = ["TOLD", "Step", "Thread", "task_of"]

_TASKS = (asyncio.Task, asyncio.tasks._PyTask)  # type: ignore[attr-defined]
"""That of C code and that of Python code, which a task factory may use."""

TOLD: dict[Any, Callable[[Any, Any], str]] = {}
"""By a method of the kernel's own that is a callback: what of the program it runs, given its object and its handle."""


def task_of(callback: Any) -> "asyncio.Task[Any] | None":
    """The task of which this callback is a step; None for any other callback, `task.cancel` too."""
    task = getattr(callback, "__self__", None)
    if not isinstance(task, _TASKS):
        return None
    is_step: bool = type(callback).__name__ == TASK_STEP_TYPE or getattr(callback, "__name__", "") in TASK_STEPS
    return task if is_step else None


class Thread:
    """What a strategy remembers of a task from step to step, or of all plain callbacks of a node together."""

    __slots__ = ("__weakref__", "origin", "priority", "steps")

    def __init__(self, origin: str, priority: float) -> None:
        self.origin = origin
        """The coroutine's name: tasks of the same origin run the same code."""
        self.priority = priority
        self.steps = 0
        """Taken so far."""


class Step:
    """One callback that is ready."""

    __slots__ = ("handle", "priority", "shared", "since", "task", "thread")

    def __init__(self, handle: Any, task: "asyncio.Task[Any] | None", thread: Thread, since: int) -> None:
        self.handle = handle
        self.task = task
        """None = a plain callback."""
        self.thread = thread
        self.since = since
        """How many steps its node had run when this one could be chosen first."""
        self.priority = 0.0
        self.shared: frozenset[int] | None = None
        """What it may touch, once somebody has asked (sim.kernel.interleaving.pos)."""
