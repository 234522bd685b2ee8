"""A call as its caller's end sees it: the answer or the items, the deadline, letting go, and what feeds it.

What a user holds refers to a call, never the other way round. Knows no connection but the base of both ends': which
calls a client's connection keeps, and how many places it has, is client/connection.py's matter.

Tests: tests/rpcnet/client/test_call.py, and in both worlds test_shapes.py, test_time.py and test_letting_go.py.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any

from rpcnet.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    ProtocolError,
    RpcError,
    Status,
    StreamApplicationError,
    StreamError,
    StreamTimeout,
    StreamTransportError,
    Unavailable,
    status_name,
)
from rpcnet.flow.state import RESPONSE
from rpcnet.stream import Stream
from rpcnet.wire import writer
from rpcnet.wire.frame import END, FLAG_END, FLAG_PACKED, ITEM_COST, SHAPES, decode_ending, decode_metadata

__all__ = ["ClientCall"]

_OK = Status.OK


class ClientCall(Stream):
    """A call as its caller's end sees it."""

    __slots__ = (
        "_deadline_timer",
        "_single",
        "deadline",
        "error",
        "initial_metadata",
        "is_let_go",
        "opener",
        "pump",
        "reply",
        "started_at",
        "trailers",
        "was_refused",
        "when_finished",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        method: str,
        shape: int,
        deadline: float | None,
        idle_timeout: float | None,
        single: bool,
    ) -> None:
        super().__init__(loop, method, shape, RESPONSE, idle_timeout)
        self.deadline = deadline
        self.reply: asyncio.Future[tuple[bytes, int]] | None = loop.create_future() if single else None
        """Where one answer is awaited; None where items are read."""
        self._single: tuple[bytes, int] | None = None
        self.initial_metadata: dict[str, str | bytes] = {}
        self.trailers: dict[str, str | bytes] = {}
        self.is_let_go = False
        self.was_refused = False
        """No handler has seen it: it may be made again, elsewhere."""
        self.error: RpcError | None = None
        """Why nothing can be sent any more."""
        self.pump: asyncio.Task[None] | None = None
        self.opener: asyncio.Task[None] | None = None
        self.when_finished: Callable[[], None] | None = None
        """Tells a BidirectionalStream's sender."""
        self.started_at = 0.0
        self._deadline_timer: asyncio.TimerHandle | None = None
        if deadline is not None:
            self._deadline_timer = loop.call_at(deadline, self._deadline_due)

    # What comes.

    def other(self, kind: int, payload: bytes) -> None:
        if kind == END:
            ending = decode_ending(payload)
            if ending.status == _OK and self._parts is not None:
                raise ProtocolError(f"call {self.method!r} ended with OK in the middle of a message")
            self.ended(ending.status, ending.message, ending.details, ending.trailers)
        else:
            self.initial_metadata = decode_metadata(payload)

    def message(self, payload: bytes, layout: int, held: int) -> None:
        if self.reply is None:
            super().message(payload, layout, held)
            return
        self.release(held)
        if self._single is not None:
            self.fail(Internal(f"call {self.method!r} was answered twice; it expects one answer"))
            return
        self._single = payload, layout

    def item(self, flags: int, payload: bytes) -> None:
        # The hot path of unary calls: one whole answer, and it is over.
        if flags & ~FLAG_PACKED == FLAG_END and self.reply is not None and self._parts is None and self._single is None:
            connection = self.connection
            assert connection is not None
            cost = len(payload) + ITEM_COST
            connection.receive_credit.charge(cost)
            connection.release(cost)
            if not self.finished:
                if len(payload) > connection.config.max_message_bytes:
                    self._too_large(len(payload))
                self._single = payload, flags & FLAG_PACKED
            self.ended(_OK, "", b"", {})
            return
        super().item(flags, payload)

    def end_input(self) -> None:
        """An item with FLAG_END: the call is over, and well."""
        self.ended(_OK, "", b"", {})

    def ended(self, status: int, message: str, details: bytes, trailers: dict[str, str | bytes]) -> None:
        """The server has ended the call, and its handler is done."""
        connection = self.connection
        assert connection is not None
        if self.is_let_go:
            connection.forget(self.number)
            return
        self.trailers = trailers
        if status == _OK:
            self.complete()
        else:
            self._end_with(self._error_of(status, message, details, trailers), status_name(status))
        connection.forget(self.number)

    def complete(self) -> None:
        reply = self.reply
        if reply is not None and self._single is None:
            self._end_with(
                self._error_of(Status.INTERNAL, f"call {self.method!r} ended without an answer", b"", {}), "INTERNAL"
            )
            return
        if reply is not None and not reply.done():
            assert self._single is not None
            reply.set_result(self._single)
        self.finish_as("OK")

    def _error_of(self, status: int, message: str, details: bytes, trailers: dict[str, str | bytes]) -> RpcError:
        if self.shape == 0:
            return RpcError.of(status, message, details, trailers)
        return StreamApplicationError(message, code=status, payload=details, trailers=trailers)

    # Ending it here.

    def fail(self, error: RpcError, *, tell_peer: bool = True) -> None:
        if self.finished:
            return
        status = "TIMEOUT" if isinstance(error, StreamTimeout) else error.code.name
        if self.shape and not isinstance(error, StreamError):
            error = StreamApplicationError(error.message, code=error.code, payload=error.details)
        self.drop_input()
        self._end_with(error, status)
        if tell_peer:
            self._let_go(error.code)

    def _end_with(self, error: RpcError, status: str) -> None:
        self.error = _again(error)  # the error itself goes to the reader, and its traceback must not lead back here
        if self.reply is None:
            self.failure = error
        elif not self.reply.done():
            self.reply.set_exception(error)
            self.reply.exception()  # whoever waits sees it; a caller that is gone is no mistake
        self.finish_as(status)

    def _let_go(self, code: int) -> None:
        """Tell the peer to cancel its handler; the place is kept until it says that it did."""
        connection = self.connection
        if connection is None or connection.closed or self.is_let_go:
            return
        self.is_let_go = True
        connection.write(writer.cancel(self.number, code))

    def abort(self, why: str = "it was aborted at this end") -> None:
        """Let go. Safe at any time, any number of times."""
        if self.finished:
            self.drop_input()  # it ended well, but what is unread holds credit of the whole connection
        else:
            code = Status.CANCELLED
            self.fail(StreamApplicationError(f"call {self.method!r} is over: {why}", code=code))

    def cut(self, error: Unavailable) -> None:
        """The connection is gone. What has come may still be read; then comes the error, never a plain end."""
        if self.finished:
            return
        broken: RpcError = error
        if self.shape:
            broken = StreamTransportError(f"call {self.method!r} was cut: {error.message}", cause=error)
        elif self.reply is not None:
            broken = Unavailable(f"call {self.method!r} was cut: {error.message}")
        self._end_with(broken, "UNAVAILABLE")

    def refused(self, text: str) -> None:
        """The server went away before it took this call."""
        self.was_refused = True
        if not self.is_let_go:
            self.cut(Unavailable(f"the server is going away and did not take the call: {text}"))
        assert self.connection is not None
        self.connection.forget(self.number)

    def _deadline_due(self) -> None:
        self._deadline_timer = None
        if self.finished:
            return
        if self.connection is None:
            self._deadline_judged()
        else:
            self.connection.judge(self._deadline_judged)

    def _deadline_judged(self) -> None:
        if not self.finished:
            self.fail(DeadlineExceeded(f"call {self.method!r} to {self.peer or 'the server'} passed its deadline"))

    def finish_as(self, status: str) -> None:
        """Once a call: its timers, tasks and waiters go, and its end is recorded."""
        super().finish()
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
            self._deadline_timer = None
        for task in (self.pump, self.opener):
            if task is not None and task is not _current_task():
                task.cancel()
        self.pump = self.opener = None
        if self.when_finished is not None:
            tell, self.when_finished = self.when_finished, None
            tell()
        connection = self.connection
        if connection is not None and connection.observer is not None:
            connection.observer.record(
                "call_ended",
                connection=connection.name,
                stream=self.number,
                method=self.method,
                shape=SHAPES[self.shape],
                status=status,
                seconds=self.loop.time() - self.started_at,
            )

    # Sending.

    def cannot_send(self) -> BaseException:
        if self.error is not None:
            return _again(self.error)
        ended = "the server has ended it" if self.finished else "it was ended with end()"
        error = FailedPrecondition(f"nothing can be sent in call {self.method!r}: {ended}")
        return StreamApplicationError(error.message, code=error.code)

    async def end_output(self) -> None:
        """The half-close: no more items from here."""
        if self.output_ended:
            return
        async with self.in_order():
            if self.output_ended:
                return
            await self._credit_for(0)
            self.output_ended = True
            assert self.connection is not None
            self.connection.write(writer.end(self.number))

    async def pump_items(self, items: AsyncIterable[Any] | Iterable[Any], encode: Any) -> None:
        """Send what an iterable gives; its errors end the call and are the reader's."""
        try:
            if isinstance(items, AsyncIterable):
                iterator = aiter(items)
                try:
                    async for item in iterator:
                        await self.send(*encode(item))
                finally:
                    close = getattr(iterator, "aclose", None)
                    if close is not None:
                        await close()
            else:
                for item in items:
                    await self.send(*encode(item))
            await self.end_output()
        except asyncio.CancelledError:
            self.abort("its items were cancelled")
            raise
        except Exception as error:
            self._items_failed(error)
        finally:
            self.pump = None

    def _items_failed(self, error: Exception) -> None:
        """What the user's iterable raised goes to whoever reads, as it is."""
        if self.finished:
            return
        self.drop_input()
        if isinstance(error, RpcError):
            self.error = _again(error)
        else:
            self.error = StreamApplicationError(
                f"call {self.method!r} is over: its items raised", code=Status.CANCELLED
            )
        if self.reply is None:
            self.failure = error
        elif not self.reply.done():
            self.reply.set_exception(error)
            self.reply.exception()
        self.finish_as("CANCELLED")
        self._let_go(Status.CANCELLED)


def _again(error: RpcError) -> RpcError:
    """An error of the same kind with the same facts, for a second place that has to raise it."""
    if isinstance(error, StreamTransportError):
        return StreamTransportError(error.message, cause=error.cause)
    if isinstance(error, StreamApplicationError):
        return StreamApplicationError(error.message, code=error.code, payload=error.payload)
    copy = type(error)(error.message)
    copy.details = error.details
    return copy


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
