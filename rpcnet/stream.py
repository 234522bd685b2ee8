"""One call at one of its two ends: what has come and is unread, what waits to be sent, and for how long.

`Stream` is what client/call.py and server/call.py share: receiving with credit, sending in parts as credit comes, and
the clocks of its waits. The rules are in flow.state, flow.credit and flow.waits; this is their shell. Knows no method
table and no user-facing handle, so that a handle that is dropped is freed at once, whatever still runs here.

An error ends the stream: it is raised once, afterwards there is only StopAsyncIteration.

Tests: tests/rpcnet/test_shapes.py, test_time.py, test_flow_control.py and test_letting_go.py, in both worlds.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

from rpcnet.connection import Connection
from rpcnet.errors import (
    ResourceExhausted,
    RpcError,
    Status,
    StreamApplicationError,
    StreamTimeout,
)
from rpcnet.flow.credit import ReceiveCredit, granted, of_stream
from rpcnet.flow.parts import Parts
from rpcnet.flow.state import START, step
from rpcnet.flow.waits import NEVER, Waits
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    CREDIT,
    FLAG_END,
    FLAG_MORE,
    FLAG_PACKED,
    ITEM,
    ITEM_COST,
    SHAPES,
    decode_number,
)

__all__ = ["Sent", "Stream", "Tally", "running_task"]

Sent: TypeAlias = list[tuple[bytes | memoryview, int]]
"""Payloads and flags of items that went out."""
EARLY: Final = 1e-9
"""Seconds: a timer may fire so much before its time."""


def running_task() -> asyncio.Task[Any] | None:
    """The task that runs here; None also where no loop runs, as when Python closes a coroutine after its loop."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


class Tally:
    """What is counted of a call where somebody observes it."""

    __slots__ = ("queued", "received", "sent")

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0
        """Bytes of messages, as they come, whether anybody reads them or not."""
        self.queued = 0.0
        """Seconds before the call was on the wire, or its handler began."""


