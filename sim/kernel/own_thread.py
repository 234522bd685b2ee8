"""Work in a thread of its own, where an event loop runs in this one, as a notebook's does.

Knows neither the work nor how it is ended. Tests: tests/sim/backends/test_asyncio_run.py,
tests/sim/kernel/test_interrupt.py, test_interrupt_in_notebook.py.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Event, Thread
from typing import TypeVar

__all__ = ["in_own_thread"]

T = TypeVar("T")


def in_own_thread(
    work: Callable[[], T], name: str, interrupted: Callable[[int], AbstractContextManager[None]], *, daemon: bool
) -> T:
    """Returns what `work()` does, or raises it. On Ctrl-C it raises KeyboardInterrupt once the work has ended.

    `interrupted(thread's number)` is entered on Ctrl-C: it has the work end, and is left when that has ended. What the
    work raises then is raised in the place of KeyboardInterrupt.
    """
    __tracebackhide__ = True  # of pytest and IPython
    results: list[T] = []
    failed: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:
            failed.append(error)
        finally:
            ended.set()

    ended = Event()  # Ctrl-C in Thread.join makes Python (3.11, 3.12) believe that the thread has ended
    thread = Thread(target=body, name=name, daemon=daemon)
    pressed = False
    try:
        thread.start()
        ended.wait()
    except KeyboardInterrupt:
        pressed = True
        if thread.ident is not None:
            with interrupted(thread.ident):
                ended.wait()
    if thread.ident is not None:
        thread.join()
    if failed:
        raise failed[0]
    if pressed:
        raise KeyboardInterrupt
    return results[0]
