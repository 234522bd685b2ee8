"""A call as its handler's end sees it: the handler's task, what it reads and writes, and with which status it ends.

END is sent when the handler has really ended, `finally` blocks included; that frees the caller's place. Knows no
listening socket, no table of methods and no types: a method comes with its decoder.

Tests, in both worlds: tests/rpcnet/test_shapes.py, test_errors.py, test_any_values.py and test_letting_go.py.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Final

from rpcnet.codec import NO_ARGUMENTS, Decode, PayloadError
from rpcnet.connection import Connection
from rpcnet.context import CURRENT
from rpcnet.errors import (
    FailedPrecondition,
    InvalidArgument,
    Metadata,
    ProtocolError,
    RpcError,
    Status,
    StreamApplicationError,
    status_name,
)
from rpcnet.flow.state import REQUEST
from rpcnet.interceptors import InterceptedCall, Proceed, once, run_through
from rpcnet.metadata import encoded_metadata
from rpcnet.peer import Peer
from rpcnet.server.ending import LAST_RESORT, Limits, error_of_group, fitting, of_rpc_error, ran_out_of_a_stream
from rpcnet.server.handlers import Handlers
from rpcnet.service import Method
from rpcnet.stream import Stream, running_task
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    CANCEL,
    FLAG_END,
    FLAG_ITEM,
    FLAG_MORE,
    FLAG_PACKED,
    ITEM_COST,
    SHAPES,
    Ending,
    decode_cancel,
)

__all__ = ["Items", "ServedCall"]

_log = logging.getLogger("rpcnet")
CLIENT_STREAMS: Final = 1
SERVER_STREAMS: Final = 2
_ENDS_THE_PROCESS: Final = (KeyboardInterrupt, SystemExit)
"""What a task hands on to its loop, after its caller was told; asyncio keeps all others in the task."""


class ServedCall(Stream):
    """A call as its handler's end sees it."""

    __slots__ = (
        "_callbacks",
        "_cancel_status",
        "_deadline_timer",
        "_failed",
        "_is_told",
        "_runs",
        "_started_at",
        "awaits_arguments",
        "deadline",
        "entry",
        "handlers",
        "metadata",
        "received_at",
        "task",
        "trailers",
        "wrote",
    )

    connection: Connection  # pyright: ignore[reportIncompatibleVariableOverride]
    """From the first: the call came over it."""

    def __init__(
        self,
        connection: Connection,
        handlers: Handlers,
        entry: Method,
        shape: int,
        metadata: dict[str, str | bytes],
        deadline: float | None,
        state: int,
    ) -> None:
        Stream.__init__(self, connection.loop, entry.name, shape, REQUEST, None)
        self.handlers = handlers
        self.entry = entry
        self.receiving = state
        self.awaits_arguments = False
        """The first message, which is still to come, is the arguments beside the stream."""
        self.task: asyncio.Task[None] | None = None
        self.wrote = False
        """An item or metadata has left."""
        self.metadata = metadata
        self.deadline = deadline
        self.trailers: dict[str, str | bytes] = {}
        wall_clock = handlers.wall_clock
        self.received_at = wall_clock() if wall_clock is not None else None
        self._runs = False
        self._is_told = True
        self._cancel_status: int | None = None
        self._failed: Ending | None = None
        """What `fail` tells the caller, even if the handler has been given the error meanwhile."""
        self._callbacks: list[Callable[[], object]] | None = None
        self._started_at: float
        self._deadline_timer: asyncio.TimerHandle | None = None

    def opened(self, now: float, flags: int, body: bytes) -> None:
        """OPEN has come: start the handler, or wait for the rest of its request."""
        self._started_at = now
        deadline = self.deadline
        if deadline is not None:
            self._deadline_timer = self.loop.call_at(deadline, self._deadline_due)
        if self.shape & CLIENT_STREAMS and not self.awaits_arguments:
            self._start(self._serve_items(*NO_ARGUMENTS))
        if flags & FLAG_ITEM:
            self._take_first(flags, body)
        if flags & FLAG_END and not self.finished:
            self.end_input()

    def _take_first(self, flags: int, body: bytes) -> None:
        """The first item, whose connection credit is charged already."""
        cost = len(body) + ITEM_COST
        if not flags & FLAG_MORE and not self.shape & CLIENT_STREAMS:
            # The hot path: a request in one piece, taken at once, so that its stream's credit need not be touched.
            self.connection.release(cost)
            if self.tally is not None:
                self.tally.received += len(body)
            if len(body) > self.connection.config.max_message_bytes:
                self._too_large(len(body))
                return
            self._start(self._serve_one(body, flags & FLAG_PACKED))
            return
        self.connection.receive_credit.allowed += cost
        self.item(flags & ~FLAG_ITEM & ~FLAG_END, body)

    def message(self, payload: bytes, layout: int, held: int) -> None:
        if self.shape & CLIENT_STREAMS:
            if not self.awaits_arguments:
                Stream.message(self, payload, layout, held)
                return
            self.awaits_arguments = False
            self.release(held)
            self._start(self._serve_items(payload, layout))
            return
        self.connection.release(held)  # the stream's is not needed any more
        if self.task is not None:
            raise ProtocolError(f"{SHAPES[self.shape]} call {self.method!r} was sent a second request")
        self._start(self._serve_one(payload, layout))

    def end_input(self) -> None:
        Stream.end_input(self)
        if self.task is None:
            what = "the arguments that its OPEN announced" if self.awaits_arguments else "a request"
            self.fail(InvalidArgument(f"{SHAPES[self.shape]} call {self.method!r} came without {what}"))

    def other(self, kind: int, payload: bytes) -> None:
        if kind == CANCEL:
            self.cancel(decode_cancel(payload))
        elif payload:
            raise ProtocolError(f"END of a caller has {len(payload)} bytes of payload")
        elif not self.finished:
            self.end_input()

    # Running the handler.

    def _start(self, serve: Any) -> None:
        self.task = self.loop.create_task(serve, name=self.method)

    async def _serve_one(self, payload: bytes, layout: int) -> None:
        """A handler that takes one request."""
        CURRENT.set(self)
        self._runs = True
        if self.tally is not None:
            self.tally.queued = self.loop.time() - self._started_at
        entry = self.entry
        try:
            if self.handlers.interceptors:
                await self._answer_through(partial(self._request, payload, layout))
                return
            request = payload if entry.decode is None else self._decode(entry.decode, payload, layout)
            await self._answer(entry.handler(request))
        except BaseException as error:
            if self._raised(error):
                raise

    async def _serve_items(self, payload: bytes, layout: int) -> None:
        """A handler that takes a stream, and maybe arguments beside it: a map that is empty where none came.

        One that takes no arguments ignores them, as every handler ignores those that it does not know.
        """
        CURRENT.set(self)
        self._runs = True
        entry = self.entry
        if self.tally is not None:
            self.tally.queued = self.loop.time() - self._started_at
        try:
            if self.handlers.interceptors:
                read = (
                    _no_request if entry.arguments is None else partial(self._decode, entry.arguments, payload, layout)
                )
                await self._answer_through(read)
            elif entry.arguments is None:
                await self._answer(entry.handler(Items(self)))
            else:
                await self._answer(entry.handler(Items(self), self._decode(entry.arguments, payload, layout)))
        except BaseException as error:
            if self._raised(error):
                raise

    async def _answer(self, answer: Any) -> None:
        if not self.shape & SERVER_STREAMS:
            payload, layout = self.entry.encode(await answer)
            if self._cancel_status is not None:
                raise asyncio.CancelledError
            await self._reply(payload, layout)
            return
        await self._stream(answer)
        self._streamed()

    def _streamed(self) -> None:
        if self._cancel_status is not None:
            raise asyncio.CancelledError
        self._done(self._ending_well())

    async def _answer_through(self, read: Callable[[], Any]) -> None:
        """The same behind the interceptors; `read` gives the one request. Their outcome is the call's."""
        interceptors = self.handlers.interceptors
        call = InterceptedCall("server", self.method, self.shape, self.metadata, self.deadline, read)
        proceed: Proceed = partial(self._handle, call)
        if self.shape:
            proceed = once(proceed, self.method)
        outcome = run_through(interceptors, call, proceed)
        if self.shape & SERVER_STREAMS:
            await outcome
            self._streamed()
        else:
            await self._answer(outcome)

    async def _handle(self, call: InterceptedCall) -> Any:
        """What the innermost `proceed()` does."""
        handler = self.entry.handler
        if not self.shape & CLIENT_STREAMS:
            answer = handler(call.request)
        elif self.entry.arguments is None:
            answer = handler(Items(self))
        else:
            answer = handler(Items(self), call.request)
        if not self.shape & SERVER_STREAMS:
            return await answer
        await self._stream(answer)
        return None

    async def _reply(self, payload: bytes, layout: int) -> None:
        """The one answer: a frame that is the end as well, unless there are trailers."""
        self.wrote = True
        if self.trailers:
            ending = self._ending_well()
            await self.send(payload, layout)
            self._done(ending)
            return
        await self.send(payload, layout | FLAG_END)
        self._ended("OK")

    def _ending_well(self) -> Ending:
        ending = fitting(Status.OK, "", b"", self.trailers, self._limits)
        if ending.status != Status.OK:
            _log.error("handler of %r: %s", self.method, ending.message)
        return ending

    async def _stream(self, answer: Any) -> None:
        encode = self.entry.encode
        answers: AsyncIterator[Any] = aiter(await answer if isinstance(answer, Awaitable) else answer)
        try:
            async for item in answers:
                if self._cancel_status is not None:
                    raise asyncio.CancelledError  # it ignored the first; nobody may grant credit for what it gives
                self.wrote = True
                payload, layout = encode(item)
                if not self.send_now(payload, layout):
                    await self.send_later(payload, layout)
        except asyncio.CancelledError:
            # Cancelled while sending: the handler, suspended at its `yield`, is to see it too.
            throw = getattr(answers, "athrow", None)
            if throw is not None and getattr(answers, "ag_frame", None) is not None:
                try:
                    await throw(asyncio.CancelledError())
                except (StopAsyncIteration, asyncio.CancelledError):
                    pass
            raise
        finally:
            close = getattr(answers, "aclose", None)
            if close is not None:
                await close()

    def _request(self, payload: bytes, layout: int) -> Any:
        decode = self.entry.decode
        return payload if decode is None else self._decode(decode, payload, layout)

    def _decode(self, decode: Decode, payload: bytes, layout: int) -> Any:
        try:
            return decode(payload, layout)
        except PayloadError as error:
            raise self.misfit(error) from None

    def not_ended(self) -> bool:
        """Whether the end of its input is a plain end: being cancelled is never one."""
        return self._cancel_status is None and not self.finished

    def misfit(self, error: PayloadError) -> InvalidArgument:
        return InvalidArgument(f"request of {self.method!r} does not fit its type: {error}")

    # What the handler may do through current_call().

    def send_metadata(self, metadata: Metadata) -> None:
        if self.wrote or self.output_ended:
            raise FailedPrecondition("send_metadata() works once, before the first item")
        limits = self._limits
        encoded = encoded_metadata(metadata, min(limits.max_metadata_bytes, limits.max_frame_bytes))
        self.wrote = True
        self.connection.write(writer.metadata(self.number, encoded), of_call=True)

    def peer_facts(self) -> Peer:
        return self.connection.peer_facts()

    def was_cancelled(self) -> bool:
        return self._cancel_status is not None

    def when_done(self, callback: Callable[[], object]) -> None:
        if self.finished:
            self.loop.call_soon(callback)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    @property
    def _limits(self) -> Limits:
        hello = self.connection.peer_hello
        assert hello is not None
        most = min(hello.max_metadata_bytes, self.connection.config.max_metadata_bytes)
        return Limits(hello.max_frame_bytes, most)

    def cannot_send(self) -> BaseException:
        return StreamApplicationError(f"call {self.method!r} is over", code=Status.CANCELLED)

    # Ending.

    def cancel(self, status: int) -> None:
        """The caller let go, a deadline passed, or the connection broke."""
        if self.finished or self._cancel_status is not None:
            return
        self._cancel_status = status
        self.drop_input()
        self._wake_reader()  # it may be another task than the handler's, which may wait for it
        if self.task is not None:
            self.task.cancel()
        if not self._runs:
            self._done(Ending(status))  # a task that is cancelled before its first step runs nothing of ours

    def stop(self) -> None:
        """The server stops: no END is sent, which would be the handler's word; the closing connection says it."""
        self._is_told = False
        self.cancel(Status.UNAVAILABLE)

    def fail(self, error: RpcError) -> None:
        """A rule was broken at this end: the handler is cancelled and the caller told why."""
        if self.finished:
            return
        ending = of_rpc_error(error, {}, self._limits)
        if self.task is None:
            self._done(ending)
        else:
            self._failed = ending
            self.failure = error
            self.cancel(error.code)

    def _deadline_due(self) -> None:
        self._deadline_timer = None
        self.connection.judge(self._deadline_judged)

    def _deadline_judged(self) -> None:
        if not self.finished:
            self.cancel(Status.DEADLINE_EXCEEDED)

    def _raised(self, error: BaseException) -> bool:
        """The handler has ended with this, whatever it is: the caller is told. Whether the task is to raise it too."""
        if isinstance(error, GeneratorExit) and running_task() is not self.task:
            return True  # Python closes the task's coroutine, as its loop has ended: nothing can be sent
        try:
            ending = self._ending_of(error_of_group(error))
        except _ENDS_THE_PROCESS:
            self._done(LAST_RESORT)
            raise
        except BaseException:  # of a user's value, or of a handler of log records
            ending = LAST_RESORT
        self._done(ending)
        return isinstance(error, _ENDS_THE_PROCESS)

    def _ending_of(self, error: BaseException) -> Ending:
        """One status for each exception: an RpcError its own, anything else INTERNAL without its text."""
        if isinstance(error, asyncio.CancelledError):
            return Ending(Status.CANCELLED, "the handler was cancelled")
        if isinstance(error, _ENDS_THE_PROCESS):
            return Ending(Status.INTERNAL, "the server is going down")
        if isinstance(error, RpcError):
            return of_rpc_error(error, self.trailers, self._limits)
        if isinstance(error, PayloadError):
            text = f"answer of {self.method!r} does not fit its type: {error}"
            _log.error("%s", text)
            return fitting(Status.INTERNAL, text, b"", self.trailers, self._limits)
        name = f"{self.handlers.random.getrandbits(32):08x}"
        _log.error("handler of %r raised (error %s)", self.method, name, exc_info=error)
        text = f"the handler raised (error {name})"
        if ran_out_of_a_stream(error):
            text = (
                f"the handler let StopAsyncIteration out (error {name}): the end of a stream that it read with"
                " receive(); read it with `async for`"
            )
        elif self.handlers.expose_errors:
            text = f"{type(error).__name__}: {error} (error {name})"
        return fitting(Status.INTERNAL, text, b"", self.trailers, self._limits)

    def _done(self, ending: Ending) -> None:
        """The handler is done: tell the caller, and forget."""
        if self.finished:
            return
        if self._cancel_status is not None:
            ending = self._failed or self._ending_of_cancelled(self._cancel_status)
        if self._is_told and not self.output_ended and not self.connection.closed:
            self.connection.write(writer.end(self.number, ending), of_call=True)
        self._ended(status_name(ending.status))

    def _ending_of_cancelled(self, status: int) -> Ending:
        text = "the deadline passed" if status == Status.DEADLINE_EXCEEDED else "the call was cancelled"
        return Ending(status, text)

    def _ended(self, status: str) -> None:
        connection = self.connection
        self.drop_input()
        self.finish()
        self.failure = None
        self.task = None
        if self._callbacks is not None:
            for callback in self._callbacks:
                self.loop.call_soon(callback)
            self._callbacks = None
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        tally = self.tally
        if connection.observer is not None and tally is not None:
            seconds = self.loop.time() - self._started_at
            queued = tally.queued if self._runs else seconds  # a handler that never began waited all the while
            connection.observer.record(
                "handler_ended",
                connection=connection.name,
                stream=self.number,
                method=self.method,
                shape=SHAPES[self.shape],
                status=status,
                seconds=seconds,
                sent_bytes=tally.sent,
                received_bytes=tally.received,
                queue_seconds=queued,
            )
        connection.forget(self.number)


def _no_request() -> None:
    """The one request of a call whose caller streams."""


class Items:
    """What a handler of a streaming request iterates over."""

    __slots__ = ("_call",)

    def __init__(self, call: ServedCall) -> None:
        self._call = call

    def __aiter__(self) -> "Items":
        return self

    async def __anext__(self) -> Any:
        call = self._call
        try:
            payload, layout = call.take() or await call.receive()
            decode = call.entry.decode
            return payload if decode is None else decode(payload, layout)
        except StopAsyncIteration:
            if call.not_ended():
                raise
            raise call.cannot_send() from None
        except PayloadError as error:
            raise call.misfit(error) from None