class Stream:
    """Both directions of one call, seen from one end."""

    __slots__ = (
        "_idle_timer",
        "_lock",
        "_parts",
        "_queue",
        "_reader",
        "_senders",
        "_writers",
        "connection",
        "credit",
        "failure",
        "finished",
        "input_ended",
        "loop",
        "method",
        "number",
        "output_ended",
        "peer",
        "receive_credit",
        "receiving",
        "resending",
        "shape",
        "table",
        "tally",
        "unheard",
        "waits",
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
        self.waits = None if idle_timeout is None else Waits(idle_timeout)
        """None where no wait is bounded."""
        self.connection: Connection | None = None
        self.tally: Tally | None = None
        """None where nobody observes."""
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
        self.resending: Sent | None = None
        """What went out on a connection that did not take the call, while it goes out again; new items wait."""
        self.unheard: Sent | None = None
        """Payloads and flags of the items sent, until the peer's first frame: where they must be sent again if not."""
        self._queue: deque[tuple[bytes, int, int]] | None = None
        """Payload, its layout, the credit that it holds."""
        self._parts: Parts | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] | None = None
        self._lock: asyncio.Lock | None = None
        self._senders = 0
        self._idle_timer: asyncio.TimerHandle | None = None

    def attach(self, connection: Connection, number: int) -> None:
        """This call is now on the wire."""
        assert connection.peer_hello is not None
        self.connection = connection
        self.number = number
        self.peer = connection.peer
        self.credit = connection.peer_hello.stream_window_bytes
        if connection.observer is not None:
            self.tally = Tally()
        if self._writers:
            self._wake_writers()

    # What the two ends supply.

    def fail(self, error: RpcError) -> None:
        """End the call here with this error."""
        raise AssertionError("supplied by the two ends")

    def cannot_send(self) -> BaseException:
        """Why nothing can be sent any more."""
        raise AssertionError("supplied by the two ends")

    def other(self, kind: int, payload: bytes) -> None:
        """END, CANCEL and METADATA, which differ between the ends."""
        raise AssertionError("supplied by the two ends")

    def sending_last(self) -> None:
        """The last item is about to be written."""

    def all_read(self) -> None:
        """After the end of the input: nothing is unread any more."""

    def waits_for(self) -> str:
        """What a call that is not yet on the wire waits for."""
        return "a connection"

    # Receiving.

    def frame(self, kind: int, flags: int, payload: bytes) -> None:
        """A frame of this call has come: check it against the table, and act."""
        self.receiving = step(self.table, self.receiving, kind, flags)
        if kind == ITEM:
            self.item(flags, payload)
        elif kind == CREDIT:
            self.credit = granted(self.credit, decode_number(payload))
            if self.waits is not None:
                self.waits.credit_came(self.loop.time())
            if self._writers:
                self._wake_writers()
        else:
            self.other(kind, payload)

    def item(self, flags: int, payload: bytes) -> None:
        """An item, or a part of one; its credit is charged, whether anybody wants it or not."""
        connection = self.connection
        assert connection is not None
        size = len(payload)
        cost = size + ITEM_COST
        connection.receive_credit.charge(cost)
        if self.tally is not None:
            self.tally.received += size
        if self.input_ended:
            connection.release(cost)
        else:
            credit = self.receive_credit
            if credit is None:
                credit = self.receive_credit = of_stream(connection.config.stream_window_bytes, self.loop.time)
            credit.charge(cost)
            if self.waits is not None and self.waits.read_since != NEVER:
                self.waits.item_came(self.loop.time())
            if flags & FLAG_MORE or self._parts is not None:
                self._part(flags, payload, cost)
            elif size > connection.config.max_message_bytes:
                connection.release(cost)
                self._too_large(size)
            else:
                self.message(payload, flags & FLAG_PACKED, cost)
        if flags & FLAG_END:
            self.end_input()  # also where nobody wants the item: the peer says no more of this call

    def message(self, payload: bytes, layout: int, held: int) -> None:
        """A whole message: queue it, and keep its credit until somebody reads it."""
        queue = self._queue
        if queue:
            queue.append((payload, layout, held))
            return  # whoever waits was woken by the first
        if queue is None:
            queue = self._queue = deque()
        queue.append((payload, layout, held))
        if self._reader is not None:
            self._wake_reader()

    def _part(self, flags: int, payload: bytes, cost: int) -> None:
        """Gather a message that comes in parts. While it is the next to be read its credit goes back at once: else a
        message larger than the window would never be complete. Behind unread ones it waits."""
        parts = self._parts
        if parts is None:
            parts = self._parts = Parts(flags & FLAG_PACKED)
        parts.add(payload, cost)
        assert self.connection is not None
        if parts.size > self.connection.config.max_message_bytes:
            self._too_large(parts.size)
        elif not flags & FLAG_MORE:
            self._parts = None
            self.message(parts.joined(), parts.layout, parts.held)
        elif not self._queue:
            self.release(parts.take_held())

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
        """Bytes of this call were read: give their credit back. The connection's goes with the stream's."""
        connection = self.connection
        assert connection is not None
        credit = self.receive_credit
        if credit is None or self.input_ended:
            connection.release(cost)
            if self.input_ended and not self._queue:
                self.all_read()
            return
        amount = credit.release(cost)
        if amount:
            connection.write(connection.credit_due(amount) + writer.credit(self.number, amount))

    @property
    def read_untold(self) -> int:
        """Bytes that were read and that nobody was told of yet."""
        return 0 if self.receive_credit is None else self.receive_credit.owed

    def end_input(self) -> None:
        """The peer's direction has ended in order."""
        self.input_ended = True
        if self.receive_credit is not None:
            self._settle(self.receive_credit)
        if self._reader is not None:
            self._wake_reader()

    def _settle(self, credit: ReceiveCredit) -> None:
        """The input has ended: the stream grants no more, so what it owes is the connection's alone."""
        if credit.owed and self.connection is not None:
            owed, credit.owed = credit.owed, 0
            self.connection.release(owed)

    def drop_input(self) -> None:
        """Throw away what is unread and return its credit."""
        held = 0 if self._parts is None else self._parts.held
        if self._queue:
            held += sum(held for _, _, held in self._queue)
            self._queue.clear()
        self._parts = None
        self.input_ended = True
        if self.receive_credit is not None:
            self._settle(self.receive_credit)
        if held and self.connection is not None and not self.connection.closed:
            self.connection.release(held)
        self.all_read()

    @property
    def has_unread(self) -> bool:
        return bool(self._queue) or (self._parts is not None and self._parts.held > 0)

    def take(self) -> tuple[bytes, int] | None:
        """The next item and its layout, where it has come already."""
        queue = self._queue
        if not queue:
            return None
        payload, layout, held = queue.popleft()
        if not queue:
            self._queue = None  # an empty deque takes 760 bytes, of each stream that waits
        self.release(held)
        if self._parts is not None and self._parts.held and not self._queue:
            self.release(self._parts.take_held())
        return payload, layout

    async def receive(self) -> tuple[bytes, int]:
        """The next item and its layout. Raises what ended the stream, once; then StopAsyncIteration."""
        while True:
            item = self.take()
            if item is not None:
                return item
            if self.input_ended:
                if self.failure is not None:
                    raise self.take_failure()
                raise StopAsyncIteration
            await self._wait_for_input()

    async def _wait_for_input(self) -> None:
        if self._reader is not None:
            raise RuntimeError(f"another task is already reading {SHAPES[self.shape]} call {self.method!r}")
        self._reader = self.loop.create_future()
        self.begin_reading()
        try:
            await self._reader
        finally:
            self._reader = None
            if self.waits is not None:
                self.waits.read_since = NEVER

    def take_failure(self) -> BaseException:
        """What ended the stream; it is kept no longer, so that no reference cycle runs through its traceback."""
        failure, self.failure = self.failure, None
        assert failure is not None
        return failure

    def _wake_reader(self) -> None:
        if self.waits is not None:
            self.waits.read_since = NEVER
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # Sending.

    async def send(self, payload: bytes, flags: int = 0) -> None:
        """Send one item, as soon as credit allows. `flags`: its layout, and FLAG_END where it is the last.

        Cancelled in the middle of an item that goes in parts, the call is lost: whoever cancels must abort it.
        """
        if not self.send_now(payload, flags):
            await self.send_later(payload, flags)

    def send_now(self, payload: bytes, flags: int = 0) -> bool:
        """Send one item if nothing has to be waited for: most items. The others are for `send_later`."""
        connection = self.connection
        size = len(payload)
        cost = size + ITEM_COST
        if (
            connection is None
            or self.output_ended
            or cost > self.credit
            or self._lock is not None
            or not connection.may_write(cost)
            or size > connection.room
        ):
            return False
        self.credit -= cost
        connection.credit -= cost
        if self.tally is not None:
            self.tally.sent += size
        if self.unheard is not None:
            self.unheard.append((payload, flags))
        if flags & FLAG_END:
            self.output_ended = True
            self.sending_last()
        connection.write(writer.item(self.number, flags, payload))
        return True

    async def send_later(self, payload: bytes, flags: int) -> None:
        """Send one item in parts, as credit comes, after whoever sends on this stream already."""
        async with self.in_order():
            await self.credit_for(ITEM_COST)
            connection = self.connection
            assert connection is not None and connection.peer_hello is not None
            limit = connection.peer_hello.max_message_bytes
            if len(payload) > limit:
                text = (
                    f"message of {len(payload)} bytes to {self.peer} exceeds its max_message_bytes ({limit});"
                    " raise it there, or stream smaller ones"
                )
                if self.shape:
                    raise StreamApplicationError(text, code=Status.RESOURCE_EXHAUSTED)
                raise ResourceExhausted(text)
            await self.send_parts(payload, flags)

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

    @asynccontextmanager
    async def ahead_of_others(self, sent: Sent) -> AsyncIterator[None]:
        """Send again what went out before, while all other senders of this call wait, also one between two parts."""
        self._senders += 1
        if self._lock is None:
            self._lock = asyncio.Lock()  # nobody holds it, but it closes the fast path
        try:
            yield
        finally:
            if self.resending is sent:
                self.resending = None
            self._senders -= 1
            if not self._senders:
                self._lock = None
            self._wake_writers()

    async def send_parts(self, payload: bytes | memoryview, flags: int, again: bool = False) -> None:
        """Write an item, or what is a part of one already, in as many parts as credit and the peer's limits ask for.

        `again`: it went out before, on a connection that did not take the call.
        """
        view, at, left = memoryview(payload), 0, len(payload)
        layout = flags & FLAG_PACKED
        while True:
            connection = await self._turn_to_write(left, again)
            size = min(left, connection.part_room, self.credit - ITEM_COST, connection.credit - ITEM_COST)
            left -= size
            self.credit -= size + ITEM_COST
            connection.credit -= size + ITEM_COST
            if self.tally is not None:
                self.tally.sent += size
            part = view[at : at + size]
            part_flags = layout | (FLAG_MORE if left else flags & (FLAG_END | FLAG_MORE))
            layout = 0
            if self.unheard is not None:
                self.unheard.append((part, part_flags))
            if part_flags & FLAG_END:
                self.output_ended = True
                self.sending_last()
            connection.write(writer.item(self.number, part_flags, part))
            at += size
            connection.writers.wake()
            if not left:
                return

    async def _turn_to_write(self, left: int, again: bool) -> Connection:
        """Wait until a part of so much, or a worthwhile one, may be written on the connection that this returns."""
        while True:
            # The call may be on another connection after each wait.
            await self.credit_for(ITEM_COST, again)
            connection = self.connection
            assert connection is not None
            want = min(left, connection.worthwhile) + ITEM_COST
            if self.credit < want:
                await self.credit_for(want, again)
            elif connection.may_write(want) or (await self._wait_to_write(connection, want) and self.credit >= want):
                return connection

    async def _wait_to_write(self, connection: Connection, want: int) -> bool:
        """Wait in the connection's line of writers; False where the call is over, or has left the connection."""

        def given_up() -> bool:
            return self.output_ended or self.connection is not connection

        def may_go() -> bool:
            return connection.can_take(want)

        self._begin_writing()
        try:
            return await connection.writers.wait(may_go, given_up, self._sleep)
        finally:
            self._end_writing()

    async def credit_for(self, want: int, again: bool = False) -> None:
        """Wait until the call is on the wire and the peer has granted this much for it; raises where it is over."""
        while not self.output_ended and (
            self.connection is None or self.credit < want or (self.resending is not None and not again)
        ):
            self._begin_writing()
            try:
                await self._sleep()
            finally:
                self._end_writing()
        if self.output_ended:
            raise self.cannot_send()

    def _sleep(self) -> asyncio.Future[None]:
        """What a writer sleeps on until something changes for this call."""
        waiter = self.loop.create_future()
        if self._writers is None:
            self._writers = []
        self._writers.append(waiter)
        return waiter

    def _wake_writers(self) -> None:
        waiting, self._writers = self._writers, None
        for waiter in waiting or ():
            if not waiter.done():
                waiter.set_result(None)

    # The clocks of the waits: one timer serves both, it looks which is due first.

    def begin_reading(self) -> None:
        """An item, or the answer, is awaited of the peer from now on."""
        if self.waits is not None and not self.finished:
            self.waits.read_since = self.loop.time()
            self._arm_idle(self.waits)

    def _begin_writing(self) -> None:
        """Credit, or a connection, is awaited from now on."""
        if self.waits is not None and not self.finished:
            self.waits.begin_writing(self.loop.time())
            self._arm_idle(self.waits)

    def _end_writing(self) -> None:
        if self.waits is not None and all(waiter.done() for waiter in self._writers or ()):
            self.waits.write_since = NEVER

    def _arm_idle(self, waits: Waits) -> None:
        # One that is armed is due no later: every wait that it looks at began before this one.
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_at(waits.due, self._idle_due)

    def _idle_due(self) -> None:
        self._idle_timer = None
        if not self._has_waited_too_long():
            return
        if self.connection is not None:
            self.connection.judge(self._idle_judged)
        else:
            self._idle_judged()

    def _has_waited_too_long(self) -> bool:
        """Whether somebody has; else the timer is set for the next who may."""
        waits = self.waits
        if waits is None or self.finished or self._idle_timer is not None or waits.due == NEVER:
            return False
        if self.loop.time() + EARLY >= waits.due:
            return True
        self._arm_idle(waits)
        return False

    def _idle_judged(self) -> None:
        if self._has_waited_too_long():
            assert self.waits is not None
            self.fail(StreamTimeout(self._idle_text(self.waits)))

    def _idle_text(self, waits: Waits) -> str:
        allowed = f"idle_timeout ({waits.allowed:g} s)"
        connection = self.connection
        if connection is None:
            return f"call {self.method!r} waited for {self.waits_for()} longer than {allowed}"
        peer = self.peer or "the peer"
        if waits.reader_is_first:
            return f"{peer} was silent for {allowed} in call {self.method!r}"
        if connection.is_paused:
            return f"{peer} took no bytes over the connection for {allowed}, for which call {self.method!r} waits"
        if connection.writers.has_any(self._writers or ()):
            return f"{peer} granted the connection no credit for {allowed}, for which call {self.method!r} waits"
        return f"{peer} granted call {self.method!r} no credit for {allowed}: its handler does not read"

    # Ending.

    def finish(self) -> None:
        """Nothing runs for this call any more: timers and waiters go; what is unread may still be read."""
        self.finished = True
        self.output_ended = True
        self.input_ended = True
        if self.receive_credit is not None:
            self._settle(self.receive_credit)
        self.unheard = None
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if self._reader is not None:
            self._wake_reader()
        if self._writers:
            self._wake_writers()
