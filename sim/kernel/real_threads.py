"""What a thread of the real world is called that answers into a simulated node: its name, its library, what to do.

Such a thread was begun where no node ran (when a module was imported, by a test, by a library's C code) and runs when
the real machine gets to it, so that no run would be like another. Knows threads and frames; no simulation. Tests:
tests/sim/kernel/test_real_threads.py.
"""

import sys
import threading
from types import FrameType

from sim.kernel.threads import current, is_of_a_node, is_program

__all__ = ["REAL_THREAD", "described", "of_this_thread", "real_threads"]

REAL_THREAD = "a thread of the real world"
"""What each such error says."""


def described(node: str, what: str) -> str:
    """For an error: this thread, and that it does `what` on a node."""
    return (
        f"{REAL_THREAD}, {_name_and_library()}, {what} on the simulated node {node}: it runs when the "
        "real machine gets to it, so no run would be like another. Begin it in code that runs on the node, whose "
        "threads are simulated (asyncio.to_thread, threading.Thread, a pool that is made there); where it is a "
        "library's own, use what the library offers without threads"
    )


def of_this_thread() -> str:
    """For an error on a node: which of its threads this is, in brackets; nothing on that of its loop."""
    return "" if current() is None else f" (this is {_name_and_library()})"


def real_threads(driver: int) -> list[str]:
    """Threads that no node has begun and that somebody may wait for: not the main one, nor that which drives."""
    frames = sys._current_frames()
    mine = {driver, threading.main_thread().ident}
    return [
        _named(thread, frames.get(thread.ident or 0))
        for thread in threading.enumerate()
        if thread.ident not in mine and not is_of_a_node(thread.ident)
    ]


def _name_and_library() -> str:
    return _named(threading.current_thread(), sys._getframe(1))


def _named(thread: threading.Thread, frame: FrameType | None) -> str:
    own = _own_frame(frame)
    if own is None:
        return repr(thread.name)
    module = str(own.f_globals.get("__name__", "")).partition(".")[0]
    return f"{thread.name!r} of {module} ({own.f_code.co_filename}:{own.f_lineno} in {own.f_code.co_name})"


def _own_frame(frame: FrameType | None) -> FrameType | None:
    """The outermost frame of the program: the thread's function."""
    found = None
    while frame is not None:
        if is_program(frame.f_code.co_filename):
            found = frame
        frame = frame.f_back
    return found
