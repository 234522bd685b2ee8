"""Closing what dead processes left: coroutines and generators that were suspended when their machine died.

They are kept until the simulation ends, as dropping a suspended coroutine runs its `finally` blocks; here they run with
nothing left to act on, and whatever they say is not heard.
"""

import asyncio
import gc
import sys
from typing import Any

__all__ = ["bury"]

_TRIES = 100  # a `finally` that awaits survives its GeneratorExit and has to be closed once more


def bury(things: list[Any]) -> None:
    """Close the coroutines of the tasks among `things`, and what they hold, in silence."""
    tasks = [thing for thing in things if isinstance(thing, asyncio.Task) and not thing.done()]
    if not tasks:
        return
    hook, sys.unraisablehook = sys.unraisablehook, _unheard
    try:
        while tasks:
            task = tasks.pop()
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            for coroutine in reversed(_chain(task.get_coro())):
                _close(coroutine)
            del task
        things.clear()
        # What refers to itself would be finalised later, and be heard then.
        gc.collect()
    finally:
        sys.unraisablehook = hook


def _chain(coroutine: Any) -> list[Any]:
    """A coroutine and what it waits in, outermost first: an inner one that survives is not closed by an outer one."""
    chain = []
    while coroutine is not None and hasattr(coroutine, "close"):
        chain.append(coroutine)
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return chain


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


def _unheard(_: Any) -> None:
    """A dead program cannot complain."""
