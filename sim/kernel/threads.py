"""Threads of a simulated node: real ones of which one runs at a time, and that wait in virtual time.

What code on a node begins as a thread (threading.Thread, a pool of concurrent.futures, asyncio.to_thread, a library's
worker) belongs to that node. It runs while the thread that drives the simulation stands still for it: a callback of
the node's event loop resumes it, and it goes on until it ends or has to wait, for a lock, a queue, another thread or a
time. Then the loop goes on, and resumes it again once what it waits for has come. So what runs when is the same in
every run. Where code on the loop's own thread waits for a thread, only threads go on, as on a real machine.

Knows an event loop; what is swapped so that threads wait here is sim.kernel.patches.threads, functions of executors are
sim.kernel.executor. Tests: tests/sim/kernel/test_threads.py, tests/sim/twins/test_threads.py.
"""

import _queue
import contextlib
import functools
import logging
import math
import os
import re
import sys
import threading
import time
from asyncio import events
from collections import deque
from collections.abc import Callable, Iterator
from contextvars import Context
from threading import get_ident
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakSet

from sim.kernel.errors import Deadlock, NotSimulated, SimulationError
from sim.kernel.interleaving.steps import TOLD
from sim.kernel.interrupt import raise_in
from sim.kernel.normalize import plain, said
from sim.kernel.running import as_thread_of, outside, running

if TYPE_CHECKING:
    from sim.kernel.loop.loop import NodeLoop

__all__ = [
    "REAL",
    "NodeThread",
    "Stuck",
    "Threads",
    "WaitingLock",
    "WaitingRLock",
    "current",
    "is_of_a_node",
    "is_program",
]

STUCK_SECONDS = 5.0
"""Real seconds for which a thread may stand still in something that is not simulated."""
LOOKS = 5
"""… in which it is looked at so often: a process that was stopped meanwhile (SIGSTOP) has missed but one."""
END_TRIES = 100
"""How often a thread is told to end that goes on waiting all the same."""
END_SECONDS = 5.0
"""Real seconds in which a thread has to be gone that was told to end."""

_alive: "WeakSet[Threads]" = WeakSet()
_threads: "dict[int, NodeThread]" = {}
"""By what `get_ident` says there."""
_COUNTED = r"^(Thread|ThreadPoolExecutor)-\d+"
"""Names that threads are given, which count those of the process: another run has others."""
_STANDARD = os.path.join(os.path.dirname(threading.__file__), "")
_HERE = os.path.join(os.path.dirname(__file__), "")


def processor_seconds(thread: threading.Thread) -> float:
    """What it has used: where that stands still, it waits, or the machine has given it nothing."""
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident or 0))


class _Real:
    """What is of the real world on a node too. It has slots so that sim.kernel.patches.rebind leaves it alone."""

    __slots__ = ("Lock", "LockType", "RLockType", "SimpleQueue", "SimpleQueueType")

    def __init__(self) -> None:
        self.Lock: Any = threading.Lock
        self.LockType: Any = type(threading.Lock())
        self.RLockType: Any = type(threading.RLock())
        self.SimpleQueue: Any = _queue.SimpleQueue
        self.SimpleQueueType: Any = _queue.SimpleQueue


REAL = _Real()


def current() -> "NodeThread | None":
    """The node's thread that asks; None on the thread of an event loop, and on those of nobody."""
    return _threads.get(get_ident()) if _threads else None


def is_of_a_node(ident: int | None) -> bool:
    """Whether the thread of that number is a node's."""
    return any(each.thread.ident == ident for threads in list(_alive) for each in list(threads.alive))


def is_program(file: str) -> bool:
    """Whether code of that file is neither the standard library's nor the kernel's."""
    installed = "site-packages" in file or "dist-packages" in file  # which may lie in the library's directory
    return (installed or not file.startswith((_STANDARD, "<frozen "))) and not file.startswith(_HERE)


class Stuck(NotSimulated):
    """A thread waits for something of the real world."""


