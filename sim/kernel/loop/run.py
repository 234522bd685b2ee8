"""When a simulated node's program runs: turns, timers, and the wake-up for the earliest of them.

One arrival is one event, which runs the loop turn by turn until nothing is ready. As on Linux, a turn is what the
sockets have (one datagram or one read each), then due timers, then the callbacks. The loop holds at most one live
wake-up, for its earliest timer; an event cannot be taken back, so a stale one is ignored.

Knows of the simulation its schedule. Private names of asyncio's: sim.kernel.cpython. Tests:
tests/sim/kernel/loop/test_loop.py, tests/sim/kernel/test_simulation.py.
"""

import asyncio
import math
from asyncio import events, futures, selector_events
from collections.abc import Callable
from contextvars import copy_context
from heapq import heapify, heappop, heappush
from itertools import count
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any

from sim.kernel.cpython import IS_TRIED
from sim.kernel.errors import Livelock
from sim.kernel.interleaving.chooser import Chooser, InOrder
from sim.kernel.loop.handles import Handle, TimerHandle
from sim.kernel.loop.report import as_made_above, report, shown
from sim.kernel.loop.selector import Selector
from sim.kernel.loop.sockets import SimulatedSocket
from sim.kernel.work import FREE_LOOKS, FREE_TURNS

if TYPE_CHECKING:
    from sim.kernel.node import Node

__all__ = ["NO_WAKE", "Turns"]

NO_WAKE = math.inf
MANY_CANCELLED = 100  # asyncio's _MIN_SCHEDULED_TIMER_HANDLES


