"""Calls behind a client's interceptors: one answer in the caller's own task, a stream's course in a task beside it.

Knows no connection: how a call is made is a function that is given. What an interceptor is stands in
rpcnet/interceptors.py. Where a client has none, its calls do not come here.

Tests: tests/rpcnet/test_interceptors.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from rpcnet.client.call import ClientCall
from rpcnet.client.reply import Reply
from rpcnet.errors import Metadata
from rpcnet.interceptors import InterceptedCall, Interceptor, once, run_through
from rpcnet.metadata import checked_metadata

__all__ = ["answer_through", "stream_through"]

Facts: TypeAlias = dict[str, str | bytes]


async def answer_through(
    interceptors: tuple[Interceptor, ...],
    method: str,
    shape: int,
    request: Any,
    metadata: Metadata | None,
    deadline: float | None,
    make: Callable[[Facts], Awaitable[Reply[Any]]],
) -> Reply[Any]:
    """The one answer of a call, and the metadata of the answer that came last. `make` makes the call."""
    last: Reply[Any] = Reply(None, {}, {})
    call = _facts(method, shape, request, metadata, deadline)

    async def proceed() -> Any:
        nonlocal last
        last = await make(call.metadata)
        return last.value

    value = await run_through(interceptors, call, once(proceed, method) if shape else proceed)
    return Reply(value, last.metadata, last.trailers)


def stream_through(
    interceptors: tuple[Interceptor, ...],
    call: ClientCall,
    request: Any,
    launch: Callable[[ClientCall], None],
) -> Coroutine[Any, Any, None]:
    """What has a call launched once its interceptors proceed, and tells its reader what they made of its end."""
    seen = _facts(call.method, call.shape, request, call.metadata, call.deadline)
    call.outcome = call.loop.create_future()
    return _Course(call, launch).run(interceptors, seen)


def _facts(method: str, shape: int, request: Any, metadata: Metadata | None, deadline: float | None) -> InterceptedCall:
    return InterceptedCall(
        "client", method, shape, checked_metadata({} if metadata is None else metadata), deadline, lambda: request
    )


class _Course:
    """A stream's way through the interceptors. It lets go of the call at the end: an error that they raised leads to
    their frames, and these to `proceed`."""

    __slots__ = ("_call", "_launch")

    def __init__(self, call: ClientCall, launch: Callable[[ClientCall], None]) -> None:
        self._call: ClientCall | None = call
        self._launch = launch

    async def run(self, interceptors: tuple[Interceptor, ...], seen: InterceptedCall) -> None:
        async def proceed() -> None:
            await self._proceed(seen)

        try:
            await run_through(interceptors, seen, once(proceed, seen.method))
        except asyncio.CancelledError:
            self._is_over(None, had_their_say=False)  # the call is over, and says why
            raise
        except StopAsyncIteration as stop:  # which a reader would take for the end of the stream
            error = RuntimeError(f"an interceptor of call {seen.method!r} raised StopAsyncIteration")
            error.__cause__ = stop
            self._is_over(error)
        except Exception as error:
            self._is_over(error)
        except BaseException:
            self._is_over(None, had_their_say=False)
            raise
        else:
            self._is_over(None)

    async def _proceed(self, seen: InterceptedCall) -> None:
        call = self._call
        assert call is not None
        call.opener = None  # from here on the call ends as any other; it no longer cancels this task
        call.metadata = seen.metadata
        over = call.over = call.loop.create_future()
        self._launch(call)
        try:
            await over
        finally:
            del call, over  # what is raised leads to this frame

    def _is_over(self, error: Exception | None, had_their_say: bool = True) -> None:
        call, self._call = self._call, None
        assert call is not None
        call.opener = None
        if not call.finished:
            if error is not None:
                call.abort(f"an interceptor raised {type(error).__name__}")
            elif call.connection is None and call.over is None and had_their_say:
                call.finish_as("OK")  # they answered themselves: a stream without items
            else:
                call.abort("its interceptors ended before it")
        outcome = call.outcome
        if outcome is None or outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
            outcome.exception()  # whoever reads sees it; nobody reading is no mistake
        else:
            outcome.set_result(had_their_say)
