"""Ctrl-C, and whatever else ends a program that does not end by itself.

A program that spins gives control back to nobody: an `Alarm` raises KeyboardInterrupt within it, and `innermost` says
where that was. `held` and `noticed` are for places where Ctrl-C would be lost: Python drops an exception that is raised
in a finaliser or a callback of a weak reference, and what is half cleaned up stays so.

Knows no simulation. Tests: tests/sim/kernel/test_interrupt.py.
"""

import _thread
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import TIMEOUT_MAX, Lock, current_thread, main_thread
from types import TracebackType
from typing import Any

from sim.kernel.running import outside

__all__ = ["GRACE", "Alarm", "held", "innermost", "noticed", "on_interrupt", "raise_in", "shortened"]

GRACE = 1.0
"""Real seconds that a run has to end between two events. After them it is ended wherever it is."""
_KERNEL = os.path.dirname(__file__)
_OURS = (os.path.dirname(asyncio.__file__), _KERNEL, os.path.join(os.path.dirname(_KERNEL), "network"))


class Alarm:
    """Raises KeyboardInterrupt in a thread, wherever it is in Python's code, until it is called off.

    Real `seconds` from now it calls `first`, in a thread of its own; after GRACE it raises, and then again every GRACE,
    as a program may catch what it raises. Its thread is none of `threading`'s: programs that count threads see none.
    """

    def __init__(self, thread: int, seconds: float, first: Callable[[], None]) -> None:
        self._thread = thread
        self.raised = self._off = False
        with outside():  # Ctrl-C comes wherever it likes; a node's threads and locks are simulated
            self._raising = Lock()
            self._sleeping = Lock()
            self._sleeping.acquire()
            _thread.start_new_thread(self._watch, (seconds, first))

    def _watch(self, seconds: float, first: Callable[[], None]) -> None:
        if self._sleeping.acquire(timeout=min(seconds, TIMEOUT_MAX)):
            return
        first()
        while not self._sleeping.acquire(timeout=GRACE):
            with self._raising:
                if self._off:
                    return
                self.raised = True
                raise_in(self._thread, KeyboardInterrupt)

    def call_off(self) -> None:
        """Called in that thread: it raises nothing from now on, what it has raised and Python not yet included."""
        while True:
            try:
                with self._raising:
                    self._off = True
                    if self.raised:
                        raise_in(self._thread, None)
                with suppress(RuntimeError):  # released already
                    self._sleeping.release()
            except KeyboardInterrupt:
                continue  # it came at the last moment
            return


def on_interrupt(call: Callable[[bool], None]) -> Callable[[], None]:
    """Have the next Ctrl-C call that; one after it raises wherever it is. Returns what puts back what was there.

    Its argument is whether that is all: False where asyncio.Runner's own handler cancels its main as well. Nothing is
    done where others handle Ctrl-C, or it is ignored, nor in other threads than the main one, which gets it.
    """
    before: Any = signal.getsignal(signal.SIGINT) if current_thread() is main_thread() else None
    of_runner = isinstance(getattr(getattr(before, "func", None), "__self__", None), asyncio.Runner)
    if before is not signal.default_int_handler and not of_runner:
        return lambda: None
    pressed = False

    def note(number: int, frame: Any) -> None:
        nonlocal pressed
        if of_runner or pressed:
            before(number, frame)
        if not pressed:
            pressed = True
            call(not of_runner)

    try:
        signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main interpreter
        return lambda: None

    def restore() -> None:
        signal.signal(signal.SIGINT, before)

    return restore


def raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Have Python raise an exception in a thread, at its next instruction; None takes it back."""
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), None if kind is None else ctypes.py_object(kind))


def shortened(traceback: TracebackType | None, *others: str) -> TracebackType | None:
    """The same without the frames of the kernel, the network, asyncio and `others`: those of the program."""
    found = []
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith((*_OURS, *others)):
            found.append(traceback)
        traceback = traceback.tb_next
    for each in reversed(found):
        traceback = TracebackType(traceback, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return traceback


def innermost(traceback: TracebackType | None) -> str | None:
    """The function and line of the program that a traceback ends in; None where it is in no program."""
    traceback = shortened(traceback)
    if traceback is None:
        return None
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    return f"{code.co_name} ({code.co_filename}:{traceback.tb_lineno})"


@contextmanager
def held() -> Iterator[None]:
    """Ctrl-C waits until the block is done. Pressed again it raises wherever it is."""
    if current_thread() is not main_thread() or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pressed = False

    def note(number: int, frame: Any) -> None:
        nonlocal pressed
        if pressed:
            signal.default_int_handler(number, frame)
        pressed = True

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main interpreter
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            raise KeyboardInterrupt


@contextmanager
def noticed() -> Iterator[Callable[[], None]]:
    """What it yields raises KeyboardInterrupt if Python dropped one; call it between two pieces of a long work."""
    hook, dropped = sys.unraisablehook, False

    def note(unraisable: Any) -> None:
        nonlocal dropped
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            dropped = True
        else:
            hook(unraisable)

    def check() -> None:
        if dropped:
            raise KeyboardInterrupt

    sys.unraisablehook = note
    try:
        yield check
    finally:
        sys.unraisablehook = hook
