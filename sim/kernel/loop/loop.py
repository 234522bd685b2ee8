"""The event loop of one simulated node: asyncio's own selector loop over simulated sockets, in virtual time.

Tasks, futures, callbacks from elsewhere, signals, and the end of a process. When it runs is said in
sim.kernel.loop.run, how it makes connections in sim.kernel.loop.connections.

Private names of asyncio's that this room uses are listed in sim.kernel.cpython. Tests:
tests/sim/kernel/loop/test_loop.py, test_callbacks.py; tests/sim/twins/test_loop.py against asyncio's own loop.
"""

import asyncio
import signal
import sys
from asyncio import Future, events
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import get_ident
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from sim.kernel.errors import NodeDown, SimulationError
from sim.kernel.executor import Executor
from sim.kernel.leaks import made_here
from sim.kernel.loop.connections import ConnectionMethods
from sim.kernel.loop.handles import FINDS_LOOP_FAST, IN_CALLBACK, PRIVATE, NodeFuture, NodeTask, called, module_of
from sim.kernel.loop.report import as_made_above, as_made_outside
from sim.kernel.loop.run import NO_WAKE
from sim.kernel.loop.selector import Transports
from sim.kernel.normalize import plain, said
from sim.kernel.threads import Threads, current

if TYPE_CHECKING:
    from sim.kernel.node import Node
    from sim.kernel.simulation import Simulation

__all__ = ["UNCATCHABLE", "NodeLoop"]

UNCATCHABLE = frozenset({signal.SIGKILL, signal.SIGSTOP})


