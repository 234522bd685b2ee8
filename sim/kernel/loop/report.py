"""What is said of a handle or a task: what its callback raised, what it is called, where it was made.

Knows no loop but the one that a handle names. Private names of asyncio's: sim.kernel.cpython. Tests:
tests/sim/kernel/loop/test_loop.py, tests/sim/kernel/test_simulation.py, tests/sim/twins/test_loop.py.
"""

import asyncio
from asyncio import events, format_helpers
from typing import Any, TypeVar

from sim.kernel.loop.handles import IN_CALLBACK
from sim.kernel.waiting import where

__all__ = ["as_made_above", "as_made_outside", "report", "shown"]

_H = TypeVar("_H", bound=events.Handle)
_HIDES_ARGUMENTS = "debug" in (format_helpers._format_callback_source.__kwdefaults__ or ())
"""Whether asyncio shows a callback's arguments in debug mode only, as from 3.13 on."""
_KERNEL = __file__.rpartition("/loop/")[0] + "/"


def report(handle: Any, error: BaseException) -> None:
    """Tell the loop's exception handler what a callback raised, as Handle._run does; sys.exit ends the process."""
    if isinstance(error, SystemExit):
        handle._loop.left(error)
        return
    debug = {"debug": handle._loop._debug} if _HIDES_ARGUMENTS else {}
    called = format_helpers._format_callback_source(handle._callback, handle._args, **debug)
    context = {"message": f"{IN_CALLBACK}{called}", "exception": error, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    try:
        handle._loop.call_exception_handler(context)
    except SystemExit as left:  # in a handler of the program's own
        handle._loop.left(left)


def shown(handle: events.Handle) -> str:
    """The text for a handle: the name of the task, where it is a task's step."""
    task = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
    if not isinstance(task, asyncio.Task):
        return repr(handle)
    return f"{task.get_name()}, which has ended" if task.done() else f"{task.get_name()} in {where(task)}"


def as_made_above(handle: _H) -> _H:
    """In debug mode a handle remembers where it was made: not in the function that asks, but in the one above."""
    trace: Any = handle._source_traceback  # type: ignore[attr-defined]
    if trace:
        del trace[-1]
    return handle


def as_made_outside(task: "asyncio.Task[Any]") -> None:
    """In debug mode a task remembers where it was made: not in the kernel's files."""
    trace: Any = task._source_traceback  # type: ignore[attr-defined]
    while trace and trace[-1].filename.startswith(_KERNEL):
        del trace[-1]
