"""A slow machine on real sockets: its process runs for one part in so many of the time, by SIGSTOP and SIGCONT.

As cpulimit does it. While it stands still its kernel goes on to receive, as that of a busy machine does. Knows no
world. Tests: tests/sim/backends/test_faults.py.
"""

import asyncio
import signal
from collections.abc import Callable

__all__ = ["throttle"]

SLICE_SECONDS = 0.001
"""A process runs for so long at a time; a timer is hardly more exact, so what it has really run counts."""


async def throttle(factor: Callable[[], float], send: Callable[[signal.Signals], None]) -> None:
    """Until `factor()` is 1. `send` delivers a signal where there is a process that may get one now."""
    clock = asyncio.get_running_loop().time
    while (times := factor()) > 1:
        began = clock()
        await asyncio.sleep(max(SLICE_SECONDS, SLICE_SECONDS / (times - 1)))
        send(signal.SIGSTOP)
        try:
            await asyncio.sleep((clock() - began) * (times - 1))
        finally:
            send(signal.SIGCONT)
