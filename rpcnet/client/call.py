"""A call as its caller's end sees it: the answer or the items, the deadline, letting go, and what feeds it.

What a user holds refers to a call, never the other way round. Knows no connection but the base of both ends': which
calls a client's connection keeps, and how many places it has, is client/connection.py's matter, and putting a call on
a connection client/launch.py's.

One call runs its handler once: it is made again only where the server said, by a GOAWAY that breaks no rule, that no
handler has seen it (`may_be_made_again`), and then what it sent goes out again (`unheard`).

Tests: tests/rpcnet/test_stream.py and test_runs_once.py, and in both worlds test_shapes.py, test_time.py and
test_letting_go.py.
"""

import asyncio
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, Final, Protocol

from rpcnet.errors import (
    Cancelled,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    Metadata,
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
from rpcnet.flow.credit import beyond_credit
from rpcnet.flow.state import RESPONSE, START
from rpcnet.stream import Stream, running_task
from rpcnet.wire import writer
from rpcnet.wire.frame import END, FLAG_END, FLAG_PACKED, ITEM_COST, SHAPES, decode_ending, decode_metadata

__all__ = ["MAX_ATTEMPTS", "NOT_YET", "ORDERLY", "TAKEN", "ClientCall", "Launcher", "may_be_made_again"]

MAX_ATTEMPTS: Final = 3
"""How often a call is made again after a server refused it unseen."""
END_FRAME: Final = -1
"""Stands in `unheard` for the half-close that went as a frame of its own."""
TAKEN: Final = (b"", -1)
"""Stands for arguments that are one of the messages that were sent, and go again as such."""
PUNCTUAL: Final = 0.001
"""Seconds that a timer may be late without anybody having been held up."""
NOT_YET: Final = float("-inf")
_OK = Status.OK
ORDERLY: Final = frozenset((Status.OK, Status.RESOURCE_EXHAUSTED))
"""What a GOAWAY says after which calls that are served go on, and others may be made again."""


class Launcher(Protocol):
    """What puts calls on connections (client/launch.py)."""

    late_timer_grace: float

    def again(self, call: "ClientCall") -> None: ...
    def waits_for(self) -> str: ...


def may_be_made_again(status: int, unheard: object, attempts: int) -> bool:
    """Whether a call above the last stream of a GOAWAY may run on another connection.

    Only where the server stopped in order or rations resets: after a broken rule its word about the last stream is
    worth nothing. Nor where it has answered already, which says that a handler has seen the call.
    """
    return status in ORDERLY and unheard is not None and attempts <= MAX_ATTEMPTS


class ClientCall(Stream):
    """A call as its caller's end sees it."""

    __slots__ = (
        "_deadline_timer",
        "_first_frame",
        "_single",
        "arguments",
        "attempts",
        "deadline",
        "error",
        "initial_metadata",
        "is_let_go",
        "keeps_place",
        "launcher",
        "metadata",
        "opener",
        "outcome",
        "over",
        "pump",
        "reply",
        "request",
        "started_at",
        "trailers",
        "wait_for_ready",
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
        request: tuple[bytes, int] | None,
        metadata: Metadata | None,
        arguments: tuple[bytes, int] | None = None,
    ) -> None:
        if type(method) is not str and isinstance(method, str):
            method = str.__str__(method)  # a subclass may not be shown as the text that it is
        Stream.__init__(self, loop, method, shape, RESPONSE, idle_timeout)
        self.deadline = deadline
        self.request = request
        """The one request and its layout; None where the caller streams."""
        self.arguments = arguments
        """What is sent before the items, and its layout; TAKEN once it is on its way, None where there is nothing."""
        self.metadata = metadata
        self.reply: asyncio.Future[tuple[bytes, int]] | None = loop.create_future() if single else None
        """Where one answer is awaited; None where items are read."""
        self._single: tuple[bytes, int] | None = None
        self.unheard = []
        self.attempts = 0
        self.launcher: Launcher | None = None
        self.initial_metadata: dict[str, str | bytes] = {}
        self.trailers: dict[str, str | bytes] = {}
        self.wait_for_ready = False
        """Whether it waits for a connection while the server cannot be reached."""
        self.is_let_go = False
        self.keeps_place = False
        """Over, with items that nobody has read: they hold credit of the connection, so the place is not free yet."""
        self.error: RpcError | None = None
        """Why nothing can be sent any more."""
        self.pump: asyncio.Task[None] | None = None
        self.opener: asyncio.Task[None] | None = None
        self.when_finished: Callable[[BaseException], None] | None = None
        """Tells a BidirectionalStream's sender."""
        self.outcome: asyncio.Future[bool] | None = None
        """Behind interceptors: what they made of the call's end, or False where they had no say."""
        self.over: asyncio.Future[None] | None = None
        """Behind interceptors: the call's end, for them."""
        self._first_frame: asyncio.Future[None] | None = None
        """The arrival of what tells the metadata, where somebody waits for it."""
        self.started_at = NOT_YET
        """When it was put on the wire; before that, when it began to wait for a place there."""
        self._deadline_timer: asyncio.TimerHandle | None = None
        if deadline is not None:
            self._deadline_timer = loop.call_at(deadline, self._deadline_due)

    def waits_for(self) -> str:
        return "a connection" if self.launcher is None else self.launcher.waits_for()

    # What comes.

    def other(self, kind: int, payload: bytes) -> None:
        if kind == END:
            ending = decode_ending(payload)
            if ending.status == _OK and self._parts is not None:
                raise ProtocolError(f"call {self.method!r} ended with OK in the middle of a message")
            self.ended(ending.status, ending.message, ending.details, ending.trailers)
        else:
            self.initial_metadata = decode_metadata(payload)
            self._first_has_come()

    def message(self, payload: bytes, layout: int, held: int) -> None:
        if self.reply is None:
            Stream.message(self, payload, layout, held)
            if self._first_frame is not None:
                self._first_has_come()
            return
        assert self.connection is not None
        self.connection.release(held)  # the stream's is not needed any more
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
            window = connection.config.stream_window_bytes
            if cost > window:
                raise beyond_credit(cost, window, window)  # the stream's, of which nothing was used before
            connection.release(cost)
            if self.tally is not None:
                self.tally.received += len(payload)
            if not self.finished:
                if len(payload) > connection.config.max_message_bytes:
                    self._too_large(len(payload))
                self._single = payload, flags & FLAG_PACKED
            self.ended(_OK, "", b"", {})
            return
        Stream.item(self, flags, payload)  # super() would cost as much as the call

    def _first_has_come(self) -> None:
        first, self._first_frame = self._first_frame, None
        if first is not None and not first.done():
            first.set_result(None)

    async def arrival_of_metadata(self) -> Metadata:
        """The metadata, once it has come, or an item that shows that there is none; raises what ended the call before.

        What is raised here is raised to the reader too.
        """
        while self.receiving == START and not self.finished:
            if self._first_frame is None:
                self._first_frame = self.loop.create_future()
            await asyncio.shield(self._first_frame)
        if self.error is not None and not self.initial_metadata:
            raise _again(self.error)
        return self.initial_metadata

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
        self.keeps_place = self.reply is None and self.has_unread
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

    def all_read(self) -> None:
        if self.keeps_place:
            self.keeps_place = False
            assert self.connection is not None
            self.connection.all_read()

    def _error_of(self, status: int, message: str, details: bytes, trailers: dict[str, str | bytes]) -> RpcError:
        if self.shape == 0:
            return RpcError.of(status, message, details, trailers)
        return StreamApplicationError(message, code=status, payload=details, trailers=trailers)

    # Ending it here.

    def fail(self, error: RpcError) -> None:
        if self.finished:
            return
        status = "TIMEOUT" if isinstance(error, StreamTimeout) else error.code.name
        if self.shape and not isinstance(error, StreamError):
            error = StreamApplicationError(error.message, code=error.code, payload=error.details)
        self.drop_input()
        self._end_with(error, status)
        self._let_go(error.code)

    def _end_with(self, error: RpcError, status: str) -> None:
        error.metadata = self.initial_metadata
        self.error = _again(error)  # the error itself goes to the reader, and its traceback must not lead back here
        self._deliver(error)
        self.finish_as(status)

    def _deliver(self, error: BaseException) -> None:
        """To whoever reads, or awaits the answer; a caller that is gone is no mistake."""
        if self.reply is None:
            self.failure = error
        elif not self.reply.done():
            self.reply.set_exception(error)
            self.reply.exception()

    def _let_go(self, code: int) -> None:
        """Tell the peer to cancel its handler; the place is kept until it says that it did."""
        connection = self.connection
        if connection is None or connection.closed or self.is_let_go:
            return
        self.is_let_go = True
        connection.write(writer.cancel(self.number, code))

    def abort(self, why: str = "it was aborted at this end") -> None:
        """Let go. Safe at any time, any number of times."""
        text = f"call {self.method!r} is over: {why}"
        if not self.finished:
            self.fail(Cancelled(text))
        elif self.has_unread:
            # It ended well, but what is unread holds credit of the whole connection. Nor was all of it read: whoever
            # reads on must not take that for the end.
            self.drop_input()
            self.failure = StreamApplicationError(text, code=Status.CANCELLED)

    def cut(self, error: RpcError) -> None:
        """The connection is gone, or there is none. What has come may be read; then comes the error, never an end."""
        if self.finished:
            return
        broken: RpcError = error
        if self.shape:
            broken = StreamTransportError(f"call {self.method!r} was cut: {error.message}", cause=error)
        elif self.reply is not None:
            broken = Unavailable(f"call {self.method!r} was cut: {error.message}")
        self._end_with(broken, "UNAVAILABLE")

    def refused(self, status: int, text: str) -> None:
        """The server's GOAWAY says that it will not take this call, which its connection has forgotten."""
        assert self.connection is not None
        if self.finished:
            return
        self.attempts += 1
        if self.launcher is None or not may_be_made_again(status, self.unheard, self.attempts):
            self.cut(Unavailable(f"the server is going away and did not take the call: {text}"))
            return
        self._record_end("UNAVAILABLE")
        sent = self.unheard if self.resending is None else self.resending
        self._cancel_tasks(self.opener)
        if self.request is not None:
            sent = None  # it goes out again as a whole
            self._cancel_tasks(self.pump)
            self.pump = None
        # Nothing of it has come, or the server would have seen it: what is received is as it was in the beginning.
        self.connection, self.number, self.credit = None, 0, 0
        self.output_ended = False
        # A copy: the task that was sending the same list again clears it when it is cancelled (`ahead_of_others`).
        self.resending = list(sent) if sent else None
        self.unheard = []
        self._wake_writers()  # those who wait for the old connection's credit now wait for another connection
        self.launcher.again(self)

    def _deadline_due(self) -> None:
        self._deadline_timer = None
        if self.finished:
            return
        if self.connection is not None:
            self.connection.judge(self._deadline_judged)
            return
        # No connection can be asked whether an answer has arrived: where the loop was held up the time is given back.
        assert self.deadline is not None
        late = self.loop.time() - self.deadline
        if late > PUNCTUAL and self.launcher is not None:
            back = min(late, self.launcher.late_timer_grace)
            self._deadline_timer = self.loop.call_later(back, self._deadline_judged)
        else:
            self._deadline_judged()

    def _deadline_judged(self) -> None:
        self._deadline_timer = None
        if self.finished:
            return
        where = f" while it waited for {self.waits_for()}" if self.connection is None else ""
        self.fail(DeadlineExceeded(f"call {self.method!r} to {self.peer or 'the server'} passed its deadline{where}"))

    def finish_as(self, status: str) -> None:
        """Once a call: its timers, tasks and waiters go, and its end is recorded."""
        Stream.finish(self)
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
            self._deadline_timer = None
        if self.pump is not None or self.opener is not None:
            self._cancel_tasks(self.pump, self.opener)
            self.pump = self.opener = None
        self.request = self.metadata = None
        if self.over is not None:
            over, self.over = self.over, None  # what it raises leads to whoever reads, and that to this call
            if over.done():
                pass  # cancelled with its interceptors
            elif self.failure is None:
                over.set_result(None)
            else:
                over.set_exception(self.failure)
                over.exception()
        if self._first_frame is not None:
            self._first_has_come()
        if self.when_finished is not None:
            tell, self.when_finished = self.when_finished, None
            tell(self.cannot_send())
        if self.tally is not None:
            self._record_end(status)

    def _cancel_tasks(self, *tasks: asyncio.Task[None] | None) -> None:
        for task in tasks:
            if task is not None and task is not running_task():
                task.cancel()

    def _record_end(self, status: str) -> None:
        connection, tally = self.connection, self.tally
        if connection is not None and connection.observer is not None and tally is not None:
            connection.observer.record(
                "call_ended",
                connection=connection.name,
                stream=self.number,
                method=self.method,
                shape=SHAPES[self.shape],
                status=status,
                seconds=self.loop.time() - self.started_at,
                sent_bytes=tally.sent,
                received_bytes=tally.received,
                queue_seconds=tally.queued,
            )

    # Sending.

    def cannot_send(self) -> BaseException:
        if self.error is not None:
            return _again(self.error)
        ended = "the server has ended it" if self.finished else "it was ended with end()"
        error = FailedPrecondition(f"nothing can be sent in call {self.method!r}: {ended}")
        return StreamApplicationError(error.message, code=error.code)

    def sending_last(self) -> None:
        if self.reply is not None:
            self.begin_reading()  # now the answer is awaited, and nothing else

    async def end_output(self) -> None:
        """The half-close: no more items from here."""
        if self.output_ended:
            return
        async with self.in_order():
            if self.output_ended:
                return
            try:
                await self.credit_for(0)
            except RpcError:
                if self.error is None:
                    return  # ended meanwhile, by another end() or by the server in order
                raise
            self.half_close()

    def half_close(self) -> None:
        """Write END now."""
        assert self.connection is not None
        self.output_ended = True
        if self.unheard is not None:
            self.unheard.append((b"", END_FRAME))
        self.sending_last()
        self.connection.write(writer.end(self.number))

    def send_first(self, payload: bytes, layout: int) -> None:
        """Have `send_again` send this before whatever went out before, and all others wait from now on."""
        self.resending = [(payload, layout), *(self.resending or ())]
        if self._lock is None:
            self._lock = asyncio.Lock()  # closes the fast path until `send_again` has begun

    async def send_again(self) -> None:
        """Write what is to go before all else: arguments, or what another server said that it did not take."""
        sent = self.resending
        if sent is None:
            return
        async with self.ahead_of_others(sent):
            for payload, flags in sent:
                if flags == END_FRAME:
                    await self.credit_for(0, again=True)
                    self.half_close()
                else:
                    await self.send_parts(payload, flags, again=True)

    async def send_request(self) -> None:
        """Send a request that did not fit into OPEN. If the call ends meanwhile, its end says why."""
        assert self.request is not None
        payload, layout = self.request
        try:
            await self.send(payload, layout | FLAG_END)
        except RpcError as error:
            self.fail(error)
        self.pump = None

    async def pump_items(self, items: AsyncIterable[Any] | Iterable[Any], encode: Any) -> None:
        """Send what an iterable gives; its errors end the call and are the reader's."""
        try:
            if isinstance(items, AsyncIterable):
                iterator = aiter(items)
                try:
                    async for item in iterator:
                        payload, layout = encode(item)
                        await self.send(payload, layout)
                finally:
                    close = getattr(iterator, "aclose", None)
                    if close is not None:
                        await close()
            else:
                for item in items:
                    payload, layout = encode(item)
                    await self.send(payload, layout)
            await self.end_output()
        except asyncio.CancelledError:
            if not self.finished:  # else that was what stopped the items, and answers may be unread
                self.abort("its items were cancelled")
            raise
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            self.abort("its items ended the process")
            raise
        except BaseException as error:
            self._items_failed(error)
        finally:
            self.pump = None
            # What the items raised leads to their generator's frame, and that to this one (f_back, from 3.12 on).
            del self

    def _items_failed(self, error: BaseException) -> None:
        """What the user's iterable raised goes to whoever reads, as it is."""
        if self.finished:
            return
        self.drop_input()
        text = f"call {self.method!r} is over: its items raised {type(error).__name__}"
        self.error = StreamApplicationError(text, code=Status.CANCELLED)
        if isinstance(error, StopIteration | StopAsyncIteration):
            # A future takes no StopIteration, and a reader would take the other one for the end of the stream.
            error = RuntimeError(f"the items of call {self.method!r} raised {type(error).__name__}")
        else:
            # Its first frames are our own, which lead to this call, and the call's answer to the error: a cycle.
            trace = error.__traceback__
            while trace is not None and trace.tb_frame.f_code is ClientCall.pump_items.__code__:
                trace = trace.tb_next
            error = error.with_traceback(trace)
        self._deliver(error)
        self.finish_as("CANCELLED")
        self._let_go(Status.CANCELLED)


def _again(error: RpcError) -> RpcError:
    """An error of the same kind with the same facts, for a second place that has to raise it."""
    if isinstance(error, StreamTransportError):
        again: RpcError = StreamTransportError(error.message, cause=error.cause)
    elif isinstance(error, StreamTimeout):
        again = StreamTimeout(error.message)
    elif isinstance(error, StreamApplicationError):
        again = StreamApplicationError(error.message, code=error.code, payload=error.payload, trailers=error.trailers)
    else:
        again = RpcError.of(error.code, error.message, error.details, error.trailers)
    again.metadata = error.metadata
    return again
