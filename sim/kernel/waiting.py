"""Where a task waits, and for what, as far as its chain of awaits tells.

For people: Deadlock, Livelock and `simulation.tasks()` say it. Reads frames of suspended coroutines and asyncio's own
objects in them; where a name of asyncio's is not there any more, less is said.

The names of asyncio's that it reads, local variables too, are listed in sim.kernel.cpython. Tests:
tests/sim/kernel/test_waiting.py.
"""

import asyncio
import gc
import os
import re
from collections.abc import Iterable, Iterator
from types import AsyncGeneratorType, CodeType, FrameType
from typing import Any

__all__ = ["chain", "is_woken", "line", "waits_for", "where"]

_FRAMES = ("cr_frame", "gi_frame", "ag_frame")
_INNER = ("cr_await", "gi_yieldfrom", "ag_await")
_STEPS = ("async_generator_asend", "async_generator_athrow")
_ASYNCIO = os.path.dirname(asyncio.__file__)
_LIBRARIES = (_ASYNCIO, os.path.dirname(__file__))
_NODE = os.path.join(os.path.dirname(__file__), "node.py")
_EXECUTOR = os.path.join(os.path.dirname(__file__), "executor.py")
_ADDRESS = r"^<(?:\w+\.)*(\w+) object at 0x[0-9a-f]+ ?(.*)>$"
MAX_NAMED = 5
"""Tasks of a group, gather or wait that are named."""


def where(task: asyncio.Task[Any]) -> str:
    """The line at which a task waits: its own innermost one, what of asyncio it waits in, and for what."""
    own, inner = _innermost(task)
    if inner is None:
        return "its end" if task.done() else "an unknown place"
    shown = own or inner
    if shown.f_code.co_filename == _EXECUTOR:  # the program's are the threads, which are told of beside
        return "asyncio's shutdown_default_executor, for functions that run in threads"
    text = f"{shown.f_code.co_name} ({shown.f_code.co_filename}:{shown.f_lineno})"
    if own is not None and own is not inner:
        text += f", in asyncio's {inner.f_code.co_name}"
    if own is None and (code := _to_begin(task)) is not None:
        text = f"{code.co_name} ({code.co_filename}:{code.co_firstlineno}), before its first line"
    wanted = waits_for(task)
    return f"{text}, for {wanted}" if wanted else text


def line(task: asyncio.Task[Any]) -> str:
    """As `where`, in short: the function, the file without its path, the line."""
    own, inner = _innermost(task)
    frame = own or inner
    if frame is None:
        return "its end"
    if own is None and (code := _to_begin(task)) is not None:
        return f"{code.co_name} ({os.path.basename(code.co_filename)}:{code.co_firstlineno})"
    return f"{frame.f_code.co_name} ({os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno})"


def _innermost(task: asyncio.Task[Any]) -> tuple[FrameType | None, FrameType | None]:
    """The frame of its own in which it waits, and that of anybody."""
    own, inner = None, None
    for frame in _frames(task.get_coro()):
        inner = frame
        if not frame.f_code.co_filename.startswith(_LIBRARIES):
            own = frame
    return own, inner


def _to_begin(task: asyncio.Task[Any]) -> CodeType | None:
    """The program's function that a main is to call (sim.kernel.node), and has not yet."""
    mains = (frame.f_locals.get("main") for frame in _frames(task.get_coro()) if frame.f_code.co_filename == _NODE)
    main = next((main for main in mains if main is not None), None)
    while (inner := getattr(main, "__wrapped__", None) or getattr(main, "func", None)) is not None:
        main = inner  # of a partial, of what functools.wraps
    kind: Any = type(main)
    for owner in (main, kind.__call__ if callable(main) else None):
        code = getattr(owner, "__code__", None) or getattr(owner, "cr_code", None)
        if isinstance(code, CodeType):
            return code
    return None


def is_woken(task: asyncio.Task[Any]) -> bool:
    """Whether what it waits for has come, and it has not run since."""
    future: Any = getattr(task, "_fut_waiter", None)
    return future is not None and future.done()


def waits_for(task: asyncio.Task[Any]) -> str:
    """A task, an event, a lock, a queue, a stream, a time, a future; empty where it only waits for its next turn."""
    future: Any = getattr(task, "_fut_waiter", None)
    if future is None:
        return ""
    children = getattr(future, "_children", None)
    if children:
        return _tasks(children)
    frames = [frame for frame in _frames(task.get_coro()) if frame.f_code.co_filename.startswith(_ASYNCIO)]
    # The innermost that says something: what waits in a condition waits in its lock. But what a queue and a barrier
    # wait in is their own affair.
    frames.sort(key=lambda frame: isinstance(frame.f_locals.get("self"), asyncio.Queue | asyncio.Barrier))
    said = (text for frame in reversed(frames) if (text := _of_asyncio(frame)))
    if isinstance(future, asyncio.Task):
        return f"task {future.get_name()}"
    return next(said, None) or ("a future" if future.done() else "a future that has no result")


def _frames(coroutine: Any) -> Iterator[FrameType]:
    """Of a suspended coroutine and all that it waits in, outermost first."""
    for each in chain(coroutine):
        frame = next((f for f in (getattr(each, name, None) for name in _FRAMES) if f is not None), None)
        if frame is not None:
            yield frame


def chain(coroutine: Any) -> Iterator[Any]:
    """A suspended coroutine and all that it waits in, outermost first; what ends it, a future say, too."""
    while coroutine is not None:
        yield coroutine
        inner = next((c for c in (getattr(coroutine, name, None) for name in _INNER) if c is not None), None)
        if type(inner).__name__ in _STEPS:
            # One step of an asynchronous generator, which does not name it but refers to it.
            inner = next((c for c in gc.get_referents(inner) if isinstance(c, AsyncGeneratorType)), None)
        coroutine = inner


def _of_asyncio(frame: FrameType) -> str:
    """What one of asyncio's own coroutines waits for."""
    name, known = frame.f_code.co_name, frame.f_locals
    owner = known.get("self")
    if name == "sleep" and (timer := known.get("h")) is not None:
        return f"its sleep to end at {timer.when():.6g} s"
    if isinstance(owner, asyncio.TaskGroup):
        return f"its task group: {_tasks(getattr(owner, '_tasks', ()))}"
    if (several := known.get("fs")) is not None and name == "_wait":
        return _tasks(several)
    if isinstance(one := known.get("fut"), asyncio.Task):
        return f"task {one.get_name()}"
    if name.startswith("sock_") and (sock := known.get("sock")) is not None:
        return f"{sock!r} ({name})"
    if owner is None or isinstance(owner, asyncio.AbstractEventLoop | asyncio.Timeout):
        return ""
    return f"{_described(owner)} ({name.strip('_')})"


def _described(owner: Any) -> str:
    """An object of asyncio's as it shows itself, without where it lies in memory."""
    text = repr(owner)
    found = re.match(_ADDRESS, text)
    if found is None:
        return type(owner).__name__ if "0x" in text or len(text) > 80 else text
    kind, state = found.groups()
    return f"{kind} {state}".strip()


def _tasks(futures: Iterable[Any]) -> str:
    """Those that are not done, by name; in the order in which they were made."""
    waiting = [future for future in sorted(futures, key=hash) if not future.done()]
    names = [future.get_name() if isinstance(future, asyncio.Task) else "a future" for future in waiting]
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return ("task " if len(names) == 1 else "tasks ") + ", ".join(names[:MAX_NAMED]) + more