class NodeThread:
    """A thread of a node, in the simulator's eyes."""

    __slots__ = (
        "_back",
        "_go",
        "_threads",
        "_timer",
        "_waits",
        "_woken",
        "after",
        "deadline",
        "ending",
        "over",
        "thread",
    )

    def __init__(self, threads: "Threads", thread: threading.Thread) -> None:
        self.thread = thread
        self._threads = threads
        self._go, self._back = REAL.Lock(), REAL.Lock()
        self._go.acquire()
        self._back.acquire()
        self._waits, self._woken = True, False
        self.deadline, self._timer = math.inf, None
        self.after: Callable[[], object] | None = None
        """Called on the loop's thread when this one waits again or has ended."""
        self.ending = False
        """Whether it is to end, at the latest where it waits next."""
        self.over = WaitingLock()
        """Held until it has ended."""
        self.over.acquire()

    def run(self, function: Callable[[], object]) -> None:
        """The whole life of the thread, there."""
        self._go.acquire()
        del self.thread.run  # that of `begin`
        threads, ident = self._threads, get_ident()
        _threads[ident] = self
        try:
            with as_thread_of(threads.loop.node):
                try:
                    if not self.ending:
                        function()
                except BaseException as error:
                    if not self.ending:
                        threads.failed(self.thread, error)
                threads.alive.pop(self, None)
                self.over.release()
        finally:
            del _threads[ident]
            self._back.release()

    # -- on this thread --------------------------------------------------------------------------------------------

    def wait(self, timeout: float | None) -> bool:
        """Let the others go on until `wake`, or for so many seconds of the node's clock. False = nobody woke it."""
        if self.ending:
            raise SystemExit
        self._waits, self._woken = True, False
        self.deadline, self._timer = self._threads.alarm(self, timeout)
        self._back.release()
        self._go.acquire()
        if self.ending:
            raise SystemExit
        return self._woken

    # -- on the others ---------------------------------------------------------------------------------------------

    def wake(self, woken: bool = True) -> None:
        """Have it go on, in the order in which threads are woken."""
        if self._waits:
            self._threads.heed()
            self._waits, self._woken, self.deadline = False, woken, math.inf
            if self._timer is not None:
                self._timer.cancel()
            self._threads.go_on(self)

    def resume_now(self) -> None:
        """Wake it and run it at once, on the thread of its loop."""
        self._waits, self._woken = False, True
        self.resume()

    def resume(self) -> None:
        """Run it until it waits or ends, on the thread of its loop."""
        self._go.release()
        try:
            self._await()
        except BaseException as error:  # Ctrl-C, a wall limit, or it is stuck
            last: Any = error.__traceback__
            while last.tb_next is not None:
                last = last.tb_next
            last.tb_next = self._traceback()  # the program is there, and not here
            self.ending = True
            raise_in(self.thread.ident or 0, SystemExit)
            raise
        after, self.after = self.after, None
        if after is not None:
            after()

    def _await(self) -> None:
        with outside():
            self._await_it()

    def _await_it(self) -> None:
        used, looks = -1.0, 0
        while not self._back.acquire(timeout=STUCK_SECONDS / LOOKS):
            before, used = used, processor_seconds(self.thread)
            looks = looks + 1 if used == before else 0
            if looks == LOOKS:
                error = Stuck(
                    f"a thread of {self._threads.loop.node.name} stands still in {self.where()}: it waits for "
                    "something that is not simulated. A lock or queue has to be made on the node; what is of the real "
                    "world (a file descriptor, another process) no simulated program can wait for"
                )
                self._threads.loop.node.simulation.fail(error)
                raise error

    def _traceback(self) -> TracebackType | None:
        """Where it is, as if it had raised something there."""
        frame, traceback = self._frame(), None
        while frame is not None:
            traceback, frame = TracebackType(traceback, frame, frame.f_lasti, frame.f_lineno), frame.f_back
        return traceback

    def end(self) -> None:
        """Have it end: it raises SystemExit where it waits, and goes no further than that."""
        broken_off, self.ending = self.ending, True
        for _ in range(END_TRIES):
            if broken_off and not self._back.acquire(timeout=END_SECONDS):
                return  # it is in something that does not end
            broken_off = False
            if self not in self._threads.alive:
                return
            self._go.release()
            if not self._back.acquire(timeout=END_SECONDS):
                return

    def where(self) -> str:
        """The line at which it is, of the program rather than of the library."""
        frame = self.own_frame() or self._frame()
        return "its beginning" if frame is None else _line(frame)

    def waits_at(self) -> str | None:
        """The program's line at which it waits; None where it is in none, as a worker of a pool that is idle."""
        frame = self.own_frame()
        return None if frame is None else _line(frame)

    def _frame(self) -> FrameType | None:
        return sys._current_frames().get(self.thread.ident or 0)

    def own_frame(self) -> FrameType | None:
        """The innermost frame that is neither ours nor the standard library's."""
        return _of_program(self._frame())


