"""The event loop of one simulated node: asyncio's own selector loop over simulated sockets, in virtual time.

One arrival is one SimPy event, which runs the loop turn by turn until nothing is ready. As on Linux, a turn is what the
sockets have (one datagram or one read each), then due timers, then the callbacks. The loop holds at most one live
wake-up, for its earliest timer; SimPy cannot cancel, so a stale one is ignored.

Private names of asyncio that this file relies on, on 3.11 to 3.13: BaseEventLoop._ready, _scheduled,
_timer_cancelled_count, _thread_id, _stopping, _asyncgens; BaseSelectorEventLoop._selector.
tests/sim/kernel/test_loop.py notices a change.
"""

import asyncio
import contextvars
import math
import signal
import sys
from asyncio import Future, events
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet, ref

from sim.kernel.connections import ConnectionMethods
from sim.kernel.errors import Livelock, NodeDown, SimulationError
from sim.kernel.handles import PRIVATE, SLEEP, Handle, NodeFuture, NodeTask, TimerHandle, module_of
from sim.kernel.leaks import made_here
from sim.kernel.plain import plain
from sim.kernel.sockets import Selector, SimulatedSocket, Transports
from sim.kernel.waiting import where

if TYPE_CHECKING:
    from sim.kernel.node import Node

__all__ = ["NodeLoop"]

MAX_TURNS = 100_000
"""Turns without time advancing after which a node is taken to spin."""
_NO_WAKE = math.inf
MANY_CANCELLED = 100  # asyncio's _MIN_SCHEDULED_TIMER_HANDLES


