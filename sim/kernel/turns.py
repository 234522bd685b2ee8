"""When a simulated node's program runs: turns, timers, and the wake-up for the earliest of them.

One arrival is one event, which runs the loop turn by turn until nothing is ready. As on Linux, a turn is what the
sockets have (one datagram or one read each), then due timers, then the callbacks. The loop holds at most one live
wake-up, for its earliest timer; an event cannot be taken back, so a stale one is ignored.

Private names of asyncio that this file relies on, on 3.11 to 3.13: BaseEventLoop._ready, _scheduled,
_timer_cancelled_count, _timer_handle_cancelled, _stopping. tests/sim/kernel/test_loop.py notices a change.
"""

import asyncio
import math
from asyncio import events, format_helpers
from heapq import heapify, heappop, heappush
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any, TypeVar

from sim.kernel.connections import ConnectionMethods
from sim.kernel.errors import Livelock
from sim.kernel.handles import Handle, TimerHandle
from sim.kernel.selector import Selector
from sim.kernel.sockets import SimulatedSocket
from sim.kernel.waiting import where

if TYPE_CHECKING:
    from sim.kernel.node import Node

__all__ = ["NO_WAKE", "Turns", "as_made_above"]

MAX_TURNS = 100_000
"""Turns without time advancing after which a node is taken to spin."""
NO_WAKE = math.inf
MANY_CANCELLED = 100  # asyncio's _MIN_SCHEDULED_TIMER_HANDLES


