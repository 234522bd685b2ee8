"""asyncio.run, also where an event loop runs already, as in a notebook: there in a thread of its own.

Knows no program. Tests: tests/sim/backends/test_asyncio_run.py.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from sim.kernel.own_thread import in_own_thread

__all__ = ["asyncio_run"]

T = TypeVar("T")


def asyncio_run(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Returns what `main()` does, or raises it. Ctrl-C cancels it, and is raised once it has ended."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    started: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []
    pressed = False

    async def supervised() -> T:
        task = asyncio.current_task()
        assert task is not None
        started.append((asyncio.get_running_loop(), task))
        if pressed:
            raise asyncio.CancelledError
        return await main()

    def work() -> T:
        try:
            return asyncio.run(supervised())
        except asyncio.CancelledError:
            if pressed:
                raise KeyboardInterrupt from None
            raise

    @contextmanager
    def interrupted(_: int) -> Iterator[None]:
        nonlocal pressed
        pressed = True
        for loop, task in started:
            with suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(task.cancel)
        yield

    return in_own_thread(work, "sockets backend", interrupted, daemon=False)
