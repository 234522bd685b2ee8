"""asyncio.run, also where an event loop runs already, as in a notebook: there in a thread of its own.

Knows no program. Tests: tests/sim/backends/test_asyncio_run.py.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

__all__ = ["asyncio_run"]

T = TypeVar("T")


def asyncio_run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Returns what `main()` does, or raises it. Ctrl-C cancels it, and is raised once it has ended."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    results: list[T | BaseException] = []
    started: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def supervised() -> T:
        task = asyncio.current_task()
        assert task is not None
        started.append((asyncio.get_running_loop(), task))
        if interrupted.is_set():
            raise asyncio.CancelledError
        return await main()

    def body() -> None:
        try:
            results.append(asyncio.run(supervised()))
        except BaseException as error:
            results.append(error)
        finally:
            ended.set()

    interrupted = threading.Event()
    ended = threading.Event()  # Ctrl-C in Thread.join makes Python (3.11, 3.12) believe that the thread has ended
    thread = threading.Thread(target=body, name="sockets backend")
    try:
        thread.start()
        ended.wait()
    except KeyboardInterrupt:
        interrupted.set()
        for loop, task in started:
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(task.cancel)
        if thread.ident is not None:
            ended.wait()
            thread.join()
        raise
    thread.join()
    (result,) = results
    if isinstance(result, BaseException):
        raise result
    return result
