"""A machine's clock: what it shows where it is wrong (offset) or runs too fast or too slow (drift).

An offset moves the wall clock alone, as a wrong date does. A drift changes the pace of both clocks, and with it of the
timers of the program's loop: a clock that is 100 ppm fast has them fire early. The monotonic clock never goes back. One
that was never touched costs nothing: only a changed clock takes over its loop's `time` and `call_at`. The operating
system's own timers (TCP's retransmission) stay exact. Knows of a loop its timers. Tests:
tests/sim/kernel/test_clock.py.
"""

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.kernel.loop.loop import NodeLoop

__all__ = ["EPOCH", "Clock"]

EPOCH = 1_735_689_600.0
"""2025-01-01T00:00:00Z in Unix seconds: what a node's wall clock shows at the start of the simulation."""


class Clock:
    """`now` tells exact virtual seconds."""

    __slots__ = ("_corrected", "_drift", "_gained", "_loop", "_now", "_offset", "_since", "exact")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._offset = 0.0
        self.exact = True
        """Whether the monotonic clock has always shown virtual time."""
        self._drift = 0.0
        self._since = 0.0
        """When the drift was set, in virtual seconds …"""
        self._gained = 0.0
        """… and what the monotonic clock was ahead by then."""
        self._corrected = 0.0
        """What of that has been taken out of the wall clock again."""
        self._loop: NodeLoop | None = None

    def steady(self) -> float:
        """What `time.monotonic` and `loop.time` answer."""
        now = self._now()
        return now if self.exact else self._shown(now)

    def time(self) -> float:
        """Seconds since 1970, as `time.time` answers on this node."""
        return EPOCH + self._offset + self.steady() - self._corrected

    def error(self) -> float:
        """Seconds by which the wall clock is wrong now, what the drift has made of it included."""
        return self._offset + self.steady() - self._now() - self._corrected

    @property
    def offset(self) -> float:
        """Seconds by which the wall clock is wrong, drift aside."""
        return self._offset

    @offset.setter
    def offset(self, offset: float) -> None:
        if not isinstance(offset, int | float) or not -math.inf < offset < math.inf:
            raise ValueError(f"a clock's offset is seconds, not {offset!r}")
        self._offset = offset

    @property
    def drift(self) -> float:
        """How much too fast it runs: 1e-4 is 100 ppm. Above -1."""
        return self._drift

    @drift.setter
    def drift(self, drift: float) -> None:
        if not isinstance(drift, int | float) or not -1 < drift < math.inf:
            raise ValueError(f"a clock's drift is above -1 (it would stand still), not {drift!r}")
        if drift == self._drift:
            return
        loop = self._loop
        timers = [] if loop is None else sorted(loop._timers)
        due = [(self._shown(when) if when < math.inf else when, timer) for when, _, timer in timers]
        now = self._now()
        self._gained, self._since, self._drift, self.exact = self._shown(now) - now, now, drift, False
        if loop is not None:
            loop._timers.clear()
            for when, timer in due:  # in order, which stays as it is: a clock never goes back
                timer._when = self._reached(when)
                loop.add_timer(timer)
            self.govern(loop)
            loop.kick()

    def set_right(self) -> None:
        """Right from now on: the wall clock steps, the monotonic one goes on from where it is."""
        self.drift = 0.0
        self.offset, self._corrected = 0.0, self._gained

    def govern(self, loop: "NodeLoop") -> None:
        """Be the clock of this loop, which its node has just made."""
        self._loop = loop
        loop.exact = self.exact
        if not self.exact:
            loop.time = self._loops_time  # type: ignore[method-assign]
            loop.call_at = self._call_at  # type: ignore[method-assign]

    def _loops_time(self) -> float:
        """The loop's `time`, which counts how often it is asked."""
        assert self._loop is not None, "it is asked"
        type(self._loop).time(self._loop)
        return self.steady()

    def duration(self, seconds: float) -> float:
        """Virtual seconds in which so many pass on this clock."""
        return seconds / (1 + self._drift)

    def _shown(self, virtual: float) -> float:
        return virtual + self._gained + (virtual - self._since) * self._drift

    def _reached(self, shown: float) -> float:
        """The first virtual moment at which the monotonic clock shows at least that."""
        virtual = (shown - self._gained + self._since * self._drift) / (1 + self._drift)
        # A hair too early, and whoever finds that its time has not come sets the timer for the same moment for ever.
        while self._shown(virtual) < shown:
            virtual = math.nextafter(virtual, math.inf)
        return virtual

    def _call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        """BaseEventLoop.call_at (3.11 to 3.13) for a loop whose heap is in virtual seconds."""
        loop = self._loop
        assert loop is not None, "a loop calls it"
        loop._check_closed()
        timer: Any = _Timer(self._reached(when), callback, args, loop, context)
        timer.shown = when
        return loop.add_timer(timer)


class _Timer(asyncio.TimerHandle):
    """One of a loop whose clock is not exact: asked when it is due it answers by that clock."""

    __slots__ = ("shown",)

    def when(self) -> float:
        return self.shown  # type: ignore[no-any-return,attr-defined]
