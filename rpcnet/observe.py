"""Where rpcnet tells what happened, for whoever listens.

An observer is bound to an event loop. Servers, clients and clusters look it up once, when they start; where none
is installed nothing is paid. Knows no trace format, no file and no clock: the observer adds those.

The names of the events and their fields are listed in docs/trace.md.

Tests: tests/rpcnet/test_server.py and test_app.py.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

__all__ = ["Observer", "current", "install"]


class Observer(Protocol):
    """Takes one event: its name and its fields (builtins that MessagePack can hold)."""

    def record(self, event: str, /, **fields: object) -> None: ...


_observers: WeakKeyDictionary[asyncio.AbstractEventLoop, Observer] = WeakKeyDictionary()


def install(observer: Observer, loop: asyncio.AbstractEventLoop | None = None) -> Callable[[], None]:
    """Bind `observer` to `loop`, the running one by default. Returns a function that takes it away again."""
    bound = loop or asyncio.get_running_loop()
    _observers[bound] = observer

    def remove() -> None:
        if _observers.get(bound) is observer:
            del _observers[bound]

    return remove


def current(loop: asyncio.AbstractEventLoop | None = None) -> Observer | None:
    """The observer of `loop`, the running one by default, or None."""
    return _observers.get(loop or asyncio.get_running_loop())