class Turns(selector_events.BaseSelectorEventLoop):
    """Base of NodeLoop: everything of it that runs callbacks, or says when one is to run."""

    # Slots, those that asyncio's constructor sets too: half a kilobyte less a node, and all of it in one place. Of the
    # others it has the class's, below, until somebody gives it one of its own.
    __slots__ = (
        "_asks",
        "_asyncgens_shutdown_called",
        "_chooser",
        "_closed",
        "_dead",
        "_debug",
        "_halted",
        "_host",
        "_looked_at",
        "_looks",
        "_marked",
        "_ready",
        "_schedule",
        "_selector",
        "_simulation",
        "_spun",
        "_stopping",
        "_task_factory",
        "_timer_cancelled_count",
        "_timers",
        "_turning",
        "cost",
        "exact",
        "get_debug",
        "held",
        "node",
        "wake_at",
    )

    # What asyncio's constructor sets, and few programs change.
    _clock_resolution = 1e-9
    _coroutine_origin_tracking_enabled = False
    _coroutine_origin_tracking_saved_depth: Any = None
    _current_handle: Any = None
    _default_executor: Any = None
    _exception_handler: Any = None
    _executor_shutdown_called = False
    _internal_fds = 0
    _old_agen_hooks: Any = None
    _thread_id: Any = None
    slow_callback_duration = 0.1

    get_debug: Any
    # asyncio's own, which its stubs do not show.
    _check_callback: Any
    _check_thread: Any

    def __init__(self, node: "Node") -> None:
        self._turning = self._dead = False
        self._timers: list[tuple[float, int, Any]] = []
        """A heap: (when, number, handle). Numbers are counted up, so that two handles are never compared."""
        if not IS_TRIED:
            asyncio.BaseEventLoop.__init__(self)
        # That constructor written out, which takes a fifth of the instructions of a node. That of
        # BaseSelectorEventLoop makes a selector and a pipe besides.
        self._closed = self._stopping = self._asyncgens_shutdown_called = False
        self._task_factory: Any = None
        self._timer_cancelled_count = 0
        self._debug: bool = node.simulation.debug
        self.get_debug = _yes if self._debug else bool
        self._selector = Selector(self)
        interleaving = node.simulation.interleaving
        self._chooser = None if interleaving is None else interleaving.chooser(node.name, node.record)
        self._ready: list[Any] = []  # a deque takes 600 bytes more
        self.node = node
        self._simulation = node.simulation
        self._schedule = node.simulation.schedule
        self._host = node.host
        self._marked = self._selector.marked
        self._halted = self._asks = False
        self._looks, self._looked_at = 0, -1.0
        self._spun = 0
        """Turns that it has run without waiting, where they are so many that each takes time (sim.kernel.work)."""
        self.cost: Callable[[], float] | None = None
        """Seconds that the next step of its program takes; None = no time."""
        node.host.in_turn = self.is_running
        self.wake_at = NO_WAKE
        """The time of its wake-up."""
        self.held = False
        """Whether nothing of it runs: its node is paused or blocked, or its process has ended."""
        self.exact = True
        """True if the clock never had an offset or drift, so that its time is the simulation's."""

    # -- time ------------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the simulation began, as this node's monotonic clock shows them."""
        self._looks = looks = self._looks + 1
        if looks > FREE_LOOKS:
            self.looked()
        now: float = self._schedule.now + self._host.ahead
        return now

    def looked(self) -> None:
        """The program has read the clock many times at one instant: from now on each reading costs virtual time."""
        now = self._schedule.now
        if now != self._looked_at:
            self._looked_at, self._looks = now, 0
        elif self._turning and self._simulation.entered is self:
            self.node.look()

    @property
    def _scheduled(self) -> list[Any]:
        """asyncio's list of timer handles, made from our heap when asked for; changes to it have no effect."""
        return [handle for _, _, handle in sorted(self._timers)]

    @_scheduled.setter
    def _scheduled(self, _: Any) -> None:
        """Ignores the list that asyncio's constructor sets."""

    def set_debug(self, enabled: bool) -> None:
        super().set_debug(enabled)
        # C asks for every future and task that it makes: a type answers faster than a function of Python's.
        self.get_debug = _yes if enabled else bool

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
            if self._halted or not simulation.driving:
                self._rest()
            else:  # the same without a call, as nearly always
                self._turning = False
                timers = self._timers
                if timers and timers[0][0] < self.wake_at:
                    self._arm()

    def run_now(self, handle: Any, callback: Any, argument: Any) -> bool:
        """Run a callback in the place of `handle`, and what follows from it; False where it has to wait."""
        timers = self._timers
        if (
            self._turning
            or self.held
            or self._ready
            or self._marked
            or (timers and timers[0][0] <= self._schedule.now)
            or self.cost is not None
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
                report(handle, error)
            if (self._ready or self._marked) and not self._halted:
                self._turns()
        finally:
            if self._halted or not simulation.driving:
                self._rest()
            else:
                self._turning = False
                if timers and timers[0][0] < self.wake_at:
                    self._arm()
        return True

    def run_handle(self, handle: events.Handle) -> None:
        """Run a callback in the next turn, which is now where none is running."""
        self._ready.append(handle)
        self.run_ready()

    def halt(self) -> None:
        """End the turn after the running callback: the program called time.sleep(), or the process is dead."""
        self._halted = True

    def _rest(self) -> None:
        """After the last turn."""
        self._turning = False
        if not self._simulation.driving:
            self._simulation.stepped()
        if self._halted and not self._dead:
            self._halted = False
            if not self.held:
                self.node.fall_behind()
        timers = self._timers
        if timers and timers[0][0] < self.wake_at:
            self._arm()

    def _turns(self) -> None:
        if self._chooser is not None or self.cost is not None:
            self._considered_turns(InOrder() if self._chooser is None else self._chooser, self.cost)
            return
        marked, timers, now, turns = self._marked, self._timers, self._schedule.now, self._spun
        while True:
            if marked:
                self._poll_sockets(marked)
            ready = self._ready
            # Exactly now, not a clock's resolution early as in asyncio: time does not advance meanwhile, so whoever
            # finds that its deadline has not come and sets the timer again would do so for ever.
            while timers and timers[0][0] <= now:
                handle = heappop(timers)[2]
                handle._scheduled = False
                if handle._cancelled:
                    self._timer_cancelled_count -= 1
                else:
                    ready.append(handle)
            if not ready:
                handle = arguments = None  # else an exception's traceback, which leads here, keeps its task in a cycle
                if turns > FREE_TURNS:
                    self._waits()
                return
            self._ready = []  # what comes from now on is the next turn's
            ready.reverse()
            while ready:
                handle = ready.pop()
                if not handle._cancelled:
                    # Handle._run without its frame. A call with a star takes three times as long as one without.
                    arguments = handle._args
                    try:
                        if not arguments:
                            handle._context.run(handle._callback)
                        elif len(arguments) == 1:
                            handle._context.run(handle._callback, arguments[0])
                        elif handle._callback is _WAKE_UP:
                            future, result = arguments
                            if not future.cancelled():
                                future.set_result(result)
                        else:
                            handle._context.run(handle._callback, *arguments)
                    except KeyboardInterrupt:
                        self._ready[:0] = ready[::-1]
                        raise
                    except BaseException as error:
                        report(handle, error)
                    if self._halted:
                        self._break_off(ready[::-1])
                        return
            if self._stopping:
                return
            turns += 1
            if turns > FREE_TURNS:
                self._take_time(turns, handle)  # pyright: ignore[reportPossiblyUnboundVariable] - there was one to run
                return

    def _considered_turns(self, order: Chooser | InOrder, cost: Callable[[], float] | None) -> None:
        """As `_turns`, where the seed chooses what goes next, also what became ready in the same turn, or where each
        step takes time. Then others go on after each turn, and the machine when they have come as far.
        """
        turns = self._spun
        while True:
            if self._marked:
                self._poll_sockets(self._marked)
            timers, now = self._timers, self._schedule.now
            while timers and timers[0][0] <= now:
                timer = heappop(timers)[2]
                timer._scheduled = False
                if timer._cancelled:
                    self._timer_cancelled_count -= 1
                else:
                    self._ready.append(timer)
            order.add(self._ready)
            self._ready = []
            if not len(order):
                handle = None  # as in `_turns`
                if turns > FREE_TURNS or cost is not None:
                    self._waits()
                return
            # As many steps as were ready at its start, so that sockets and timers come as often as without a choice.
            for _ in range(len(order)):
                handle = order.take()
                if not handle._cancelled:
                    try:
                        handle._context.run(handle._callback, *handle._args)
                    except KeyboardInterrupt:
                        self._ready[:0] = order.give_back()
                        raise
                    except BaseException as error:
                        report(handle, error)
                    if cost is not None:
                        took = cost()
                        self.node.work.seconds += took
                        self._host.ahead += took
                    if self._halted:
                        self._break_off(order.give_back())
                        return
                    order.ran()
                if self._ready:
                    order.add(self._ready)
                    self._ready = []
            turns += 1
            if self._stopping or turns > FREE_TURNS or cost is not None:
                self._ready = order.give_back()
                if not self._stopping or cost is not None:
                    self._take_time(turns, handle)  # pyright: ignore[reportPossiblyUnboundVariable] - there was one
                return

    def _take_time(self, turns: int, last: Any) -> None:
        """After many turns without waiting, let other nodes run before the next one. In the end raises Livelock."""
        work, now = self.node.work, self._schedule.now
        cost = work.turn(now) if self.cost is None else work.went_on(turns, now)
        if cost == math.inf:
            error = self._livelock(turns, last)
            self._waits()
            raise error
        self._spun = turns
        self._host.ahead += cost
        self._halted = True

    def check_rests(self) -> None:
        """Raises Livelock where the program has worked for a second without waiting, and still does.

        Where its steps take time it may just have much to do.
        """
        if self.cost is None and self._spun and self._ready and self.node.work.spent(self._schedule.now) >= 1.0:
            raise self._livelock(self._spun, self._ready[0])

    def _livelock(self, turns: int, last: Any) -> Livelock:
        spent = self.node.work.spent(self._schedule.now)
        return Livelock(
            f"{self.node.name} has run {turns} turns in {spent:.0f} s and never waited; the last was {shown(last)}"
        )

    def _waits(self) -> None:
        self._spun = 0
        self.node.work.rest()

    def _break_off(self, left: list[Any]) -> None:
        """Callbacks that a halted turn did not run come first in the next turn; a dead process runs none."""
        if self._dead:
            self._simulation.keep(left)
        else:
            self._ready[:0] = left

    def _poll_sockets(self, marked: dict[int, SimulatedSocket]) -> None:
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
        """Schedule a wake-up for the earliest timer; one that is beyond the calendar's horizon is scheduled there."""
        when = self._next_timer()
        if when < self.wake_at:
            schedule = self._schedule
            if when < schedule.horizon:
                self.wake_at = when if when > schedule.now else schedule.now
                schedule.wake(self)
                return
            self.wake_at = schedule.horizon
            if not self._asks:
                self._asks = True
                schedule.asking.append(self)

    def asked(self) -> None:
        """The calendar's horizon is reached: schedule a wake-up for the earliest timer."""
        self._asks = False
        self.wake_at = when = self._next_timer()
        if when < NO_WAKE:
            schedule = self._schedule
            if when < schedule.now:
                self.wake_at = schedule.now  # its node is paused
            schedule.wake(self)

    def _next_timer(self) -> float:
        """When the earliest timer is due that is not cancelled; infinity where there is none."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heappop(timers)[2]._scheduled = False
            self._timer_cancelled_count -= 1
        return timers[0][0] if timers else NO_WAKE

    def wake(self) -> None:
        """Run what is due. A wake-up is stale, and does nothing, if another one was scheduled since."""
        now, timers = self._schedule.now, self._timers
        if self.wake_at == now:
            self.wake_at = NO_WAKE
            if timers and timers[0][0] > now and not (self._ready or self._marked):
                self._arm()  # the timer that it was for was cancelled
            else:
                self.run_ready()

    def still(self, when: float) -> bool:
        """True if the wake-up that is queued for then is still needed; otherwise schedule another one."""
        if self.wake_at != when:
            return False
        if self._next_timer() <= when:
            return True
        self.wake_at = NO_WAKE
        self._arm()
        return False

    def _timer_handle_cancelled(self, handle: Any) -> None:
        """Called by a timer that is cancelled. When they are too many, all are thrown out at once, as asyncio does."""
        if not handle._scheduled:
            return
        timers = self._timers
        if timers and timers[-1][2] is handle:
            # A heap's last can go at once, and most time-outs are: what they guard has ended before another is set.
            timers.pop()
            handle._scheduled = False
            while timers and timers[-1][2]._cancelled:
                timers.pop()[2]._scheduled = False
                self._timer_cancelled_count -= 1
            return
        self._timer_cancelled_count = cancelled = self._timer_cancelled_count + 1
        if cancelled > MANY_CANCELLED and cancelled > len(timers) / 2:
            kept = []
            for entry in timers:
                if entry[2]._cancelled:
                    entry[2]._scheduled = False
                else:
                    kept.append(entry)
            heapify(kept)
            timers[:] = kept
            self._timer_cancelled_count = 0

    def kick_if_needed(self) -> None:
        """Schedule a run if a callback or an earlier timer was added from outside of the loop."""
        if self._ready or (self._timers and self._timers[0][0] < self.wake_at):
            self.kick()

    def kick(self) -> None:
        """Schedule a run now, for a callback or timer that was added from outside of the loop."""
        self._schedule.after(0.0, Turns.run_ready, self)

    # -- what asks for it --------------------------------------------------------------------------------------------

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> events.Handle:  # type: ignore[override]
        """As asyncio's; if debug mode is off, without its checks. So are the methods below."""
        if self._debug or self._closed:
            return as_made_above(super().call_soon(callback, *args, context=context))
        handle: Handle = Handle()
        handle._context = copy_context() if context is None else context
        handle._loop, handle._callback, handle._args = self, callback, args
        handle._cancelled = False
        handle._repr = handle._source_traceback = None
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> events.TimerHandle:
        if self._debug or self._closed or delay is None or not self.exact:
            return as_made_above(super().call_later(delay, callback, *args, context=context))
        when = self._schedule.now + self._host.ahead + delay
        return self._timer(when, callback, args, context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> events.TimerHandle:
        if self._closed or when is None:
            return super().call_at(when, callback, *args, context=context)  # raises
        if self._debug:
            self._check_thread()
            self._check_callback(callback, "call_at")
            return self.add_timer(as_made_above(events.TimerHandle(when, callback, args, self, context)))
        return self._timer(when, callback, args, context)

    def _timer(self, when: float, callback: Any, args: Any, context: Any) -> events.TimerHandle:
        timer: TimerHandle = TimerHandle()
        timer._context = copy_context() if context is None else context
        timer._loop, timer._callback, timer._args, timer._when = self, callback, args, when
        timer._cancelled, timer._scheduled = False, True
        timer._repr = timer._source_traceback = None
        heappush(self._timers, (when, _number(), timer))
        return timer

    def add_timer(self, timer: Any) -> events.TimerHandle:
        """Put a timer into the heap, at its `_when`."""
        timer._scheduled = True
        heappush(self._timers, (timer._when, _number(), timer))
        return timer  # type: ignore[no-any-return]


_number = count().__next__
_WAKE_UP = futures._set_result_unless_cancelled  # type: ignore[attr-defined]
"""The callback of asyncio.sleep's timer: it only sets a future, so its context need not be entered."""


def _yes() -> bool:
    return True
