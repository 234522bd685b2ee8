"""The call that a handler serves, as the handler sees it: `current_call()`.

Knows no frame. Calls that a handler makes inherit its deadline through a context variable, except inside `detached()`.

Tests, in both worlds: tests/rpcnet/test_one_page.py and test_time.py.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Protocol

from rpcnet.errors import Metadata
from rpcnet.peer import Peer

__all__ = ["CURRENT", "CurrentCall", "Served", "current_call", "inherited_deadline"]


class Served(Protocol):
    """What server/call.py keeps of a call."""

    loop: asyncio.AbstractEventLoop
    method: str
    metadata: dict[str, str | bytes]
    deadline: float | None
    trailers: dict[str, str | bytes]
    received_at: float | None

    def send_metadata(self, metadata: Metadata) -> None: ...
    def peer_facts(self) -> Peer: ...
    def was_cancelled(self) -> bool: ...
    def when_done(self, callback: Callable[[], object]) -> None: ...


CURRENT: ContextVar[Served] = ContextVar("rpcnet_current_call")
_detached: ContextVar[bool] = ContextVar("rpcnet_detached", default=False)


class CurrentCall:
    """The call that is being served. Made anew for whoever asks, so that the call does not refer to it."""

    __slots__ = ("_served",)

    def __init__(self, served: Served) -> None:
        self._served = served

    @property
    def method(self) -> str:
        return self._served.method

    @property
    def metadata(self) -> Metadata:
        """What the caller sent with the call."""
        return self._served.metadata

    @property
    def trailers(self) -> dict[str, str | bytes]:
        """Sent with the end of the call."""
        return self._served.trailers

    @property
    def peer(self) -> Peer:
        return self._served.peer_facts()

    @property
    def received_at(self) -> float | None:
        """Wall-clock time at which the call came; None where the server was given no `wall_clock`."""
        return self._served.received_at

    def time_left(self) -> float | None:
        """Seconds until the deadline, never below 0; None = no limit."""
        served = self._served
        return None if served.deadline is None else max(0.0, served.deadline - served.loop.time())

    def send_metadata(self, metadata: Metadata) -> None:
        """Send metadata to the caller now, once, before the first item."""
        self._served.send_metadata(metadata)

    def cancelled(self) -> bool:
        """Whether the caller let go, its connection was lost, the deadline passed, or the server stops."""
        return self._served.was_cancelled()

    def add_done_callback(self, callback: "Callable[[CurrentCall], object]") -> None:
        """Have `callback(call)` called in the next turn of the loop after the call has ended, its handler with it.

        At once, in the next turn, where it has ended already. What it raises goes to the loop's exception handler.
        """
        self._served.when_done(partial(callback, self))

    @contextmanager
    def detached(self) -> Iterator[None]:
        """Calls made inside do not inherit this call's deadline."""
        token = _detached.set(True)
        try:
            yield
        finally:
            _detached.reset(token)


def current_call() -> CurrentCall:
    """The call that the running handler serves. LookupError outside of one."""
    served = CURRENT.get(None)
    if served is None:
        raise LookupError("current_call() is for handlers: no call is being served here")
    return CurrentCall(served)


def inherited_deadline(loop: asyncio.AbstractEventLoop) -> float | None:
    """The deadline that calls made here inherit."""
    served = CURRENT.get(None)
    if served is None or served.deadline is None or served.loop is not loop or _detached.get():
        return None
    return served.deadline
