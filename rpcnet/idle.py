"""When a connection has had no calls for so long that it is to be closed. One timer serves all its pauses.

Knows no connection: whether there are calls, how a late timer is judged and what closing is are functions of it.

Tests: tests/rpcnet/test_idle.py, and in both worlds tests/rpcnet/test_idle_connections.py.
"""

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["IdleClock"]

CLOCK_STEP: Final = 1e-6
"""Seconds: a timer may fire up to the clock's resolution early, and would else be set again for the same moment."""


class IdleClock:
    """Runs from when it is made until `stop`."""

    __slots__ = ("_close", "_judge", "_loop", "_seconds", "_since", "_timer")

    def __init__(
        self,
        seconds: float,
        judge: Callable[[Callable[[], None]], None],
        close: Callable[[], bool],
    ) -> None:
        """`close` closes, unless there are calls: then it returns False. `judge(verdict)` calls `verdict` once what has
        already arrived has been read."""
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._judge = judge
        self._close = close
        self._since = self._loop.time()
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(seconds, self._due)

    def restart(self) -> None:
        """The last call has ended: the pause begins."""
        self._since = self._loop.time()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        if self._timer is not None and not self._set_again():
            self._judge(self._judged)

    def _judged(self) -> None:
        """While there are calls nobody says so here: look again after as long, and at the pause that began then."""
        if self._timer is None or self._set_again() or self._close():
            return
        self._timer = self._loop.call_later(self._seconds, self._due)

    def _set_again(self) -> bool:
        """Whether the pause began later than when the timer was set."""
        due = self._since + self._seconds
        if self._loop.time() + CLOCK_STEP >= due:
            return False
        self._timer = self._loop.call_at(due, self._due)
        return True
