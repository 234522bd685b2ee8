"""What an application left behind on a real event loop: tasks, transports and listening sockets, timers.

Asked after its main has ended and the grace has passed. Knows a selector loop's tables, no runner and no trace.

Tests: tests/sim/backends/test_both_worlds.py.
"""

import asyncio
import os
import socket
from collections.abc import Iterator

from sim.backends.loop import ShapedLoop
from sim.backends.text import plain

__all__ = ["Leak", "left_behind"]

Leak = tuple[str, str, str]
"""kind, what, where."""


def left_behind(loop: ShapedLoop, ignored: frozenset[int]) -> Iterator[Leak]:
    """Everything still open, but for these descriptors and the task that asks."""
    yield from _tasks(loop)
    yield from _transports(loop, ignored)
    yield from _timers(loop)


def _tasks(loop: ShapedLoop) -> Iterator[Leak]:
    asking = asyncio.current_task(loop)
    for task in sorted(asyncio.all_tasks(loop), key=lambda t: t.get_name()):
        if task is not asking:
            name = getattr(task.get_coro(), "__qualname__", repr(task.get_coro()))
            frames = task.get_stack(limit=1)
            where = f"{frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else ""
            yield "task", f"{task.get_name()} ({name})", plain(where)


def _transports(loop: ShapedLoop, ignored: frozenset[int]) -> Iterator[Leak]:
    shaper = loop.shaper
    wires = {wire.get_extra_info("socket"): wire for wire in (*shaper.wires, *shaper.datagram_wires)}
    own = {s.fileno() for s in wires}
    for wire in wires.values():
        if wire.is_closing():
            continue  # The application has let go of it; what it wrote is still under way.
        protocol = type(wire.get_protocol()).__qualname__
        names = wire.get_extra_info("sockname"), wire.get_extra_info("peername")
        # Ports of clients differ from run to run, so only the addresses are told.
        yield "transport", protocol, " to ".join(str(name[0]) for name in names if isinstance(name, tuple))
    # The loop's own pipe for wake-ups is in its selector too (`_ssock`, 3.11 to 3.13).
    own |= ignored | {loop._ssock.fileno()}  # type: ignore[attr-defined]
    for key in list(loop._selector.get_map().values()):  # type: ignore[attr-defined]
        if key.fd not in own:
            yield "transport", _descriptor(key.fd), ""


def _descriptor(number: int) -> str:
    try:
        with socket.socket(fileno=os.dup(number)) as found:
            listens = found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            return f"{'server' if listens else 'socket'} at {found.getsockname()}"
    except OSError:
        return "a descriptor that is no open socket"


def _timers(loop: ShapedLoop) -> Iterator[Leak]:
    for timer in sorted(loop._scheduled):  # type: ignore[attr-defined]
        if not timer.cancelled():
            callback = timer._callback
            code = getattr(callback, "__code__", None)
            where = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else ""
            yield "timer", getattr(callback, "__qualname__", repr(callback)), plain(where)
