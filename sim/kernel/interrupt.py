"""Ctrl-C where it would be lost: Python drops an exception that is raised in a finaliser or a callback of a weak
reference, and what is half cleaned up stays so.

Knows no simulation. Tests: tests/sim/kernel/test_interrupt.py.
"""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from typing import Any

__all__ = ["held", "noticed"]


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
