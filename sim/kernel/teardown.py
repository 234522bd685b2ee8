"""Closing what dead processes left: coroutines and generators that were suspended when their machine died.

They are kept until the simulation ends, as dropping a suspended coroutine runs its `finally` blocks; here they run with
nothing left to act on, and whatever they say is not heard. One that catches whatever is raised in it, and goes on
(`except:` in a loop), is no exception: it is let alone, still suspended, for as long as the process lives.

And freeing what ended simulations were made of, cycles all of it: in a sweep that is most of the garbage there is.

Knows tasks, no simulation. Tests: tests/sim/kernel/test_teardown.py.
"""

import asyncio
import gc
import sys
import warnings
from asyncio import events
from threading import get_ident
from typing import Any

from sim.kernel.interrupt import Alarm

__all__ = ["bury", "mute_collection"]

_TRIES = 100  # a `finally` that awaits survives its GeneratorExit and has to be closed once more
_TASKS_AN_ALARM = 1000
"""Tasks that are closed within its GRACE, a real second: one that spins is interrupted then, and again later."""
GROWTH = 200_000
"""Blocks of memory, some 15 MB, that may come to what lived when all garbage was collected last …"""
_kept = 0
"""… which was so many."""
ASK_EVERY = 8
"""Simulations between two looks at that: to count the blocks takes half a millisecond."""
_ended = 0


def bury(things: list[Any], *, young: bool = False) -> None:
    """Close the coroutines of the tasks among `things`, and what they hold, in silence; then see to the garbage.

    `young` where none of it has outlived a collection: then the whole heap, milliseconds of it, is not looked at.
    """
    # One that is cancelled was given up by who waited for it (MainTask): its coroutine stands where it stood.
    tasks = [thing for thing in things if isinstance(thing, asyncio.Task) and (not thing.done() or thing.cancelled())]
    if tasks:
        hook, sys.unraisablehook = sys.unraisablehook, _unheard
        try:
            while tasks:
                some, tasks = tasks[-_TASKS_AN_ALARM:], tasks[:-_TASKS_AN_ALARM]
                alarm = _alarm()
                try:
                    while some:
                        _bury_task(some)
                except KeyboardInterrupt:
                    tasks += some  # the alarm came between two of them
                finally:
                    if alarm is not None:
                        alarm.call_off()
            things.clear()
            # What refers to itself would be finalised later, and be heard then.
            gc.collect(1 if young else 2)
        finally:
            sys.unraisablehook = hook
    _tidy()


def _alarm() -> Alarm | None:
    """None where no thread begins any more: from Python 3.12 on, at its end."""
    try:
        return Alarm(get_ident(), 0.0, _nothing)
    except RuntimeError:
        return None


def mute_collection() -> None:
    """Nothing is heard of what the running garbage collection finalises from here on, until it is over.

    Called by the finaliser of a simulation: its tasks cannot be found any more, as Python has cleared all weak
    references to them, and dropping their coroutines runs `finally` blocks on a loop that is closed.
    """
    hook, sys.unraisablehook = sys.unraisablehook, _unheard
    filters = warnings.catch_warnings()
    filters.__enter__()
    warnings.simplefilter("ignore")

    def over(phase: str, _: Any) -> None:
        if phase == "stop":
            gc.callbacks.remove(over)
            filters.__exit__(None, None, None)
            sys.unraisablehook = hook

    gc.callbacks.append(over)


def _tidy() -> None:
    """Collect all garbage where memory has grown by half, and by GROWTH, since that was done last.

    Python would not by itself: it goes by how often it has collected younger garbage, which gc.freeze sets to never.
    """
    global _ended, _kept
    _ended += 1
    if _ended % ASK_EVERY == 0 and sys.getallocatedblocks() > _kept * 1.5 + GROWTH:
        gc.collect()
        _kept = sys.getallocatedblocks()


def _chain(coroutine: Any) -> list[Any]:
    """A coroutine and what it waits in, outermost first: an inner one that survives is not closed by an outer one."""
    chain = []
    while coroutine is not None and hasattr(coroutine, "close"):
        chain.append(coroutine)
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return chain


def _bury_task(tasks: list[asyncio.Task[Any]]) -> None:
    """Close the last of them, and forget it."""
    task = tasks[-1]
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    # It finds the loop that it knows, which is dead: what it awaits there suspends it. Without one each await would
    # raise something, and a program that catches whatever is raised, and tries again, would do so for ever.
    # Afterwards the caller's own loop runs again: a simulation may be closed in a coroutine, as in a notebook's cell.
    callers = events._get_running_loop()
    events._set_running_loop(task.get_loop())
    try:
        for coroutine in reversed(_chain(task.get_coro())):
            _close(coroutine)
    finally:
        events._set_running_loop(callers)
    tasks.pop()


def _close(coroutine: Any) -> None:
    for _ in range(_TRIES):
        try:
            coroutine.close()
        except RuntimeError as error:
            if "ignored GeneratorExit" in str(error):
                continue
            return
        except BaseException:
            return  # its clean-up failed: nobody is there to hear of it
        else:
            return
    _keep_for_ever(coroutine)


def _keep_for_ever(thing: object) -> None:
    """Python closes a coroutine that it lets go of, at its own end too: this one would never have ended."""
    import ctypes

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _nothing() -> None:
    """There is nothing to do first."""


def _unheard(_: Any) -> None:
    """A dead program cannot complain."""