class NodeLoop(ConnectionMethods):
    """A node's event loop. Made by the node; `asyncio` finds it as the running loop."""

    __slots__ = (
        "_driven",
        "_driver",
        "_executor",
        "_generators",
        "_signals",
        "_tasks",
        "_threads",
        "_tidy_at",
        "next_number",
        "next_task",
    )

    # asyncio's own, which its stubs do not show.
    _check_closed: Callable[[], None]
    _check_running: Callable[[], None]
    _set_coroutine_origin_tracking: Callable[[bool], None]

    def __init__(self, node: "Node") -> None:
        self._driven = False
        self._driver = 0
        """The thread that ran it until nothing was scheduled any more."""
        self._generators: WeakSet[Any] | None = None
        self._threads: Threads | None = None
        self._executor: Executor | None = None
        """The default one, where the program has set no other."""
        super().__init__(node)
        self._tasks: list[ref[asyncio.Task[Any]]] = []
        self._tidy_at = 16
        self._signals: dict[int, tuple[Any, events.Handle | None]] = {}
        """What the process does, as signal.signal sets it (None = by default), and the loop besides."""
        self.next_number = node.simulation.next_number
        self.next_task = count(1).__next__

    def __del__(self) -> None:
        if not self._dead:
            self._simulation.abandon()  # collected before it: their cycle goes at once

    @property
    def _asyncgens(self) -> "WeakSet[Any]":
        """Asynchronous generators that are being iterated; made when there is one: a weak set takes 800 bytes."""
        if self._generators is None:
            self._generators = WeakSet()
        return self._generators

    @_asyncgens.setter
    def _asyncgens(self, _: Any) -> None:
        """What asyncio's constructor makes is not kept."""

    @property
    def _transports(self) -> Transports:
        """Which transport has which descriptor, as asyncio keeps it."""
        return Transports({} if self._closed else self._selector.sockets)

    # -- running it alone ------------------------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Run the whole simulation until stop() is called on this loop."""
        self._check_closed()
        self._check_running()
        simulation = self.node.simulation
        self._set_coroutine_origin_tracking(self._debug)
        self._driven = True
        try:
            if not simulation.drive(lambda: self._stopping):
                self._driver = get_ident()
                raise simulation.deadlock("nothing is scheduled any more")
        finally:
            self._stopping = self._driven = False
            self._set_coroutine_origin_tracking(False)

    def close(self) -> None:
        super().close()
        self._timers.clear()
        self._unregister_tasks()
        self.held = True
        self.wake_at = NO_WAKE  # a wake-up that is still scheduled is stale
        self.node.loop_closed()
        if self._threads is not None:
            self._threads.end()

    # -- tasks -----------------------------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        if module_of(1) in PRIVATE:
            return Future() if FINDS_LOOP_FAST and self._simulation.entered is self else Future(loop=self)
        return NodeFuture(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Raises NodeDown, and SimulationError where another node's code asks: machines share no tasks.

        So do call_soon_threadsafe and, after its end, call_soon and call_at; while the node lives those two are looked
        at in debug mode alone, as asyncio does with threads.
        """
        if self._simulation.entered is not self:
            self._refuse_others("create_task", coro)
        return self.spawn(coro, **options)

    def _refuse_others(self, what: str, coroutine: Any = None) -> None:
        simulation = self._simulation
        if simulation.driving and get_ident() != simulation.thread and current() is None:
            simulation.refuse_thread(self.node.name, f"calls {what}")
        entered = simulation.entered
        other = entered if entered is not None and entered is not self and entered._turning else None
        if other is None and not self._dead:
            return
        if asyncio.iscoroutine(coroutine):
            coroutine.close()
        name = self.node.name
        if self._dead:
            raise NodeDown(
                f"{what} on the loop of {name}, which is down; after a restart it has another one: node.loop"
            )
        raise SimulationError(
            f"{what} on the loop of {name} by the code of {other and other.node.name}: they are two machines; send a "
            f"message, or start it there: simulation.nodes[{name!r}].start(main)"
        )

    def _check_thread(self) -> None:
        """In debug mode, before call_soon, call_at and call_later."""
        if current() is not None:
            raise RuntimeError("Non-thread-safe operation invoked on an event loop other than the current one")
        self._refuse_others("call_soon or call_at")

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> events.Handle:  # type: ignore[override]
        if self._simulation.entered is not self or get_ident() != self._simulation.thread:
            if self._driver not in (0, get_ident()):
                self._simulation.refuse_thread(self.node.name, "calls call_soon_threadsafe")
            self._refuse_others("call_soon_threadsafe")
        return as_made_above(super().call_soon_threadsafe(callback, *args, context=context))

    def _after_death(self, *_: Any, **__: Any) -> events.TimerHandle:
        """Replaces call_soon and call_at of a dead node: its own code is ignored, other code gets an error."""
        own = self._simulation.entered is self and self._turning
        if not own and events._get_running_loop() is not self:  # it is while its tasks are buried
            self._refuse_others("call_soon or call_at")
        return events.TimerHandle(self.time(), _nothing, (), self)

    @contextmanager
    def open_to_all(self) -> Iterator[None]:
        """Within, the code of another node may ask for callbacks here, in debug mode too."""
        entered, self._simulation.entered = self._simulation.entered, None
        try:
            yield
        finally:
            self._simulation.entered = entered

    @property
    def simulation(self) -> "Simulation":
        return self._simulation

    def run_soon(self, handle: events.Handle) -> None:
        """Run a callback in the next turn, for whoever is outside of the loop."""
        self._ready.append(handle)
        self.kick()

    def spawn(self, coro: Any, kind: type[NodeTask] = NodeTask, **options: Any) -> asyncio.Task[Any]:
        """Make a task of this loop, also if code of another node asks for it."""
        if self._task_factory is not None:
            task = super().create_task(coro, **options)
        else:
            self._check_closed()
            if options.get("name") is None:
                options["name"] = f"Task-{self.next_task()}"
            if self._debug:
                with self.open_to_all():
                    task = kind.numbered(self.next_number(), coro, self, options)
                as_made_outside(task)
            else:
                task = kind.numbered(self.next_number(), coro, self, options)
            task.made = made_here()
        self._tasks.append(ref(task))
        if len(self._tasks) > self._tidy_at:
            self._tasks = [ref(alive) for alive in self.tasks()]
            self._tidy_at = 2 * len(self._tasks) + 16
        return task

    def tasks(self) -> list[asyncio.Task[Any]]:
        """This loop's tasks that have not ended, oldest first. asyncio.all_tasks looks at those of all nodes."""
        return [task for each in self._tasks if (task := each()) is not None and not task.done()]

    def ended(self) -> list[asyncio.Task[Any]]:
        """This loop's tasks that have ended and are still referred to."""
        return [task for each in self._tasks if (task := each()) is not None and task.done()]

    def call_exception_handler(self, context: Any) -> None:
        if self._simulation.is_garbage:
            self._simulation.abandon()  # one of its tasks was collected before it
        if self._dead or sys.is_finalizing():  # of a simulation that was never closed
            return
        error = context.get("exception")
        text = "" if error is None else said(error)
        handle, message = context.get("handle"), str(context.get("message", ""))
        if isinstance(handle, events.Handle) and message.startswith(IN_CALLBACK):
            message = IN_CALLBACK + called(handle) if not handle.cancelled() else message
        self.node.record("unhandled", message=plain(message), error=plain(text))
        super().call_exception_handler(context)

    @property
    def threads(self) -> Threads:
        """Made when there is one."""
        if self._threads is None:
            self._threads = Threads(self)
        return self._threads

    @property
    def has_threads(self) -> bool:
        """Whether one of them has still to end."""
        return self._threads is not None and bool(self._threads.alive)

    def waiting_threads(self) -> Iterable[tuple[str, str]]:
        """Each thread's name, and the line at which it waits."""
        return () if self._threads is None else self._threads.waiting()

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """In a thread of this node, in the loop's next turn where it has no executor of the program's own."""
        self._check_closed()
        if self._debug and (asyncio.iscoroutine(func) or asyncio.iscoroutinefunction(func)):
            raise TypeError("coroutines cannot be used with run_in_executor()")
        if executor is None:
            if self._executor_shutdown_called:
                raise RuntimeError("Executor shutdown has been called")
            executor = self._default_executor
        if executor is not None:
            # Whoever has put an executor of their own there is asked.
            return asyncio.wrap_future(executor.submit(func, *args), loop=self)
        if self._executor is None:
            self._executor = Executor(self.threads)
        return self._executor.call(func, args)

    def left(self, error: SystemExit) -> None:
        """sys.exit in a task or callback: the end of this process, and of nobody else's."""
        if self._driven:
            raise error  # as asyncio.run does, whose twin drives this loop
        if not self._dead:
            self.node.leave(error)

    async def shutdown_default_executor(self, *timeout: Any, **options: Any) -> None:
        """Wait for the functions that run in it, from 3.12 on for at most `timeout` seconds."""
        await super().shutdown_default_executor(*timeout, **options)
        if self._executor is not None:
            await self._executor.shut_down(*timeout, **options)

    # -- the end of a process --------------------------------------------------------------------------------------

    def die(self) -> list[Any]:
        """From now on no code of this node has an effect. Returns its coroutines: freeing one runs its `finally`."""
        kept: list[Any] = [*self.tasks(), *self._asyncgens, *self._ready, *self._scheduled]
        for transport in list(self._transports.values()):
            # Else it, and the stream that holds it, warns that nobody closed it.
            transport._sock, transport._closing = None, True
            secured = getattr(transport.get_protocol(), "_app_transport", None)
            if secured is not None:
                secured._closed = True  # TLS has a transport of its own above
            kept.append(transport)
        kept.extend(self._selector.sockets.values())
        self._dead = self._halted = True
        self.call_soon = self.call_at = self.call_later = self._after_death  # type: ignore[method-assign]
        self.held = True
        self._ready = _Nothing()
        self._timers.clear()
        self._selector.close()
        self._unregister_tasks()
        return kept

    def _unregister_tasks(self) -> None:
        """Take its tasks out of asyncio's set of all.

        What is left of an ended simulation stays there until Python collects it, and has the same hashes as the next
        one's: a hundred seeds later each new task is compared with a hundred dead ones.
        """
        for each in self._tasks:
            task = each()
            if task is not None:
                asyncio._unregister_task(task)

    # -- signals ---------------------------------------------------------------------------------------------------

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        """Called when the simulation delivers the signal: node.stop() is SIGTERM."""
        if asyncio.iscoroutine(callback) or asyncio.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        number = _signal(sig)
        self._check_closed()
        if number in UNCATCHABLE:
            raise RuntimeError(f"sig {sig} cannot be caught")
        self._signals[number] = _leaves_it_to_the_loop, events.Handle(callback, args, self, None)

    def remove_signal_handler(self, sig: int) -> bool:
        if self.handlers_of(_signal(sig))[1] is None:
            return False
        del self._signals[sig]
        return True

    def handle_signal(self, sig: int, handler: Any) -> None:
        """As signal.signal: what the process does, None = by default. The loop's own handler stays, as in asyncio."""
        self._signals[sig] = handler, self.handlers_of(sig)[1]

    def handlers_of(self, sig: int) -> tuple[Any, events.Handle | None]:
        return self._signals.get(sig, (None, None))

    def deliver(self, sig: int, *, called: bool = False) -> bool:
        """Run the handlers of a signal in the next turn, the process's but where it was `called`; False = there is
        none.
        """
        process, handle = self.handlers_of(sig)
        if process is None:
            return False
        if process != signal.SIG_IGN:
            if not called and process is not _leaves_it_to_the_loop:
                self._ready.append(events.Handle(process, (sig, None), self, None))
            if handle is not None:
                self._ready.append(handle)
            self.kick()
        return True


def _signal(sig: Any) -> signal.Signals:
    """The signal of that number. Raises TypeError and ValueError as asyncio does."""
    if not isinstance(sig, int):
        raise TypeError(f"sig must be an int, not {sig!r}")
    if sig not in signal.valid_signals():
        raise ValueError(f"invalid signal number {sig}")
    return signal.Signals(sig)


class _Nothing(list[Any]):
    """Takes what a muted program puts in, and keeps nothing."""

    def append(self, _: Any) -> None:
        pass


def _leaves_it_to_the_loop(*_: Any) -> None:
    """What signal.getsignal says once the loop handles a signal; asyncio's does nothing either."""


def _nothing() -> None:
    """What a dead program's callbacks do."""