class NodeLoop(ConnectionMethods):
    """A node's event loop. Made by the node; `asyncio` finds it as the running loop."""

    # Slots, those that asyncio's constructors set too: half a kilobyte less a node, and all of it in one place.
    __slots__ = (
        "_clock_resolution",
        "_closed",
        "_coroutine_origin_tracking_enabled",
        "_coroutine_origin_tracking_saved_depth",
        "_current_handle",
        "_dead",
        "_debug",
        "_default_executor",
        "_driven",
        "_environment",
        "_exception_handler",
        "_executor_shutdown_called",
        "_generators",
        "_halted",
        "_host",
        "_internal_fds",
        "_marked",
        "_ready",
        "_scheduled",
        "_selector",
        "_signals",
        "_simulation",
        "_stopping",
        "_task_factory",
        "_tasks",
        "_thread_id",
        "_tidy_at",
        "_timer_cancelled_count",
        "_turning",
        "exact",
        "held",
        "next_number",
        "next_task",
        "node",
        "slow_callback_duration",
        "wake_at",
    )

    _selector: Selector
    # asyncio's own, which its stubs do not show.
    _scheduled: Any
    _task_factory: Any
    _thread_id: Any
    _stopping: bool
    _closed: bool
    _debug: bool
    _timer_cancelled_count: int
    _check_closed: Callable[[], None]
    _check_running: Callable[[], None]
    _set_coroutine_origin_tracking: Callable[[bool], None]

    def __init__(self, node: "Node") -> None:
        self._turning = self._dead = self._driven = False  # asyncio's constructor asks already
        self._generators: WeakSet[Any] | None = None
        # Not that of BaseSelectorEventLoop, which makes a selector and a pipe.
        asyncio.BaseEventLoop.__init__(self)
        self._selector = Selector(self)
        self._ready: list[Any] = []  # a deque takes 600 bytes more
        self.node = node
        self._environment = node.simulation.environment
        self._host = node.host
        self._marked = self._selector.marked
        self._halted = False
        node.host.in_turn = self.is_running
        self._simulation = node.simulation
        self.wake_at = _NO_WAKE
        """The time of its wake-up."""
        self.held = False
        """Whether nothing of it runs: its node is paused or blocked, or its process has ended."""
        self.exact = True
        """Whether its clock has always shown virtual time."""
        self._tasks: list[ref[asyncio.Task[Any]]] = []
        self._tidy_at = 16
        self._signals: dict[int, events.Handle] = {}
        self.next_number = node.simulation.next_number
        self.next_task = count(1).__next__

    # -- time ------------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the simulation began, as this node's monotonic clock shows them."""
        now: float = self._environment._now + self._host.ahead
        return now

    def is_running(self) -> bool:
        return self._turning

    def run_ready(self) -> None:
        """Run turns until nothing is ready, then wait for the next arrival or timer."""
        if self._turning or self.held:
            return
        simulation = self._simulation
        if simulation.entered is not self:
            simulation.entered = self
            events._set_running_loop(self)
        self._turning = True
        try:
            self._turns()
        finally:
            self._rest()

    def run_now(self, handle: Any, callback: Any, argument: Any) -> bool:
        """Run a callback in the place of `handle`, and what follows from it; False where it has to wait."""
        scheduled = self._scheduled
        if (
            self._turning
            or self.held
            or self._ready
            or self._marked
            or (scheduled and scheduled[0]._when <= self._environment._now)
        ):
            return False
        simulation = self._simulation
        if simulation.entered is not self:
            simulation.entered = self
            events._set_running_loop(self)
        self._turning = True
        try:
            try:
                handle._context.run(callback, argument)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                _report(handle, error)
            if (self._ready or self._marked) and not self._halted:
                self._turns()
        finally:
            self._rest()
        return True

    def run_handle(self, handle: events.Handle) -> None:
        """Run a callback in the next turn, which is now where none is running."""
        self._ready.append(handle)
        self.run_ready()

    def halt(self) -> None:
        """The turn ends with the running callback: it slept without yielding, or the process is dead."""
        self._halted = True

    def _rest(self) -> None:
        """After the last turn."""
        self._turning = False
        if not self._simulation.driving:
            self._simulation.leave()  # somebody steps SimPy's environment by hand
        if self._halted and not self._dead:
            self._halted = False
            if not self.held:
                self.node.fall_behind()
        scheduled = self._scheduled
        if scheduled and scheduled[0]._when < self.wake_at:
            self._arm()

    def _turns(self) -> None:
        marked, now = self._marked, self._environment._now
        turns = 0
        while True:
            if marked:
                self._poll(marked)
            ready, scheduled = self._ready, self._scheduled
            # Exactly now, not a clock's resolution early as in asyncio: time does not advance meanwhile, so whoever
            # finds that its deadline has not come and sets the timer again would do so for ever.
            while scheduled and (scheduled[0]._when <= now or scheduled[0]._cancelled):
                handle = heappop(scheduled)
                handle._scheduled = False
                if handle._cancelled:
                    self._timer_cancelled_count -= 1
                else:
                    ready.append(handle)
            if not ready:
                handle = None  # else an exception's traceback, which leads here, keeps its task in a cycle
                return
            self._ready = []  # what comes from now on is the next turn's
            ready.reverse()
            while ready:
                handle = ready.pop()
                if not handle._cancelled:
                    # Handle._run without its frame.
                    try:
                        handle._context.run(handle._callback, *handle._args)
                    except KeyboardInterrupt:
                        self._ready[:0] = ready[::-1]
                        raise
                    except BaseException as error:
                        _report(handle, error)
                    if self._halted:
                        self._break_off(ready[::-1])
                        return
            if self._stopping:
                return
            turns += 1
            if turns > MAX_TURNS:
                last = _shown(handle)  # pyright: ignore[reportPossiblyUnboundVariable] - there was one to run
                raise Livelock(
                    f"{self.node.name} has run {MAX_TURNS} turns without time advancing; the last was {last}"
                )

    def _break_off(self, left: list[Any]) -> None:
        """What is left of a turn that was halted comes first in the next, or is dead."""
        if self._dead:
            self._simulation.keep(left)
        else:
            self._ready[:0] = left

    def _poll(self, marked: dict[int, SimulatedSocket]) -> None:
        """Put the callbacks of sockets that have something behind what is ready, as asyncio's _process_events."""
        ready = self._ready
        for descriptor, watched in list(marked.items()):
            state = watched.poll()
            reader = watched.reader if state & EVENT_READ else None
            writer = watched.writer if state & EVENT_WRITE else None
            if reader is None and writer is None:
                # Looked at again when something comes or somebody wants to know.
                del marked[descriptor]
            if reader is not None and not reader._cancelled:
                ready.append(reader)
            if writer is not None and not writer._cancelled:
                ready.append(writer)

    def _arm(self) -> None:
        """See that there is a wake-up for the earliest timer."""
        when = self._next_timer()
        if when < self.wake_at:
            environment = self._environment
            self.wake_at = when if when > environment._now else environment._now
            environment.wake(self)

    def _next_timer(self) -> float:
        """When the earliest timer is due that is not cancelled; infinity where there is none."""
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heappop(scheduled)._scheduled = False
            self._timer_cancelled_count -= 1
        return scheduled[0]._when if scheduled else _NO_WAKE

    def wake(self) -> None:
        """The time of a wake-up has come, unless there has been an earlier one since."""
        if self.wake_at == self._environment._now:
            self.wake_at = _NO_WAKE
            self.run_ready()

    def still(self, when: float) -> bool:
        """Whether it is to be woken then: its time may have changed, and what it was for been cancelled."""
        if self.wake_at != when:
            return False
        if self._next_timer() <= when:
            return True
        self.wake_at = _NO_WAKE
        self._arm()
        return False

    def _timer_handle_cancelled(self, handle: Any) -> None:
        """Called by a timer that is cancelled. When they are too many, all are thrown out at once, as asyncio does."""
        if not handle._scheduled:
            return
        self._timer_cancelled_count = cancelled = self._timer_cancelled_count + 1
        scheduled = self._scheduled
        if cancelled > MANY_CANCELLED and cancelled > len(scheduled) / 2:
            kept = []
            for each in scheduled:
                if each._cancelled:
                    each._scheduled = False
                else:
                    kept.append(each)
            heapify(kept)
            scheduled[:] = kept
            self._timer_cancelled_count = 0

    def __del__(self) -> None:
        if not self._dead:
            super().__del__()

    def kick_if_needed(self) -> None:
        """As `kick`, where something was put in from outside of the loop since it ran."""
        if self._ready or (self._scheduled and self.wake_at == _NO_WAKE):
            self.kick()

    def kick(self) -> None:
        """Run soon, for what was put in from outside of the loop."""
        self._environment.after(0.0, NodeLoop.run_ready, self)

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
        return Transports(self._selector.sockets)

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
                raise simulation.deadlock("nothing is scheduled any more")
        finally:
            self._stopping = self._driven = False
            self._set_coroutine_origin_tracking(False)

    def close(self) -> None:
        super().close()
        self.held = True
        self.wake_at = _NO_WAKE  # a wake-up that is still scheduled is stale
        self.node.loop_closed()

    # -- tasks -----------------------------------------------------------------------------------------------------

    def create_future(self) -> asyncio.Future[Any]:
        module = module_of(1)
        if module in PRIVATE or (module == "asyncio.tasks" and sys._getframe(1).f_code is SLEEP):
            return Future(loop=self)
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
        entered = self._simulation.entered
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
        self._refuse_others("call_soon or call_at")

    def call_soon_threadsafe(self, callback: Any, *args: Any, context: Any = None) -> events.Handle:  # type: ignore[override]
        if self._simulation.entered is not self:
            self._refuse_others("call_soon_threadsafe")
        return _as_made_above(super().call_soon_threadsafe(callback, *args, context=context))

    def _after_death(self, *_: Any, **__: Any) -> events.TimerHandle:
        """In the place of call_soon and call_at: muted for its own code, an error for everybody else."""
        if self._simulation.entered is not self or not self._turning:
            self._refuse_others("call_soon or call_at")
        return events.TimerHandle(self.time(), _nothing, (), self)

    def spawn(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """A task, whoever asks."""
        if self._task_factory is not None:
            task = super().create_task(coro, **options)
        else:
            self._check_closed()
            if options.get("name") is None:
                options["name"] = f"Task-{self.next_task()}"
            task = NodeTask(coro, loop=self, **options)
            task.made = made_here()
        self._tasks.append(ref(task))
        if len(self._tasks) > self._tidy_at:
            self._tasks = [ref(alive) for alive in self.tasks()]
            self._tidy_at = 2 * len(self._tasks) + 16
        return task

    def tasks(self) -> list[asyncio.Task[Any]]:
        """This loop's tasks that have not ended, oldest first. asyncio.all_tasks looks at those of all nodes."""
        return [task for each in self._tasks if (task := each()) is not None and not task.done()]

    def call_exception_handler(self, context: Any) -> None:
        if self._dead or sys.is_finalizing():  # of a simulation that was never closed
            return
        error = context.get("exception")
        text = "" if error is None else f"{type(error).__name__}: {_said(error)}"
        self.node.record("unhandled", message=plain(str(context.get("message", ""))), error=plain(text))
        super().call_exception_handler(context)

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Runs `func` inline, in its turn: a thread would not be the same in every run."""
        future = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                result = func(*args)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self.call_soon(run, context=contextvars.Context())  # a thread's context is empty too
        return future

    def left(self, error: SystemExit) -> None:
        """sys.exit in a task or callback: the end of this process, and of nobody else's."""
        if self._driven:
            raise error  # as asyncio.run does, whose twin drives this loop
        if not self._dead:
            self.node.leave(error)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """There is none."""

    # -- the end of a process --------------------------------------------------------------------------------------

    def die(self) -> list[Any]:
        """Nothing that runs here has an effect from now on. Returns what must be kept, so that nothing runs on."""
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
        self._scheduled.clear()
        self._selector.close()
        return kept

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> events.Handle:  # type: ignore[override]
        """As asyncio's, without its detours where debug mode is off. So are those below."""
        if self._debug or self._closed:
            return _as_made_above(super().call_soon(callback, *args, context=context))
        handle = Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> events.TimerHandle:
        if self._debug or self._closed or delay is None or not self.exact:
            return _as_made_above(super().call_later(delay, callback, *args, context=context))
        when = self._environment._now + self._host.ahead + delay
        timer = TimerHandle(when, callback, args, self, context)
        heappush(self._scheduled, timer)
        return timer

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> events.TimerHandle:
        if self._debug or self._closed or when is None:
            return _as_made_above(super().call_at(when, callback, *args, context=context))
        timer = TimerHandle(when, callback, args, self, context)
        heappush(self._scheduled, timer)
        return timer

    # -- signals ---------------------------------------------------------------------------------------------------

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        """Called when the simulation delivers the signal: node.stop() is SIGTERM."""
        if asyncio.iscoroutine(callback) or asyncio.iscoroutinefunction(callback):
            raise TypeError("coroutines cannot be used with add_signal_handler()")
        self._check_closed()
        self._signals[signal.Signals(sig)] = events.Handle(callback, args, self, None)

    def remove_signal_handler(self, sig: int) -> bool:
        return self._signals.pop(sig, None) is not None

    def deliver(self, sig: int) -> bool:
        """Run the handler of a signal in the next turn; False where there is none."""
        handle = self._signals.get(sig)
        if handle is None:
            return False
        self._ready.append(handle)
        self.kick()
        return True


def _report(handle: Any, error: BaseException) -> None:
    """Tell the loop's exception handler what a callback raised, as Handle._run does; sys.exit ends the process."""
    if isinstance(error, SystemExit):
        handle._loop.left(error)
        return
    context = {"message": f"Exception in callback {_shown(handle)}", "exception": error, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    try:
        handle._loop.call_exception_handler(context)
    except SystemExit as left:  # in a handler of the program's own
        handle._loop.left(left)


class _Nothing(list[Any]):
    """Takes what a muted program puts in, and keeps nothing."""

    def append(self, _: Any) -> None:
        pass


def _nothing() -> None:
    """What a dead program's callbacks do."""


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # its own __str__ raises: that is no reason for the simulator to fall over
        return f"(its text cannot be had: {type(broken).__name__})"


def _shown(handle: events.Handle) -> str:
    """A handle as a reader wants it: a step of a task is that task."""
    task = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
    return f"{task.get_name()} in {where(task)}" if isinstance(task, asyncio.Task) else repr(handle)


_H = TypeVar("_H", bound=events.Handle)


def _as_made_above(handle: _H) -> _H:
    """In debug mode a handle remembers where it was made: not in this file."""
    trace: Any = handle._source_traceback  # type: ignore[attr-defined]
    if trace:
        del trace[-1]
    return handle