class Turns(ConnectionMethods):
    """Base of NodeLoop: everything of it that runs callbacks, or says when one is to run."""

    # Slots, those that asyncio's constructor sets too: half a kilobyte less a node, and all of it in one place.
    __slots__ = (
        "_asks",
        "_closed",
        "_dead",
        "_debug",
        "_halted",
        "_host",
        "_marked",
        "_ready",
        "_schedule",
        "_scheduled",
        "_selector",
        "_simulation",
        "_stopping",
        "_timer_cancelled_count",
        "_turning",
        "exact",
        "get_debug",
        "held",
        "node",
        "wake_at",
    )

    get_debug: Any
    # asyncio's own, which its stubs do not show.
    _scheduled: Any
    _stopping: bool
    _closed: bool
    _timer_cancelled_count: int

    def __init__(self, node: "Node") -> None:
        self._turning = self._dead = False  # asyncio's constructor asks already
        # Not that of BaseSelectorEventLoop, which makes a selector and a pipe.
        asyncio.BaseEventLoop.__init__(self)
        self._selector = Selector(self)
        self._ready: list[Any] = []  # a deque takes 600 bytes more
        self.node = node
        self._simulation = node.simulation
        self._schedule = node.simulation.schedule
        self._host = node.host
        self._marked = self._selector.marked
        self._halted = self._asks = False
        node.host.in_turn = self.is_running
        self.wake_at = NO_WAKE
        """The time of its wake-up."""
        self.held = False
        """Whether nothing of it runs: its node is paused or blocked, or its process has ended."""
        self.exact = True
        """Whether its clock has always shown virtual time."""

    # -- time ------------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the simulation began, as this node's monotonic clock shows them."""
        now: float = self._schedule.now + self._host.ahead
        return now

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
            self._rest()

    def run_now(self, handle: Any, callback: Any, argument: Any) -> bool:
        """Run a callback in the place of `handle`, and what follows from it; False where it has to wait."""
        scheduled = self._scheduled
        if (
            self._turning
            or self.held
            or self._ready
            or self._marked
            or (scheduled and scheduled[0]._when <= self._schedule.now)
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
            if self._halted or not simulation.driving:
                self._rest()
            else:  # the same without a call, as after nearly every arrival
                self._turning = False
                scheduled = self._scheduled
                if scheduled and scheduled[0]._when < self.wake_at:
                    self._arm()
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
        marked, now = self._marked, self._schedule.now
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
                handle = arguments = None  # else an exception's traceback, which leads here, keeps its task in a cycle
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
                        else:
                            handle._context.run(handle._callback, *arguments)
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
        """See that there is a wake-up for the earliest timer, or will be when its time is nearer."""
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
        """The horizon has come: what the earliest timer is by now stands for a while."""
        self._asks = False
        self.wake_at = when = self._next_timer()
        if when < NO_WAKE:
            schedule = self._schedule
            if when < schedule.now:
                self.wake_at = schedule.now  # its node is paused
            schedule.wake(self)

    def _next_timer(self) -> float:
        """When the earliest timer is due that is not cancelled; infinity where there is none."""
        scheduled = self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heappop(scheduled)._scheduled = False
            self._timer_cancelled_count -= 1
        return scheduled[0]._when if scheduled else NO_WAKE

    def wake(self) -> None:
        """The time of a wake-up has come, unless there has been an earlier one since."""
        if self.wake_at == self._schedule.now:
            self.wake_at = NO_WAKE
            self.run_ready()

    def still(self, when: float) -> bool:
        """Whether it is to be woken then: its time may have changed, and what it was for been cancelled."""
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
        scheduled = self._scheduled
        if scheduled and scheduled[-1] is handle:
            # A heap's last can go at once, and most time-outs are: what they guard has ended before another is set.
            scheduled.pop()
            handle._scheduled = False
            while scheduled and scheduled[-1]._cancelled:
                scheduled.pop()._scheduled = False
                self._timer_cancelled_count -= 1
            return
        self._timer_cancelled_count = cancelled = self._timer_cancelled_count + 1
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

    def kick_if_needed(self) -> None:
        """As `kick`, where something was put in from outside of the loop since it ran."""
        if self._ready or (self._scheduled and self.wake_at == NO_WAKE):
            self.kick()

    def kick(self) -> None:
        """Run soon, for what was put in from outside of the loop."""
        self._schedule.after(0.0, Turns.run_ready, self)

    # -- what asks for it --------------------------------------------------------------------------------------------

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> events.Handle:  # type: ignore[override]
        """As asyncio's, without its detours where debug mode is off. So are those below."""
        if self._debug or self._closed:
            return as_made_above(super().call_soon(callback, *args, context=context))
        handle = Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Any, *args: Any, context: Any = None
    ) -> events.TimerHandle:
        if self._debug or self._closed or delay is None or not self.exact:
            return as_made_above(super().call_later(delay, callback, *args, context=context))
        when = self._schedule.now + self._host.ahead + delay
        timer = TimerHandle(when, callback, args, self, context)
        heappush(self._scheduled, timer)
        return timer

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> events.TimerHandle:
        if self._debug or self._closed or when is None:
            return as_made_above(super().call_at(when, callback, *args, context=context))
        timer = TimerHandle(when, callback, args, self, context)
        heappush(self._scheduled, timer)
        return timer


_HIDES_ARGUMENTS = "debug" in (format_helpers._format_callback_source.__kwdefaults__ or ())
"""Whether asyncio shows a callback's arguments in debug mode only, as from 3.13 on."""


def _yes() -> bool:
    return True


def _report(handle: Any, error: BaseException) -> None:
    """Tell the loop's exception handler what a callback raised, as Handle._run does; sys.exit ends the process."""
    if isinstance(error, SystemExit):
        handle._loop.left(error)
        return
    debug = {"debug": handle._loop._debug} if _HIDES_ARGUMENTS else {}
    called = format_helpers._format_callback_source(handle._callback, handle._args, **debug)
    context = {"message": f"Exception in callback {called}", "exception": error, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    try:
        handle._loop.call_exception_handler(context)
    except SystemExit as left:  # in a handler of the program's own
        handle._loop.left(left)


def _shown(handle: events.Handle) -> str:
    """A handle as a reader wants it: a step of a task is that task."""
    task = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
    return f"{task.get_name()} in {where(task)}" if isinstance(task, asyncio.Task) else repr(handle)


_H = TypeVar("_H", bound=events.Handle)


def as_made_above(handle: _H) -> _H:
    """In debug mode a handle remembers where it was made: not in this file."""
    trace: Any = handle._source_traceback  # type: ignore[attr-defined]
    if trace:
        del trace[-1]
    return handle
