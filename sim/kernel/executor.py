"""The default executor of a node's event loop: functions that run in threads of the node.

A function that does not wait is over within the callback that begins it; so programs that only look something up there
run as without threads. Knows the node's threads (sim.kernel.threads). Tests: tests/sim/kernel/test_threads.py,
tests/sim/twins/test_threads.py.
"""

import asyncio
import contextlib
import threading
import warnings
from asyncio import futures
from collections import deque
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any

from sim.kernel.interleaving.steps import TOLD
from sim.kernel.threads import REAL, Stuck

if TYPE_CHECKING:
    from sim.kernel.threads import NodeThread, Threads

__all__ = ["MAX_WORKERS", "Executor", "has_ended", "pool_on"]

MAX_WORKERS = 32
"""Functions that run at one time: what asyncio allows on a machine of 28 cores or more."""

Call = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Executor:
    """Of one event loop."""

    def __init__(self, threads: "Threads") -> None:
        self._threads = threads
        self._idle: list[_Worker] = []
        self._workers: list[_Worker] = []
        self._calls = 0
        self._queue: deque[Call] = deque()
        self._handing_out = False
        self._empty: asyncio.Future[None] | None = None

    def call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> "asyncio.Future[Any]":
        """Call it in a thread; returns the future of its result."""
        loop = self._threads.loop
        future = loop.create_future()
        self._calls += 1
        loop.call_soon(self._begin, (future, function, args), context=Context())
        return future

    def _begin(self, call: Call) -> None:
        self._queue.append(call)
        with contextlib.suppress(Stuck):  # the simulation has been told
            self._hand_out()

    def told(self, handle: Any) -> str:
        """What a callback that begins a call runs."""
        function = handle._args[0][1] if handle._args else handle._callback
        while isinstance(function, partial):  # asyncio.to_thread's, within it a context's run()
            function = (
                function.args[0] if function.args and getattr(function.func, "__name__", "") == "run" else function.func
            )
        return getattr(function, "__qualname__", type(function).__name__)

    def free(self, worker: "_Worker") -> None:
        """It has done what it had to do."""
        self._done()
        self._idle.append(worker)
        self._hand_out()

    def _hand_out(self) -> None:
        """Give calls to workers while there are both. A worker may be free again before its `take` returns."""
        if self._handing_out:
            return  # one after the other, however many there are: each within the last would exceed Python's stack
        self._handing_out = True
        try:
            while self._queue and (self._idle or len(self._workers) < MAX_WORKERS):
                call = self._queue.popleft()
                if call[0].cancelled():
                    self._done()
                    continue
                if not self._idle:
                    self._workers.append(_Worker(self, self._threads, len(self._workers)))
                    self._idle.append(self._workers[-1])
                self._idle.pop().take(call)
        finally:
            self._handing_out = False

    def refuse(self, future: "asyncio.Future[Any]", error: StopIteration) -> None:
        """No future takes that: Python 3.11 raises, in a callback as with asyncio's, later ones make another of it."""
        self._threads.loop.call_soon(future.set_exception, error)

    def _done(self) -> None:
        self._calls -= 1
        if not self._calls and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    async def shut_down(self, timeout: float | None = None) -> None:
        """Wait until nothing runs in it any more."""
        if self._calls <= sum(worker.is_broken_off for worker in self._workers):
            return
        self._empty = self._threads.loop.create_future()
        try:
            async with asyncio.timeout(timeout):
                await self._empty
        except TimeoutError:
            warnings.warn(
                f"The executor did not finishing joining its threads within {timeout} seconds.",
                RuntimeWarning,
                stacklevel=2,
            )


TOLD[Executor._begin] = Executor.told


class _Worker:
    """One thread of it."""

    def __init__(self, executor: Executor, threads: "Threads", number: int) -> None:
        self._executor = executor
        self._call: Call | None = None
        self._result: Any = None
        self._error: BaseException | None = None
        thread = threading.Thread(target=self._run, name=f"asyncio_{number}")
        self._thread: NodeThread = threads.begin(thread, threading.Thread.start)

    @property
    def is_broken_off(self) -> bool:
        """Whether Ctrl-C or a wall limit has ended its function, which returns no more."""
        return self._call is not None and self._thread.ending

    def take(self, call: Call) -> None:
        """Begin with a call now: on the loop's thread, in a callback."""
        self._call = call
        self._thread.resume_now()

    def _run(self) -> None:
        thread = self._thread
        while True:
            assert self._call is not None, "it is woken for one"
            _, function, args = self._call
            try:
                self._result = Context().run(function, *args)  # that of a new thread
            except BaseException as error:
                self._error = error
            del function, args
            thread.after = self._deliver
            thread.wait(None)

    def _deliver(self) -> None:
        """On the loop's thread."""
        assert self._call is not None
        future, result, error = self._call[0], self._result, self._error
        self._call = self._result = self._error = None
        try:
            if not future.done():
                if isinstance(error, StopIteration):
                    self._executor.refuse(future, error)
                elif error is not None:
                    future.set_exception(futures._convert_future_exc(error))  # type: ignore[attr-defined]
                else:
                    future.set_result(result)
        finally:
            self._executor.free(self)


def has_ended(pool: Any) -> bool:
    """Whether a pool of threads or processes was shut down, wherever."""
    return bool(getattr(pool, "_shutdown", False) or getattr(pool, "_shutdown_thread", False))


def pool_on(node: Any, pool: Any) -> Any:
    """The pool that a node has in the place of one that was made elsewhere, or of one of processes."""
    if not isinstance(getattr(pool, "_work_queue", None), REAL.SimpleQueueType | None):
        return pool  # it was made on a node
    pools = node.loop.threads.pools
    if pool not in pools:
        from concurrent.futures import ThreadPoolExecutor

        name = getattr(pool, "_thread_name_prefix", "")
        pools[pool] = ThreadPoolExecutor(pool._max_workers, name, pool._initializer, pool._initargs)
    return pools[pool]
