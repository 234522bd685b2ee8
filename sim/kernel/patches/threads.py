"""Threads, their locks and queues, and pools of concurrent.futures: on a node they are the node's own.

A thread that is started there is one of sim.kernel.threads, and what it can wait for (a lock, and so a condition, an
event, a queue, a future) lets others go on meanwhile. Pools that were made elsewhere, and pools of processes, have one
of threads on each node that asks them. Elsewhere all are the real ones. Knows of a node its event loop. Tests:
tests/sim/kernel/test_threads.py.
"""

import _thread
import contextlib
import functools
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from sim.kernel.executor import has_ended, pool_on
from sim.kernel.patches import rebind
from sim.kernel.patches.imports import when_imported
from sim.kernel.running import on_a_node, running
from sim.kernel.threads import REAL, NodeThread, WaitingLock, WaitingRLock, is_program

__all__ = ["install"]

_begun: WeakKeyDictionary[threading.Thread, WaitingLock] = WeakKeyDictionary()
"""Of threads that were begun on nodes what is held until they have ended. It must not lead to the thread: that would
keep each thread, and its simulation, for ever."""


def install() -> None:
    """sim.kernel.patches calls it."""
    thread: Any = threading.Thread
    for name, simulated in (("start", _start), ("join", _join), ("is_alive", _is_alive)):
        rebind.put(thread, name, _method(getattr(thread, name), simulated))
    rebind.replace(_thread, "start_new_thread", on_a_node(_thread.start_new_thread, _start_new))
    for name in ("Lock", "_allocate_lock"):  # which are not one thing from Python 3.13 on
        lock = _lock()
        rebind.instead(getattr(threading, name), lock)
        rebind.put(threading, name, lock)
    when_imported("queue", _patch_queue)
    locks: Any = threading
    rebind.replace(threading, "RLock", on_a_node(_made_elsewhere(threading.RLock), lambda _: locks._PyRLock()))
    _wait_in_locks_of_modules()
    when_imported("concurrent.futures.thread", lambda module: _patch_pool(module.ThreadPoolExecutor))
    when_imported("concurrent.futures.process", lambda module: _patch_pool(module.ProcessPoolExecutor))


def _method(real: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    """A method that is `simulated(real, node, self, …)` where a node runs."""

    @functools.wraps(real)
    def method(self: Any, *args: Any, **options: Any) -> Any:
        node = running()
        return real(self, *args, **options) if node is None else simulated(real, node, self, *args, **options)

    return method


# --- threads ----------------------------------------------------------------------------------------------------------


def _start(real: Any, node: Any, thread: threading.Thread) -> None:
    if not getattr(thread, "_initialized", False) or thread.ident is not None:
        real(thread)  # raises what is wrong
    made: NodeThread = node.loop.threads.begin(thread, real)
    _begun[thread] = made.over
    made.wake()


def _join(real: Any, node: Any, thread: threading.Thread, timeout: float | None = None) -> None:
    over = _begun.get(thread)
    if over is None or thread is threading.current_thread():
        real(thread, timeout)
    elif over.acquire(True, -1 if timeout is None else max(timeout, 0)):
        over.release()


def _is_alive(real: Any, node: Any, thread: threading.Thread) -> Any:
    over = _begun.get(thread)
    return real(thread) if over is None else over.locked()


def _start_new(node: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any = None) -> int:
    thread = threading.Thread(target=function, args=args, kwargs=kwargs, daemon=True)
    thread.start()
    return thread.ident or 0


# --- what threads wait for --------------------------------------------------------------------------------------------


class _Made(type):
    """Of a class that makes something real where no node runs, of which isinstance says yes as well."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        if running() is None and cls.__module__ == __name__:  # not a class that stands on it
            made = getattr(REAL, cls.__name__)(*args, **options)
            return _waiting(made) if is_program(sys._getframe(1).f_code.co_filename) else made
        return super().__call__(*args, **options)

    def __instancecheck__(cls, instance: object) -> bool:
        kind = getattr(REAL, f"{cls.__name__}Type") if cls.__module__ == __name__ else ()
        return super().__instancecheck__(instance) or isinstance(instance, kind)


def _lock() -> Any:
    """Made anew each time, as `rebind.undo` swaps it for the real one wherever it stands."""

    class Lock(WaitingLock, metaclass=_Made):
        """threading.Lock."""

        __slots__ = ()

    return Lock


def _made_elsewhere(real: Callable[[], Any]) -> Callable[[], Any]:
    """RLock off the nodes. What the standard library makes for itself stays real: it holds it for a moment only."""

    @functools.wraps(real)
    def rlock() -> Any:
        # The caller's caller: `on_a_node` stands between.
        return _waiting(real()) if is_program(sys._getframe(2).f_code.co_filename) else real()

    return rlock


def _waiting(lock: Any) -> Any:
    """The same lock for code that may run on nodes; anything else as it is."""
    if type(lock) is REAL.LockType:
        return WaitingLock.around(lock)
    return WaitingRLock.around(lock) if type(lock) is REAL.RLockType else lock


def _wait_in_locks_of_modules() -> None:
    """The locks that programs have made before: those of their modules, classes and of the objects of modules.

    A node's thread may hold one while it sleeps. Were it real, the node's event loop would never be asked again.
    """
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if isinstance(module, ModuleType) and (module.__name__ == "__main__" or (file and is_program(file))):
            for name, value in list(vars(module).items()):
                _wait_in(module, name, value)
                if isinstance(value, type) or getattr(type(value), "__module__", None) == module.__name__:
                    for inner, each in list(getattr(value, "__dict__", {}).items()):
                        _wait_in(value, inner, each)


def _wait_in(owner: Any, name: str, value: Any) -> None:
    if type(value) in (REAL.LockType, REAL.RLockType):
        with contextlib.suppress(AttributeError, TypeError):  # it does not let itself be changed
            rebind.put(owner, name, _waiting(value))


def _patch_queue(module: Any) -> None:
    class SimpleQueue(module._PySimpleQueue, metaclass=_Made):  # type: ignore[misc]
        """queue.SimpleQueue, which waits by a lock."""

    rebind.instead(module.SimpleQueue, SimpleQueue)
    rebind.put(module, "SimpleQueue", SimpleQueue)


# --- pools ------------------------------------------------------------------------------------------------------------


def _patch_pool(kind: Any) -> None:
    for name in ("submit", "shutdown"):
        rebind.put(kind, name, _of_pool(name, getattr(kind, name)))


def _of_pool(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a pool; where a node runs and has another in its place, that one's."""

    @functools.wraps(real)
    def method(pool: Any, /, *args: Any, **options: Any) -> Any:
        node = running()
        own = pool if node is None or has_ended(pool) else pool_on(node, pool)
        return real(pool, *args, **options) if own is pool else getattr(own, name)(*args, **options)

    return method
