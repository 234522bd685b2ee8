"""Interceptors: functions of the user around every call, with one signature at both ends and in all shapes.

    async def trace(call, proceed):
        ...
        return await proceed()

`proceed()` makes the call, or runs the handler, and returns when the *call* ends: the reply, or None after the last
item of a stream; it raises the call's error. What the interceptor returns or raises is the outcome of the call in its
place. Where several are given the first is the outermost.

Knows no connection and no frame. Where there are no interceptors neither end comes here.

Tests: tests/rpcnet/test_interceptors.py.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, TypeAlias

from rpcnet.errors import RpcError
from rpcnet.handler import describe, is_asynchronous
from rpcnet.wire.frame import SHAPES

__all__ = ["InterceptedCall", "Interceptor", "Proceed", "checked_interceptors", "log_calls", "once", "run_through"]

Proceed: TypeAlias = Callable[[], Awaitable[Any]]
Interceptor: TypeAlias = "Callable[[InterceptedCall, Proceed], Awaitable[Any]]"


class InterceptedCall:
    """What an interceptor sees of a call."""

    __slots__ = ("_read", "_request", "deadline", "metadata", "method", "shape", "side")

    def __init__(
        self,
        side: Literal["client", "server"],
        method: str,
        shape: int,
        metadata: dict[str, str | bytes],
        deadline: float | None,
        read: Callable[[], Any],
    ) -> None:
        self.side = side
        """Which end this is: `client` or `server`."""
        self.method = method
        self.shape = SHAPES[shape]
        """unary, client_streaming, server_streaming or bidirectional."""
        self.metadata = metadata
        """What the caller sends with the call. What is changed before `proceed` is what the server, or the handler,
        gets."""
        self.deadline = deadline
        """In the time of the running loop (`loop.time()`); None = no limit."""
        self._read = read
        self._request: Any = _UNREAD

    @property
    def request(self) -> Any:
        """The one request, and for arguments by name a dict of those that came. Where the caller streams: what it gives
        beside its items, as such a dict, or None where the method takes nothing beside them.

        On a server it is decoded when it is asked for, by an interceptor or by the handler: InvalidArgument where it
        does not fit its type. So whoever is refused before that costs no decoding.
        """
        if self._request is _UNREAD:
            self._request = self._read()
        return self._request

    def time_left(self) -> float | None:
        """Seconds until the deadline, never below 0; None = no limit."""
        return None if self.deadline is None else max(0.0, self.deadline - asyncio.get_running_loop().time())


_UNREAD: Any = object()


def checked_interceptors(interceptors: Iterable[Interceptor]) -> tuple[Interceptor, ...]:
    """As given. TypeError where one of them cannot be one."""
    if callable(interceptors) or isinstance(interceptors, str | bytes) or not isinstance(interceptors, Iterable):
        raise TypeError(f"interceptors is a list of interceptors, not {describe(interceptors)}")
    checked = tuple(interceptors)
    for each in checked:
        if not callable(each) or not is_asynchronous(each):
            raise TypeError(f"an interceptor is async def name(call, proceed); {describe(each)} is not asynchronous")
    return checked


async def run_through(interceptors: tuple[Interceptor, ...], call: InterceptedCall, innermost: Proceed) -> Any:
    """The outcome of a call behind its interceptors."""
    proceed = innermost
    for each in reversed(interceptors):
        proceed = _around(each, call, proceed)
    return await proceed()


def _around(interceptor: Interceptor, call: InterceptedCall, proceed: Proceed) -> Proceed:
    async def around() -> Any:
        return await interceptor(call, proceed)

    return around


def once(proceed: Proceed, method: str) -> Proceed:
    """For streams, whose items pass once: a second `proceed()` is a RuntimeError."""
    has_run = False

    async def first() -> Any:
        nonlocal has_run
        if has_run:
            raise RuntimeError(
                f"proceed() runs once in call {method!r}, which streams; only unary calls may be repeated"
            )
        has_run = True
        return await proceed()

    return first


def log_calls(logger: logging.Logger | str = "rpcnet.calls", level: int = logging.INFO) -> Interceptor:
    """An interceptor that logs one line for each call that ends: side, method, shape, status, seconds.

    Calls that fail are logged as warnings. Neither requests nor metadata are logged.
    """
    log = logging.getLogger(logger) if isinstance(logger, str) else logger

    async def log_call(call: InterceptedCall, proceed: Proceed) -> Any:
        loop = asyncio.get_running_loop()
        started = loop.time()
        status = "CANCELLED"
        try:
            reply = await proceed()
            status = "OK"
            return reply
        except RpcError as error:
            status = error.code.name
            raise
        except Exception:
            status = "INTERNAL"
            raise
        finally:
            seconds = loop.time() - started
            log.log(
                level if status == "OK" else max(level, logging.WARNING),
                "%s %s %s: %s after %.3f s",
                call.side,
                call.shape,
                call.method,
                status,
                seconds,
            )

    return log_call
