"""An event loop whose time passes only while it waits, at once: a fuzzer has no seconds to spend.

Knows nothing of rpcnet. sim is not used here: a fuzzer traces every line that runs.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

__all__ = ["VirtualLoop"]


class _Selector(selectors.SelectSelector):
    """Waits for nothing: the time that would pass has passed."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everything waits, and no timer is set: something never ends")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Notes what asyncio's exception handler is told: `escaped`."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        self.escaped: list[str] = []
        super().__init__(self._virtual)
        self._clock_resolution = 1e-9
        self.set_exception_handler(lambda _, context: self.escaped.append(repr(context)))

    def time(self) -> float:
        return self._virtual.now

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run it from time 0, then look that nothing escaped and no task is left."""
        self._virtual.now = (
            0.0  # in the end sums of seconds are coarser than the clock's resolution, and no timer is due
        )
        self.escaped.clear()
        self.run_until_complete(main)
        assert not self.escaped, f"an exception escaped: {self.escaped}"
        left = asyncio.all_tasks(self)
        assert not left, f"tasks are left: {left}"