def _of_program(frame: FrameType | None) -> FrameType | None:
    while frame is not None and not is_program(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def _here() -> str:
    """The program's line that this is called from."""
    frame = sys._getframe(1)
    return _line(_of_program(frame) or frame)


def _file(frame: FrameType) -> str:
    return os.path.basename(frame.f_code.co_filename)


def _line(frame: FrameType) -> str:
    return f"{frame.f_code.co_name} ({frame.f_code.co_filename}:{frame.f_lineno})"


class Threads:
    """Those of one process of a node: of one event loop."""

    def __init__(self, loop: "NodeLoop") -> None:
        self.loop = loop
        self.alive: dict[NodeThread, None] = {}
        self._ready: deque[NodeThread] = deque()
        self.pools: dict[Any, Any] = {}
        """By a pool that was made elsewhere: the one that does its work here."""
        loop.node.simulation.threads.append(self)
        _alive.add(self)

    def begin(self, thread: threading.Thread, start: Callable[[threading.Thread], object]) -> NodeThread:
        """Start a thread, which runs once it is woken. Raises what `start` does."""
        _at_exit()
        made, run = NodeThread(self, thread), thread.run
        thread.run = lambda: made.run(run)  # type: ignore[method-assign]
        try:
            with outside():
                start(thread)
        except BaseException:
            del thread.run
            raise
        self.alive[made] = None
        return made

    def go_on(self, thread: NodeThread) -> None:
        """In one of the loop's next turns."""
        self._ready.append(thread)
        loop = self.loop
        loop._ready.append(events.Handle(self._run_next, (), loop, Context()))
        if not loop.is_running():
            loop.kick()

    def _run_next(self) -> None:
        if self._ready:  # else the loop has stood still for it
            with contextlib.suppress(Stuck):  # the simulation has been told
                self._ready.popleft().resume()

    def told(self, handle: Any) -> str:
        """What a callback that resumes a thread runs: where the program is there."""
        if not self._ready:
            return "none"
        frame = self._ready[0].own_frame()  # and not its name, which counts the threads of the process
        return "its beginning" if frame is None else f"{frame.f_code.co_name} ({_file(frame)}:{frame.f_lineno})"

    def alarm(self, thread: NodeThread, timeout: float | None) -> tuple[float, Any]:
        """When it is woken in any case, and the timer for that."""
        if timeout is None:
            return math.inf, None
        when = self._time() + self.loop.node.clock.duration(max(timeout, 0.0))
        return when, self.loop._timer(when, thread.wake, (False,), Context())

    def _time(self) -> float:
        host = self.loop.node.host
        return self.loop.node.simulation.schedule.now + host.ahead

    def heed(self) -> None:
        """Raises RealThread where somebody asks who neither runs on a node nor drives the simulation."""
        simulation = self.loop.node.simulation
        if simulation.driving and get_ident() != simulation.thread and current() is None:
            simulation.refuse_thread(self.loop.node.name, "wakes a thread")

    def stand_still(self, wait: "_StandsStill", timeout: float | None) -> bool:
        """The loop's own thread waits: only its threads go on, and time passes. False = so many seconds have passed.

        Raises Deadlock where none of them can bring what it waits for.
        """
        loop, node = self.loop, self.loop.node
        until = math.inf if timeout is None else self._time() + node.clock.duration(timeout)
        node.work.rest()
        while not wait.woken:
            if self._ready:
                self._ready.popleft().resume()
                continue
            next_one = min(self.alive, key=lambda thread: thread.deadline, default=None)
            when = until if next_one is None else min(until, next_one.deadline)
            if when == math.inf:
                raise Deadlock(
                    f"the event loop of {node.name} stands still for ever: its own code waits for what only the loop "
                    "or another thread could bring. Await it (asyncio.wrap_future), or wait in asyncio.to_thread. It "
                    f"waits in {_here()}"
                )
            if when > self._time():
                node.host.ahead += when - self._time()
                loop.halt()
            if next_one is None or until <= next_one.deadline:
                return False
            next_one.wake(False)
        return True

    def wait_for(self, ready: Callable[[], object], waiting: list[Any], timeout: float | None) -> bool:
        """Let others go on until `ready()`; False where so many seconds of the node's clock have passed before.

        Whoever brings it wakes those in `waiting`.
        """
        node, thread = self.loop.node, current()
        waits: Any = _StandsStill() if thread is None else thread
        until = None if timeout is None else node.monotonic() + timeout
        waiting.append(waits)
        try:
            while not ready():
                if not (self.stand_still(waits, timeout) if thread is None else thread.wait(timeout)):
                    return bool(ready())
                if until is not None:
                    timeout = max(0.0, until - node.monotonic())
                if thread is None:
                    waits.woken = False
            return True
        finally:
            waiting.remove(waits)

    def failed(self, thread: threading.Thread, error: BaseException) -> None:
        """A thread has raised. What the simulator refused ends the run: nobody reads what a thread prints."""
        node = self.loop.node
        if isinstance(error, SimulationError):
            node.simulation.fail(error)
            return
        if not isinstance(error, SystemExit):  # which ends the thread alone, in silence
            node.record("unhandled", message="Exception in a thread", error=plain(said(error)))
        threading.excepthook(threading.ExceptHookArgs((type(error), error, error.__traceback__, thread)))

    def left(self) -> Iterator[tuple[str, tuple[str, int, str]]]:
        """Those that keep a process from ending, which daemons do not: the name, and module, line and function at
        which each is. Workers of pools that have nothing to do are none.
        """
        for each in self.alive:
            frame = None if each.thread.daemon else each.own_frame()
            if frame is not None:
                name = re.sub(_COUNTED, r"\1", each.thread.name)
                yield name, (frame.f_globals.get("__name__", ""), frame.f_lineno, frame.f_code.co_name)

    def waiting(self) -> Iterator[tuple[str, str]]:
        """The name of each thread that waits in the program, and the line."""
        for each in self.alive:
            if (place := each.waits_at()) is not None:
                yield each.thread.name, place

    def end(self) -> None:
        """None is left. What they do in a `finally` has no effect, as the process is over, and nobody hears of it."""
        ended = list(self.alive)
        if not ended:
            return
        disabled = logging.root.manager.disable
        logging.disable(sys.maxsize)
        try:
            for each in ended:
                each.end()
            for each in ended:
                each.thread.join(END_SECONDS)
        finally:
            logging.disable(disabled)
        self.alive.clear()


TOLD[Threads._run_next] = Threads.told


class _StandsStill:
    """The loop's own thread, while it waits."""

    def __init__(self) -> None:
        self.woken = False

    def wake(self) -> None:
        self.woken = True


class _Waiting:
    """A lock on a node: whoever waits for it lets the others go on. Elsewhere it is a real one."""

    __slots__ = ("__weakref__", "_real", "_waiting")

    def __init__(self) -> None:
        self._real = REAL.Lock()
        self._waiting: list[Any] | None = None

    @classmethod
    def around(cls, real: Any) -> Self:
        """One that is held where this one is: for a lock that was made off the nodes, and maybe captured there."""
        lock = cls.__new__(cls)
        lock._real, lock._waiting = real, None
        return lock

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As threading.Lock's. On a node seconds are virtual."""
        if timeout != -1 and not (blocking and timeout >= 0):
            self._real.acquire(blocking, timeout)  # raises what is wrong with them
        if self._real.acquire(False):
            return True
        node: Any = running() if blocking and timeout else None
        if node is None:
            return self._real.acquire(blocking, timeout)  # type: ignore[no-any-return]
        if self._waiting is None:
            self._waiting = []
        waited: bool = node.loop.threads.wait_for(self._try, self._waiting, None if timeout == -1 else timeout)
        return waited

    __enter__ = acquire

    def _try(self) -> Any:
        return self._real.acquire(False)

    def release(self) -> None:
        self._real.release()
        if self._waiting:
            self._waiting[0].wake()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._real._at_fork_reinit()


class WaitingLock(_Waiting):
    """threading.Lock."""

    __slots__ = ()

    def locked(self) -> bool:
        return self._real.locked()  # type: ignore[no-any-return]

    acquire_lock, release_lock, locked_lock = _Waiting.acquire, _Waiting.release, locked

    def __repr__(self) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} simulated lock>"


class WaitingRLock(_Waiting):
    """threading.RLock, where it was made off the nodes. A condition asks it for what begins with an underscore."""

    __slots__ = ()

    def _release_save(self) -> Any:
        state = self._real._release_save()
        if self._waiting:
            self._waiting[0].wake()
        return state

    def _acquire_restore(self, state: Any) -> None:
        self.acquire()
        self._real.release()
        self._real._acquire_restore(state)

    if sys.version_info >= (3, 14):

        def locked(self) -> bool:
            return self._real.locked()  # type: ignore[no-any-return]

    def _is_owned(self) -> bool:
        return self._real._is_owned()  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<simulated {self._real!r}>"


@functools.cache
def _at_exit() -> None:
    """Python waits for threads when it ends; those of a simulation that was never closed would never come."""
    threading._register_atexit(_end_all)  # type: ignore[attr-defined]


def _end_all() -> None:
    for each in list(_alive):
        each.end()
