"""What ends a run from outside: Ctrl-C, and the limit of real time that it may take.

Either ends it between two events, so that what Ctrl-C has ended can go on. A program that spins gets to no next event:
then an alarm raises KeyboardInterrupt within it, and no more of that simulation runs.

Knows of a simulation its schedule. Tests: tests/sim/kernel/test_interrupt.py, test_interrupt_in_notebook.py.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappush
from typing import TYPE_CHECKING, Any

from sim.kernel.errors import WallLimitExceeded
from sim.kernel.interrupt import Alarm, innermost, on_interrupt, shortened
from sim.kernel.running import outside
from sim.network.schedule import Schedule

if TYPE_CHECKING:
    from sim.kernel.loop.run import Turns

__all__ = ["Limits"]


class Limits:
    """Of one simulation. Each of its runs is between `begin` and `end`, which it calls whatever happens."""

    def __init__(self, schedule: Schedule, wall_limit: float | None) -> None:
        if wall_limit is not None and (not isinstance(wall_limit, int | float) or not wall_limit > 0):
            raise ValueError(f"wall_limit is real seconds above 0, not {wall_limit!r}")
        self.wall_limit = wall_limit
        """Real seconds that all runs may take; None = as long as they take."""
        self.broken_off = False
        """Whether a run was ended by force: in the midst of a program's code, or for its wall limit."""
        self._schedule = schedule
        self._thread = 0
        self._interrupted = self._overran = self._asked_to_end = False
        self._alarms: list[Alarm] = []
        self._restore: Callable[[], None] = _nothing
        self._began: float | None = None
        self._ran = 0.0
        """Real seconds of the runs that are over, where there is a limit of them."""

    def begin(self, thread: int) -> None:
        """A run begins in that thread."""
        self._thread = thread
        self._restore = _nothing
        self._restore = on_interrupt(self._interrupt)
        if self.wall_limit is not None:
            self._began = time.monotonic()
            self._alarms.append(Alarm(thread, max(0.0, self.wall_limit - self._ran), self._overrun))

    def stop_alarms(self) -> None:
        """The last event of a run is over: nothing is raised in its thread from now on."""
        try:
            if self._began is not None:
                with outside():  # else it is the clock of the node that ran last
                    self._ran += time.monotonic() - self._began
                self._began = None
        finally:
            self._call_off_alarms()

    def end(self) -> None:
        """A run is over, and all that it had to put back is put back: from here on Ctrl-C raises where it finds us.

        Raises the KeyboardInterrupt that was asked for and that nobody has raised.
        """
        self._restore()
        interrupted, self._interrupted = self._interrupted, False
        if interrupted:
            raise KeyboardInterrupt

    @contextmanager
    def interrupted(self, thread: int) -> Iterator[None]:
        """As Ctrl-C, for what runs in that thread; within, it is waited for."""
        alarm = Alarm(thread, 0.0, _nothing)
        self._interrupted = True
        self._end_soon()
        yield
        alarm.call_off()
        self._interrupted = False

    def _interrupt(self, ends: bool) -> None:
        """Ctrl-C: the run `ends` between two events, so that it can go on, or else goes on. Where no event ends, the
        program is interrupted wherever it is.
        """
        self._interrupted = ends
        self._alarms.append(Alarm(self._thread, 0.0, _nothing))
        self._end_soon()

    def _overrun(self) -> None:
        self._overran = True
        self._end_soon()

    def _end_soon(self) -> None:
        """Called at any point of any thread's code: one call of C's puts it into the queue."""
        if not self._asked_to_end:
            self._asked_to_end = True
            heappush(self._schedule.queue, (self._schedule.now, -1, 0, Limits._end_now, self))

    def _end_now(self) -> None:
        self._asked_to_end = False
        if self._interrupted or self._overran:
            # What an alarm raised may have been caught, and kept: by a process of SimPy's.
            self.broken_off = any(alarm.raised for alarm in self._alarms)
            raise KeyboardInterrupt
        self._call_off_alarms()

    def _call_off_alarms(self) -> None:
        for alarm in self._alarms:
            alarm.call_off()
        self._alarms.clear()

    def error_to_raise(self, error: KeyboardInterrupt, entered: "Turns | None", waiting: list[str]) -> BaseException:
        """What to raise instead of the KeyboardInterrupt that ended a run: its text says where the program was.

        `entered` is the loop that has run last, `waiting` a line for each task that waits.
        """
        place, now = innermost(error.__traceback__), self._schedule.now
        self.broken_off = self.broken_off or self._overran or place is not None
        name = "the simulation" if entered is None else entered.node.name
        if place is None:
            text = f"at {now:g} s, between two events; the last was of {name}"
        else:
            task = None if entered is None else _failed_with(error, entered)
            text = f"at {now:g} s, {name} was in {place}" + ("" if task is None else f", task {task.get_name()}")
        tasks = "".join(f"\n{each}" for each in ["these tasks wait:", *waiting]) if waiting else ""
        traceback = shortened(error.__traceback__)
        if self._overran and not self._interrupted:
            limit = f"it has run for {self.wall_limit:g} s of real time and may run no longer"
            return WallLimitExceeded(f"{limit}; {text}{tasks}").with_traceback(traceback)
        self._interrupted = False
        error.args = error.args or (text + (tasks if place is None else ""),)
        return error.with_traceback(traceback)


def _failed_with(error: BaseException, loop: "Turns") -> "asyncio.Task[Any] | None":
    """The task of that loop that this has just ended; to look at it marks the error as seen."""
    ended = (task for task in loop.node.loop.ended() if not task.cancelled() and task.exception() is error)
    return next(ended, None)


def _nothing() -> None:
    """There is nothing to do."""
