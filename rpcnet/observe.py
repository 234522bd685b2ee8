"""Where rpcnet tells what happened, for whoever listens.

An observer is bound to an event loop. Servers, clients and clusters look it up once, when they start; where none
is installed nothing is paid. Knows no trace format, no file and no clock: the observer adds those. One that raises
harms nobody: what it raises is logged, the first time.

The names of the events and their fields are listed in docs/trace.md.

Tests: tests/rpcnet/test_observe.py, test_server.py and test_app.py.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

__all__ = ["Observer", "current", "install"]

_log = logging.getLogger("rpcnet")


class Observer(Protocol):
    """Takes one event: its name and its fields (builtins that MessagePack can hold)."""

    def record(self, event: str, /, **fields: object) -> None: ...


class _Guarded:
    """An observer whose errors stay here."""

    __slots__ = ("_has_raised", "_record", "observer")

    def __init__(self, observer: Observer) -> None:
        self.observer = observer
        self._record = observer.record
        self._has_raised = False

    def record(self, event: str, /, **fields: object) -> None:
        try:
            self._record(event, **fields)
        except Exception as error:
            if self._has_raised:
                return
            self._has_raised = True  # before the log line, of which an observer may be told too
            try:
                text = "observer %r raised when it was told of %r; what it raises from now on is not logged"
                _log.error(text, type(self.observer).__qualname__, event, exc_info=error)
            except Exception:
                return  # a handler of log records


_observers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Guarded] = WeakKeyDictionary()


def install(observer: Observer, loop: asyncio.AbstractEventLoop | None = None) -> Callable[[], None]:
    """Bind `observer` to `loop`, the running one by default. Returns a function that takes it away again."""
    bound = loop or asyncio.get_running_loop()
    guarded = _observers[bound] = _Guarded(observer)

    def remove() -> None:
        if _observers.get(bound) is guarded:
            del _observers[bound]

    return remove


def current(loop: asyncio.AbstractEventLoop | None = None) -> Observer | None:
    """The observer of `loop`, the running one by default, or None."""
    return _observers.get(loop or asyncio.get_running_loop())
