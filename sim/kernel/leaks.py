"""What a program left behind on its loop when it ended in order, and where in its code that was made.

Places are given as module and line, never as a path, as they go into the trace: the same on every machine. Knows a
loop, and swaps nothing. Tests: tests/sim/kernel/test_simulation.py, tests/sim/kernel/test_node.py.
"""

import sys
from collections.abc import Iterator
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sim.kernel.loop.loop import NodeLoop

__all__ = ["Leak", "called_at", "left_behind", "made_here", "place"]

_LIBRARIES = ("asyncio", "sim.kernel")
_ENGINE = ("sim.kernel.loop.run", "sim.kernel.simulation", "sim.network")  # what runs loops: no program is above
_PASSED: dict[str, bool | None] = {}
"""By module: whether its frames are passed over; None where the search ends."""
_WAITS = frozenset({"_set_result_unless_cancelled", "NodeThread.wake"})
"""Callbacks of the timers that asyncio.sleep and threads wait for: the task that sleeps is told of already."""


class Leak:
    """Something that a node left behind when it ended in order."""

    def __init__(self, node: str, kind: str, what: str, where: str) -> None:
        self.node, self.kind, self.what, self.where = node, kind, what, where

    def __repr__(self) -> str:
        return f"{self.node}: {self.kind} {self.what}, {self.where}"


def made_here() -> tuple[str, int, str]:
    """Module, line and function of the innermost caller that is neither asyncio's nor the kernel's.

    Empty where an arrival or a timer made it. Who calls this is of the kernel.
    """
    frame: FrameType | None = sys._getframe(2)
    passed = _PASSED
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        try:
            library = passed[module]
        except KeyError:
            library = passed[module] = None if module.startswith(_ENGINE) else module.startswith(_LIBRARIES)
        if library is None:
            break
        if not library:
            return module, frame.f_lineno, frame.f_code.co_name
        frame = frame.f_back
    return "", 0, ""


def called_at() -> tuple[str, int]:
    """File and line of the innermost caller that is neither asyncio's nor the kernel's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(_LIBRARIES):
        frame = frame.f_back
    return ("unknown", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)


def left_behind(loop: "NodeLoop", asking: Any) -> Iterator[Leak]:
    """Tasks, transports, listening sockets, threads and timers that are still there, but for the task that asks."""
    node = loop.node.name
    for task in loop.tasks():
        if task is not asking:
            yield Leak(node, "task", task.get_name(), _of_task(task))
    known = set()
    for transport in list(loop._transports.values()):
        if transport._sock is not None:
            known.add(transport._sock)
            yield Leak(node, "transport", _between(transport), place(transport.made, "made"))
    for left in loop._selector.sockets.values():
        if left not in known and left.listens:
            yield Leak(node, "transport", f"server at {left.getsockname()}", place(left.made, "made"))
    for name, at in loop.threads.left():
        yield Leak(node, "thread", name, place(at, "is"))
    for timer in loop._scheduled:
        if not timer._cancelled and _callback(timer) not in _WAITS:
            yield Leak(node, "timer", _callback(timer), f"due at {timer._when:.3f} s{_runs(timer._callback)}")


def _between(transport: Any) -> str:
    """A transport's protocol and the addresses of its ends. Ports of clients say nothing, so they are left out."""
    names = [transport.get_extra_info(name) for name in ("sockname", "peername")]
    ends = " to ".join(str(name[0]) for name in names if isinstance(name, tuple))
    return f"{type(transport.get_protocol()).__qualname__} {ends}".strip()


def _of_task(task: Any) -> str:
    """Where it was made; what it runs, where no line of the program's made it, as with a server's handlers."""
    made = getattr(task, "made", None)
    frame = getattr(task.get_coro(), "cr_frame", None)
    if frame is None or (made and made[0]):
        return place(made, "made")
    code = frame.f_code
    return place((frame.f_globals.get("__name__", ""), code.co_firstlineno, code.co_qualname), "runs", "")


def place(made: tuple[str, int, str] | None, verb: str, preposition: str = "in ") -> str:
    """What `made_here` returned, as a text."""
    if not made or not made[0]:
        return "at an unknown place"
    module, line, function = made
    return f"{verb} {preposition}{function} ({module}:{line})"


def _runs(callback: Any) -> str:
    """Where a timer's function is. Nobody has noted where it was set: that would cost each of them."""
    while isinstance(callback, partial):
        callback = callback.func
    callback = getattr(callback, "__func__", callback)
    code = getattr(callback, "__code__", None)
    return "" if code is None else f", runs {callback.__module__}:{code.co_firstlineno}"


def _callback(handle: Any) -> str:
    return getattr(handle._callback, "__qualname__", None) or type(handle._callback).__name__
