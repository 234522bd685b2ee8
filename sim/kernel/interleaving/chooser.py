"""What is ready on one node, and which of it goes next.

A step may be passed over often, else no task would ever starve, and bugs that need it would stay hidden; but not for
ever, as a program that polls with `sleep(0)` has to end. Knows no loop, which runs what is chosen. Tests:
tests/sim/kernel/interleaving/test_chooser.py.
"""

from asyncio import Task
from collections import deque
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from sim.kernel.interleaving.steps import TOLD, Step, Thread, task_of
from sim.kernel.interleaving.strategy import Strategy
from sim.kernel.waiting import line

__all__ = ["MAX_PASSED_OVER", "Chooser", "InOrder"]

MAX_PASSED_OVER = 100
"""A step is due when so many steps have run before it for each that is waiting."""
CALLBACKS = "callbacks"


class Chooser:
    """The ready callbacks of a node's loop. `note` is told of each choice that is not the one of fifo."""

    def __init__(self, strategy: Strategy, note: Callable[..., object]) -> None:
        self._strategy = strategy
        self._note = note
        self._steps: list[Step] = []
        """Those that may be chosen: of each task, and the first plain callback; those that are ready longest first."""
        self._callbacks: deque[Any] = deque()
        """The handles of all plain callbacks but the first one, and of wake-ups that must not overtake them."""
        self._callback: Step | None = None
        """The first plain callback."""
        self._threads: WeakKeyDictionary[Task[Any], Thread] = WeakKeyDictionary()
        self._plain = strategy.begin(CALLBACKS)
        self._taken = 0
        self._step: Step | None = None
        """Which was taken last."""

    def __len__(self) -> int:
        return len(self._steps) + len(self._callbacks)

    def add(self, handles: list[Any]) -> None:
        """These have become ready, in this order."""
        for handle in handles:
            task = task_of(handle._callback)
            if task is not None and not self._follows_a_callback(handle):
                self._offer_task(handle, task)
            elif self._callback is None:
                self._callback = self._offer(Step(handle, None, self._plain, self._taken))
            else:
                self._callbacks.append(handle)

    def _follows_a_callback(self, wake_up: Any) -> bool:
        """Whether a callback that was added to the same future earlier has not run yet.

        A future's callbacks run in the order in which they were added, and asyncio counts on it: what ends
        `loop.sock_connect` runs before the task that waited for it. They become ready one behind the other.
        """
        before = self._callbacks[-1] if self._callbacks else self._callback and self._callback.handle
        return bool(before and before._args and wake_up._args and before._args[0] is wake_up._args[0])

    def _offer_task(self, handle: Any, task: "Task[Any]") -> None:
        thread = self._threads.get(task)
        if thread is None:
            thread = self._threads[task] = self._strategy.begin(_origin(task))
        self._offer(Step(handle, task, thread, self._taken))

    def _offer(self, step: Step) -> Step:
        self._strategy.add(step)
        self._steps.append(step)
        return step

    def take(self) -> Any:
        """The handle that goes next; there must be one. `ran` is to be called when it has run."""
        steps = self._steps
        step = steps[0]
        if len(steps) > 1:
            if self._taken - step.since > MAX_PASSED_OVER * len(steps):
                self._strategy.overdue(step)
            else:
                step = self._strategy.choose(steps)
                if step is not steps[0]:
                    (name, place), (passed, passed_place) = _told(step), _told(steps[0])
                    self._note("chosen", task=name, step=place, passed=passed, passed_step=passed_place)
        steps.remove(step)
        self._taken += 1
        step.thread.steps += 1
        if step is self._callback:
            self._callback = None
            while self._callbacks and self._callback is None:
                handle = self._callbacks.popleft()
                task = task_of(handle._callback)
                if task is not None:
                    self._offer_task(handle, task)
                else:
                    self._callback = self._offer(Step(handle, None, self._plain, self._taken))
        self._step = step
        return step.handle

    def ran(self) -> None:
        if self._step is not None:
            self._strategy.ran(self._step)
            self._step = None  # it holds its task

    def give_back(self) -> list[Any]:
        """The handles of all that is left, which is ready no longer; plain callbacks are in their order."""
        left = [step.handle for step in self._steps]
        left += self._callbacks
        self._steps.clear()
        self._callbacks.clear()
        self._callback = None
        return left


class InOrder:
    """As a Chooser, where nothing is chosen: first come, first served."""

    def __init__(self) -> None:
        self._handles: deque[Any] = deque()

    def __len__(self) -> int:
        return len(self._handles)

    def add(self, handles: list[Any]) -> None:
        self._handles += handles

    def take(self) -> Any:
        return self._handles.popleft()

    def ran(self) -> None:
        """Nothing is counted."""

    def give_back(self) -> list[Any]:
        left = list(self._handles)
        self._handles.clear()
        return left


def _origin(task: "Task[Any]") -> str:
    return getattr(task.get_coro(), "__qualname__", "") or type(task.get_coro()).__name__


def _told(step: Step) -> tuple[str, str]:
    """A step as a reader of the trace wants it: the task's name, and where it goes on."""
    if step.task is not None:
        return step.task.get_name(), line(step.task)
    callback = step.handle._callback
    if (told := TOLD.get(getattr(callback, "__func__", None))) is not None:
        return "a thread", told(callback.__self__, step.handle)
    return "a callback", getattr(callback, "__qualname__", type(callback).__name__)
