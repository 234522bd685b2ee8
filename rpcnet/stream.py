"""One call at one of its two ends: what has come and is unread, what waits to be sent, and for how long.

`Stream` is what client/call.py and server/call.py share: receiving with credit, sending in parts as credit comes, and
the idle timer. The rules are in flow.state and flow.credit; this is their shell. Knows no method table and no
user-facing handle, so that a handle that is dropped is freed at once, whatever still runs here.

An error ends the stream: it is raised once, afterwards there is only StopAsyncIteration.

Tests: tests/rpcnet/test_shapes.py, test_time.py, test_flow_control.py and test_letting_go.py, in both worlds.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rpcnet.connection import Connection, frame_room
from rpcnet.errors import ResourceExhausted, RpcError, StreamTimeout
from rpcnet.flow.credit import ReceiveCredit, granted
from rpcnet.flow.state import START, step
from rpcnet.wire import writer
from rpcnet.wire.frame import CREDIT, FLAG_END, FLAG_MORE, FLAG_PACKED, ITEM, ITEM_COST, SHAPES, decode_number

__all__ = ["Stream"]


class Stream:
    """Both directions of one call, seen from one end."""

    __slots__ = (
        "_activity",
        "_idle_timer",
        "_lock",
        "_parts",
        "_parts_bytes",
        "_parts_held",
        "_parts_layout",
        "_queue",
        "_reader",
        "_senders",
        "_waiting",
        "_writer",
        "connection",
        "credit",
        "failure",
        "finished",
        "idle_timeout",
        "input_ended",
        "loop",
        "method",
        "number",
        "output_ended",
        "peer",
        "receive_credit",
        "receiving",
        "shape",
        "table",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        method: str,
        shape: int,
        table: dict[tuple[int, int, int], int],
        idle_timeout: float | None,
    ) -> None:
        self.loop = loop
        self.method = method
        self.shape = shape
        self.table = table
        self.idle_timeout = idle_timeout
        self.connection: Connection | None = None
        self.number = 0
        self.peer = ""
        self.receiving = START
        self.credit = 0
        self.receive_credit: ReceiveCredit | None = None
        self.failure: BaseException | None = None
        self.finished = False
        self.input_ended = False
        """Nothing more will be queued."""
        self.output_ended = False
        """Nothing more may be sent."""
        self._queue: deque[tuple[bytes, int, int]] | None = None
        """Payload, its layout, the credit that it holds."""
        self._parts: list[bytes] | None = None
        self._parts_layout = 0
        self._parts_bytes = 0
        self._parts_held = 0
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._lock: asyncio.Lock | None = None
        self._senders = 0
        self._waiting = 0
        self._activity = 0.0
        self._idle_timer: asyncio.TimerHandle | None = None

    def attach(self, connection: Connection, number: int) -> None:
        """This call is now on the wire."""
        assert connection.peer_hello is not None
        self.connection = connection
        self.number = number
        self.peer = connection.peer
        self.credit = connection.peer_hello.stream_window_bytes
        if self._writer is not None:
            self._wake_writer()

    # What the two ends supply.

    def fail(self, error: RpcError, *, tell_peer: bool = True) -> None:
        """End the call here with this error."""
        raise AssertionError("supplied by the two ends")

    # Receiving.

    def frame(self, kind: int, flags: int, payload: bytes) -> None:
        """A frame of this call has come: check it against the table, and act."""
        self.receiving = step(self.table, self.receiving, kind, flags)
        if kind == ITEM:
            self.item(flags, payload)
        elif kind == CREDIT:
            self.credit = granted(self.credit, decode_number(payload))
            self._activity = self.loop.time()
            self._wake_writer()
        else:
            self.other(kind, payload)

    def other(self, kind: int, payload: bytes) -> None:
        """END, CANCEL and METADATA, which differ between the ends."""
        raise AssertionError("supplied by the two ends")

    def item(self, flags: int, payload: bytes) -> None:
        """An item, or a part of one; its credit is charged, whether anybody wants it or not."""
        connection = self.connection
        assert connection is not None
        cost = len(payload) + ITEM_COST
        connection.receive_credit.charge(cost)
        if self.input_ended:
            connection.release(cost)
            return
        credit = self.receive_credit
        if credit is None:
            credit = self.receive_credit = ReceiveCredit(connection.config.stream_window_bytes)
        credit.charge(cost)
        if self.idle_timeout is not None:
            self._activity = self.loop.time()
        if flags & FLAG_MORE or self._parts is not None:
            whole = self._part(flags, payload, cost)
            if whole is None:
                return
            payload, flags, cost = whole
        elif len(payload) > connection.config.max_message_bytes:
            self._too_large(len(payload))
            return
        self.message(payload, flags & FLAG_PACKED, cost)
        if flags & FLAG_END:
            self.end_input()

    def message(self, payload: bytes, layout: int, held: int) -> None:
        """A whole message: queue it, and keep its credit until somebody reads it."""
        if self._queue is None:
            self._queue = deque()
        self._queue.append((payload, layout, held))
        self._wake_reader()

    def _part(self, flags: int, payload: bytes, cost: int) -> tuple[bytes, int, int] | None:
        """Gather a message that comes in parts. While it is the next to be read its credit goes back at once: else a
        message larger than the window would never be complete. Behind unread ones it waits."""
        if self._parts is None:
            self._parts = []
            self._parts_layout = flags & FLAG_PACKED
        self._parts.append(payload)
        self._parts_bytes += len(payload)
        self._parts_held += cost
        assert self.connection is not None
        if self._parts_bytes > self.connection.config.max_message_bytes:
            self._too_large(self._parts_bytes)
            return None
        if flags & FLAG_MORE:
            if not self._queue:
                self._release_parts()
            return None
        whole = b"".join(self._parts), flags | self._parts_layout, self._parts_held
        self._parts, self._parts_bytes, self._parts_held = None, 0, 0
        return whole

    def _release_parts(self) -> None:
        held, self._parts_held = self._parts_held, 0
        if held:
            self.release(held)

    def _too_large(self, size: int) -> None:
        assert self.connection is not None
        limit = self.connection.config.max_message_bytes
        self.fail(
            ResourceExhausted(
                f"message of {size} bytes or more from {self.peer} exceeds max_message_bytes ({limit});"
                " raise it on both sides, or stream smaller ones"
            )
        )

    def release(self, cost: int) -> None:
        """Bytes of this call were read or thrown away: give their credit back."""
        connection = self.connection
        assert connection is not None
        connection.release(cost)
        if self.receive_credit is not None and not self.input_ended:
            amount = self.receive_credit.release(cost, self.loop.time())
            if amount:
                connection.write(writer.credit(self.number, amount))

    def end_input(self) -> None:
        """The peer's direction has ended in order."""
        self.input_ended = True
        self._wake_reader()

    def drop_input(self) -> None:
        """Throw away what is unread and return its credit."""
        held = self._parts_held
        if self._queue:
            held += sum(held for _, _, held in self._queue)
            self._queue.clear()
        self._parts, self._parts_held = None, 0
        self.input_ended = True
        if held and self.connection is not None and not self.connection.closed:
            self.connection.release(held)

    @property
    def has_unread(self) -> bool:
        return bool(self._queue) or self._parts_held > 0

    async def receive(self) -> tuple[bytes, int]:
        """The next item and its layout. Raises what ended the stream, once; then StopAsyncIteration."""
        while not self._queue:
            if self.input_ended:
                if self.failure is not None:
                    raise self.take_failure()
                raise StopAsyncIteration
            await self._wait_for_input()
        payload, layout, held = self._queue.popleft()
        self.release(held)
        if self._parts_held and not self._queue:
            self._release_parts()
        return payload, layout

    async def _wait_for_input(self) -> None:
        if self._reader is not None:
            raise RuntimeError(f"another task is already reading {SHAPES[self.shape]} call {self.method!r}")
        self._reader = self.loop.create_future()
        self.begin_waiting()
        try:
            await self._reader
        finally:
            self._reader = None
            self._waiting -= 1

    def take_failure(self) -> BaseException:
        """What ended the stream; it is kept no longer, so that no reference cycle runs through its traceback."""
        failure, self.failure = self.failure, None
        assert failure is not None
        return failure

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # Sending.

    async def send(self, payload: bytes, flags: int = 0) -> None:
        """Send one item, as soon as credit allows. `flags`: its layout, and FLAG_END where it is the last.

        Cancelled in the middle of an item that goes in parts, the call is lost: whoever cancels must abort it.
        """
        connection = self.connection
        cost = len(payload) + ITEM_COST
        if (
            connection is None
            or self.output_ended
            or cost > self.credit
            or self._lock is not None
            or not connection.may_write(cost)
            or len(payload) > connection.config.part_bytes
        ):
            await self._send_slowly(payload, flags)
            return
        self.credit -= cost
        connection.credit -= cost
        if self.idle_timeout is not None:
            self._activity = self.loop.time()
        if flags & FLAG_END:
            self.output_ended = True
            self.sending_last()
        connection.write(writer.item(self.number, flags, payload))

    def sending_last(self) -> None:
        """The last item is about to be written."""

    async def _send_slowly(self, payload: bytes, flags: int) -> None:
        """In parts, as credit comes, after whoever sends on this stream already."""
        async with self.in_order():
            await self._credit_for(ITEM_COST)
            await self._send_parts(payload, flags)

    @asynccontextmanager
    async def in_order(self) -> AsyncIterator[None]:
        """One sender at a time, in the order in which they came."""
        if self._lock is None:
            self._lock = asyncio.Lock()
        self._senders += 1
        try:
            async with self._lock:
                yield
        finally:
            self._senders -= 1
            if not self._senders:
                self._lock = None

    async def _send_parts(self, payload: bytes, flags: int) -> None:
        connection = self.connection
        assert connection is not None and connection.peer_hello is not None
        hello = connection.peer_hello
        if len(payload) > hello.max_message_bytes:
            raise ResourceExhausted(
                f"message of {len(payload)} bytes to {self.peer} exceeds its max_message_bytes"
                f" ({hello.max_message_bytes}); raise it there, or stream smaller ones"
            )
        room = frame_room(hello, connection.config)
        least = min(room, hello.stream_window_bytes // 4, hello.connection_window_bytes // 4)
        view, at, left = memoryview(payload), 0, len(payload)
        while True:
            want = min(left, least) + ITEM_COST
            await self._credit_for(want)
            if not connection.may_write(want):
                await self._wait_to_write(connection, want)
                if self.credit < want or self.output_ended:
                    connection.wake_writer()
                    continue
            size = min(left, room, self.credit - ITEM_COST, connection.credit - ITEM_COST)
            left -= size
            self.credit -= size + ITEM_COST
            connection.credit -= size + ITEM_COST
            self._activity = self.loop.time()
            layout = flags & FLAG_PACKED if at == 0 else 0
            end = 0 if left else flags & FLAG_END
            if end:
                self.output_ended = True
                self.sending_last()
            connection.write(writer.item(self.number, layout | end | (FLAG_MORE if left else 0), view[at : at + size]))
            at += size
            connection.wake_writer()
            if not left:
                return

    async def _wait_to_write(self, connection: Connection, want: int) -> None:
        self.begin_waiting()
        try:
            await connection.wait_to_write(want)
        except RpcError:
            if not self.output_ended:
                raise
            raise self.cannot_send() from None
        finally:
            self._waiting -= 1

    async def _credit_for(self, want: int) -> None:
        """Wait until the peer has granted this much for this stream."""
        while not self.output_ended and (self.credit < want or self.connection is None):
            self._writer = self.loop.create_future()
            self.begin_waiting()
            try:
                await self._writer
            finally:
                self._writer = None
                self._waiting -= 1
        if self.output_ended:
            raise self.cannot_send()

    def cannot_send(self) -> BaseException:
        """Why nothing can be sent any more."""
        raise AssertionError("supplied by the two ends")

    def _wake_writer(self) -> None:
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    # Silence.

    def begin_waiting(self) -> None:
        """Something is awaited of the peer from now on: the idle timer runs only while it is."""
        self._waiting += 1
        if self.idle_timeout is not None and not self.finished:
            self._activity = now = self.loop.time()
            if self._idle_timer is None:
                self._idle_timer = self.loop.call_at(now + self.idle_timeout, self._idle_due)

    def _idle_due(self) -> None:
        """One timer serves many waits: it looks when the last sign of life was, and comes back."""
        self._idle_timer = None
        if self.finished or not self._waiting or self.idle_timeout is None:
            return
        due = self._activity + self.idle_timeout
        if self.loop.time() + 1e-9 < due:
            self._idle_timer = self.loop.call_at(due, self._idle_due)
        elif self.connection is not None:
            self.connection.judge(self._idle_judged)
        else:
            self._idle_judged()

    def _idle_judged(self) -> None:
        idle = self.idle_timeout
        if self.finished or not self._waiting or idle is None or self._idle_timer is not None or self._queue:
            return
        due = self._activity + idle
        if self.loop.time() + 1e-9 < due:
            self._idle_timer = self.loop.call_at(due, self._idle_due)
            return
        self.fail(
            StreamTimeout(f"{self.peer or 'the peer'} was silent for idle_timeout ({idle:g} s) in call {self.method!r}")
        )

    # Ending.

    def finish(self) -> None:
        """Nothing runs for this call any more: timers, waiters and unread bytes go."""
        self.finished = True
        self.output_ended = True
        self.input_ended = True
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        self._wake_reader()
        self._wake_writer()
