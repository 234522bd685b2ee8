"""What a node's loop makes for its program: futures, tasks and handles.

asyncio's own, with hashes that are the same in every run, and without the detours that a loop in debug mode needs
(there the loop makes asyncio's). Handles use the slots of asyncio's Handle and TimerHandle (sim.kernel.cpython). Tests:
tests/sim/kernel/loop/test_loop.py, tests/sim/kernel/test_determinism.py.
"""

import asyncio
import functools
import sys
from asyncio import events, format_helpers
from collections.abc import Callable
from contextvars import Context
from typing import Any

__all__ = [
    "FINDS_LOOP_FAST",
    "HANDED_OUT",
    "IN_CALLBACK",
    "PRIVATE",
    "Handle",
    "MainTask",
    "NodeFuture",
    "NodeTask",
    "TimerHandle",
    "called",
    "module_of",
]

# A future that no set or dictionary can hold needs no hash of ours and may be asyncio's own class: awaiting one is 1 µs
# faster than awaiting any subclass.
_OF_ASYNCIO = ["base_events", "locks", "queues", "selector_events", "streams", "taskgroups", "tasks"]
PRIVATE = frozenset(["sim.kernel.loop.connections", *(f"asyncio.{each}" for each in _OF_ASYNCIO)])
"""Modules whose futures never reach users; exceptions are …"""
HANDED_OUT: tuple[Any, ...] = (asyncio.shield, asyncio.gather)
"""… the futures that these two return. sim.kernel.patches.asyncio_hashes gives them another module."""

if sys.version_info >= (3, 12):
    module_of: Callable[[int], str | None] = sys._getframemodulename
    """Which module the caller is of, so many calls above; asked for its frame, a coroutine would keep that."""
else:
    _CODES = [each.__code__ for each in HANDED_OUT]

    def module_of(depth: int) -> str | None:
        """Which module the caller is of, so many calls above."""
        frame = sys._getframe(depth + 1)
        return None if frame.f_code in _CODES else frame.f_globals.get("__name__")


FINDS_LOOP_FAST = sys.version_info >= (3, 12)
"""Whether a future finds the running loop faster by itself than it takes one as an argument."""


class NodeFuture(asyncio.Future[Any]):
    """A future whose hash is a number of its loop: sets of futures are walked in the same order in every run.

    It gets the number when it is first put into a set or dictionary, which most futures never are.
    """

    __slots__ = ("_number",)
    _number: int

    def __hash__(self) -> int:
        try:
            return self._number
        except AttributeError:
            self._number = self.get_loop().next_number()  # type: ignore[attr-defined]
            return self._number


class NodeTask(asyncio.Task[Any]):
    """As NodeFuture. It is made by `numbered`: Task's constructor already puts it into a set."""

    __slots__ = ("_number", "made")
    _number: int
    made: tuple[str, int, str]
    """Where in the program: module, line, function."""

    @classmethod
    def numbered(cls, number: int, coroutine: Any, loop: Any, options: Any) -> "NodeTask":
        task = cls.__new__(cls)
        task._number = number
        cls.__init__(task, coroutine, loop=loop, **options)
        return task

    def __hash__(self) -> int:
        return self._number


class MainTask(NodeTask):
    """The task of `node.start`. The code of other nodes, as a test's body, can await, gather and cancel it too.

    asyncio refuses the futures of other loops. So such code is told that the task is of its own loop, and what waits
    for it there is called there.
    """

    __slots__ = ()

    def get_loop(self) -> Any:
        return self._asking() or super().get_loop()

    def _asking(self) -> Any:
        """The loop of the node that runs, where that is another one of the same simulation."""
        own: Any = super().get_loop()
        running: Any = events._get_running_loop()
        return running if running is not own and getattr(running, "simulation", None) is own.simulation else None

    def add_done_callback(self, fn: Callable[[Any], object], /, *, context: Context | None = None) -> None:
        asking = self._asking()
        if asking is None:
            super().add_done_callback(fn, context=context)
        elif self.done():
            asking.call_soon(fn, self, context=context)
        else:
            super().add_done_callback(_Elsewhere(fn, asking, context), context=context)

    def cancel(self, msg: Any = None) -> bool:
        own: Any = super().get_loop()
        if own._dead and events._get_running_loop() is not own:
            return self._give_up(msg)
        if self._asking() is None:
            return super().cancel(msg)
        with own.open_to_all():
            cancelled = super().cancel(msg)
        own.kick()
        return cancelled

    def _give_up(self, msg: Any) -> bool:
        """Its process has ended, so it never will. Nothing of it goes on; who waits for it elsewhere is told."""
        waiting = [callback for callback, _ in self._callbacks or ()]
        for callback in waiting:
            self.remove_done_callback(callback)
        cancelled = asyncio.Future.cancel(self, msg)
        for callback in waiting:
            if isinstance(callback, _Elsewhere):
                callback(self)
        return cancelled


class _Elsewhere:
    """A callback that another node's loop is to call."""

    __slots__ = ("_callback", "_context", "_loop")

    def __init__(self, callback: Any, loop: Any, context: Context | None) -> None:
        self._callback, self._loop, self._context = callback, loop, context

    def __call__(self, task: Any) -> None:
        self._loop.run_soon(events.Handle(self._callback, (task,), self._loop, self._context))

    def __eq__(self, other: object) -> bool:
        """asyncio removes a callback by what it was given."""
        return self is other or bool(self._callback == other)

    __hash__ = None  # type: ignore[assignment]


IN_CALLBACK = "Exception in callback "
"""How asyncio's message begins of what a callback has raised."""


def called(handle: events.Handle) -> str:
    """What a handle calls, without arguments: their texts are cut in the midst, and others in debug mode."""
    callback: Any = handle._callback  # type: ignore[attr-defined]
    while isinstance(callback, functools.partial):
        callback = callback.func
    return format_helpers._format_callback_source(callback, ())


class Handle(events.Handle):
    """A callback that is ready, made empty: `loop.call_soon` sets all the slots. One is made for every step of a task.

    With slots, a constructor of Python's takes as long as all the rest of making one.
    """

    __slots__ = ()
    __init__: Any = object.__init__
    # asyncio's own, which its stubs do not show.
    _context: Context
    _loop: Any
    _callback: Any
    _args: Any
    _repr: Any
    _source_traceback: Any


class TimerHandle(events.TimerHandle):
    """A callback for a later time, made empty too: `loop.call_at` and `call_later` set the slots."""

    __slots__ = ()
    __init__: Any = object.__init__
    _context: Context
    _loop: Any
    _callback: Any
    _args: Any
    _repr: Any
    _source_traceback: Any
    _when: float
    _scheduled: bool

    def cancel(self) -> None:
        if self._cancelled:
            return
        loop = self._loop
        if loop._debug:
            super().cancel()
            return
        self._cancelled = True
        self._callback = self._args = None
        if self._scheduled:
            loop._timer_handle_cancelled(self)


# What asyncio's messages and a task's repr() call them.
NodeFuture.__name__, NodeTask.__name__, MainTask.__name__ = "Future", "Task", "Task"
