"""A client's connection: which calls it may open, and how a call goes on the wire.

A call that was let go stays in the table, empty, until the server says that its handler has really ended: only then
is its place free, so that nobody can pile up cancelled handlers. One that ended with unread items keeps its place until
they are read: they hold credit of the connection. Knows no address and no reconnection (client/reconnect.py), and
nothing of what a user holds.

Tests: tests/rpcnet/client/test_connection.py.
"""

import asyncio
import math
from functools import lru_cache
from typing import Final

from rpcnet.client.call import NOT_YET, ORDERLY, TAKEN, ClientCall
from rpcnet.config import RpcConfig
from rpcnet.connection import Connection
from rpcnet.errors import (
    DeadlineExceeded,
    InvalidArgument,
    Metadata,
    ProtocolError,
    ResourceExhausted,
    Unavailable,
)
from rpcnet.flow.deadline import micros_left
from rpcnet.idle import IdleClock
from rpcnet.line import Line
from rpcnet.metadata import checked_metadata, encoded_metadata
from rpcnet.observe import Observer
from rpcnet.wire import writer
from rpcnet.wire.frame import ARGUMENTS, FLAG_END, FLAG_ITEM, ITEM_COST, MAX_METHOD_BYTES, OPEN_HEAD, SHAPES

__all__ = ["ClientConnection"]

MAX_STREAM_NUMBER: Final = 2**32 - 1


class ClientConnection(Connection):
    """A client's connection: opens calls, and counts those whose handlers may still run."""

    side = "client"

    __slots__ = (
        "_all",
        "_idle",
        "_last_taken",
        "_next",
        "_no_calls",
        "_watched",
        "calls",
        "line",
        "places",
        "retired",
        "unread",
    )

    def __init__(
        self,
        config: RpcConfig,
        observer: Observer | None,
        name: str,
        connections: "dict[ClientConnection, None]",
    ) -> None:
        """`connections` are the client's, in which it stands from its HELLO to its end."""
        super().__init__(config, observer)
        self.name = name
        self._all = connections
        self.calls: dict[int, ClientCall] = {}
        self.places: int
        """How many calls at a time: what the server allows, and what our window holds if nobody reads. Set by HELLO."""
        self.unread = 0
        """Calls that are over and have unread items."""
        self.line = Line()
        """Those who wait for a place."""
        self.retired = False
        """No new calls: the server said GOAWAY, or stream numbers are used up."""
        self._watched = False
        """Whether it matters that its last call has ended."""
        self._idle: IdleClock | None = None
        self._no_calls: asyncio.Future[None] | None = None
        self._next = 1
        self._last_taken: int | None = None
        """What the server's GOAWAY said; None before it."""

    def opened(self) -> None:
        assert self.peer_hello is not None
        windows = self.config.connection_window // self.config.stream_window_bytes
        self.places = min(self.peer_hello.max_streams, windows)
        self._all[self] = None
        seconds = self.config.max_idle_seconds
        if seconds is not None and seconds < math.inf:
            self._idle = IdleClock(seconds, self.judge, self._close_idle)
            self._watched = True

    def _close_idle(self) -> bool:
        if self.calls:
            return False
        self._retire()
        self.close(f"no calls for max_idle_seconds ({self.config.max_idle_seconds:g} s)")
        return True

    def retire(self, reason: str) -> None:
        """Take no new calls, and close when those that run have ended."""
        self._retire()
        self.line.wake_all()
        if not self.calls:
            self.close(reason)

    def _retire(self) -> None:
        self.retired = self._watched = True

    def without_calls(self) -> asyncio.Future[None]:
        """Resolved once no call is on the wire, or the connection is over."""
        if self._no_calls is None or self._no_calls.done():
            self._no_calls = self.loop.create_future()
            self._watched = True
            if self.closed or not self.calls:
                self._no_calls.set_result(None)
        return self._no_calls

    def _calls_ended(self) -> None:
        if self.retired:
            self.close("no calls are left, and it takes no new ones")
        if self._idle is not None:
            self._idle.restart()
        if self._no_calls is not None and not self._no_calls.done():
            self._no_calls.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._all.pop(self, None)

    def read_untold(self) -> int:
        return sum(call.read_untold for call in self.calls.values())

    def calls_at_once(self) -> int:
        return self.places

    @property
    def is_usable(self) -> bool:
        return self.peer_hello is not None and not self.closed and not self.retired

    @property
    def is_connected(self) -> bool:
        return self.transport is not None and not self.closed and not self.transport.is_closing()

    @property
    def why_closed(self) -> str:
        """The reason as text; empty while it is open."""
        return self._close_reason

    @property
    def open_streams(self) -> int:
        """Calls that nobody has let go; the others wait for the server's word that their handlers have ended."""
        return sum(not call.is_let_go for call in self.calls.values())

    @property
    def is_full(self) -> bool:
        return bool(self.line) or not self._has_place()

    @property
    def taken_places(self) -> int:
        return len(self.calls) + self.unread

    @property
    def has_place(self) -> bool:
        """Whether a call may be started now: `is_usable` and not `is_full`, in one step as each call asks."""
        return (
            self.peer_hello is not None
            and not self.closed
            and not self.retired
            and not self.line
            and len(self.calls) + self.unread < self.places
        )

    async def place(self) -> None:
        """Wait, in order, until the server may run one more handler for this connection, or until it is not usable."""
        await self.line.wait(self._has_place, self._is_over, self.loop.create_future)

    def _has_place(self) -> bool:
        return self.taken_places < self.places

    def _is_over(self) -> bool:
        return not self.is_usable

    def start(self, call: ClientCall) -> bool:
        """Open a call, with its request if that fits now. Returns whether it went along.

        InvalidArgument or ResourceExhausted where its name or metadata cannot be sent, DeadlineExceeded where there is
        no time left for it; nothing was opened then.
        """
        assert self.peer_hello is not None
        request = call.request
        method = _encoded(call.method) if type(call.method) is str else encode_method(call.method)
        facts = b"" if call.metadata is None else self._encode_metadata(call.metadata)
        micros = 0
        if call.deadline is not None:
            now = self.loop.time()
            if call.deadline <= now:
                raise DeadlineExceeded(f"call {call.method!r} had no time left when it was to be sent")
            micros = micros_left(call.deadline, now)
        shape = call.shape
        if request is None and call.arguments is not None:
            shape |= ARGUMENTS
            self._check_arguments(call.arguments[0])
        room = self.peer_hello.max_frame_bytes - OPEN_HEAD.size - len(method) - len(facts)
        if room < 0:
            raise ResourceExhausted(
                f"metadata of {len(facts)} bytes and a name of {len(method)} do not fit into a frame of {self.peer}"
                f" (max_frame_bytes {self.peer_hello.max_frame_bytes})"
            )
        number = self._next
        self._next = number + 1
        if number == MAX_STREAM_NUMBER:
            self._retire()
        self.calls[number] = call
        call.attach(self, number)
        flags, body = 0, b""
        if request is not None:
            payload, layout = request
            size = len(payload)
            cost = size + ITEM_COST
            if size <= self.room and size <= room and cost <= call.credit and self.may_write(cost):
                call.credit -= cost
                self.credit -= cost
                flags, body = FLAG_ITEM | FLAG_END | layout, payload
                call.output_ended = True
                if call.tally is not None:
                    call.tally.sent += size
        elif call.arguments is not None and call.arguments is not TAKEN:
            flags, body = self._take_arguments(call, room)
        if self.observer is not None:
            now = self.loop.time()
            if call.tally is not None and call.started_at > NOT_YET:
                call.tally.queued = now - call.started_at
            call.started_at = now
            self.observer.record(
                "call_started",
                connection=self.name,
                stream=number,
                method=call.method,
                shape=SHAPES[call.shape],
                peer=self.peer,
            )
        self.write(writer.open_call(number, flags, shape, method, facts, micros, body), of_call=True)
        return flags != 0 or (request is None and call.resending is None)

    def _check_arguments(self, payload: bytes) -> None:
        assert self.peer_hello is not None
        limit = self.peer_hello.max_message_bytes
        if len(payload) > limit:
            raise ResourceExhausted(
                f"arguments of {len(payload)} bytes to {self.peer} exceed its max_message_bytes ({limit});"
                " raise it there, or send less"
            )

    def _take_arguments(self, call: ClientCall, room: int) -> tuple[int, bytes]:
        """Flags and body of OPEN: the arguments, where they fit. Else they go first of all items."""
        assert call.arguments is not None and call.unheard is not None
        payload, layout = call.arguments
        call.arguments = TAKEN
        cost = len(payload) + ITEM_COST
        if len(payload) <= min(self.room, room) and cost <= call.credit and self.may_write(cost):
            call.credit -= cost
            self.credit -= cost
            call.unheard.append((payload, layout))
            if call.tally is not None:
                call.tally.sent += len(payload)
            return FLAG_ITEM | layout, payload
        call.send_first(payload, layout)
        return 0, b""

    def _encode_metadata(self, metadata: Metadata) -> bytes:
        assert self.peer_hello is not None
        checked = checked_metadata(metadata)  # the user's own mapping may have no truth value
        if not checked:
            return b""
        return encoded_metadata(checked, min(self.peer_hello.max_metadata_bytes, self.config.max_metadata_bytes))

    def stream_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        call = self.calls.get(stream)
        if call is None:
            raise ProtocolError(f"a frame came for stream {stream}, which has ended or never was")
        call.unheard = None  # the server has seen this call
        call.frame(kind, flags, payload)

    def forget(self, number: int) -> None:
        """The server has ended this call: its place is free, unless somebody has yet to read what came."""
        call = self.calls.pop(number)
        if call.keeps_place:
            self.unread += 1
        elif self.line:
            self.line.wake()
        if self._watched and not self.calls:
            self._calls_ended()

    def all_read(self) -> None:
        self.unread -= 1
        self.line.wake()

    def went_away(self, last: int, status: int, text: str) -> None:
        if self._last_taken is not None and last != self._last_taken:
            raise ProtocolError(f"GOAWAY of stream {last} after one of stream {self._last_taken}")
        self._last_taken = last
        self._retire()
        self.line.wake_all()
        self._close_reason = self._close_reason or f"the server closed it: {text}"
        if status not in ORDERLY:
            self.close(f"the server closed it: {text}")
            return
        for number in [number for number in self.calls if number > last]:
            self.calls.pop(number).refused(status, text)
        if not self.calls:
            self.close("the server is going away")

    def gone(self, error: Unavailable) -> None:
        self.line.wake_all()
        calls, self.calls = self.calls, {}
        for call in calls.values():
            call.cut(error)
        if self._idle is not None:
            self._idle.stop()
        if self._no_calls is not None and not self._no_calls.done():
            self._no_calls.set_result(None)


def encode_method(name: str) -> bytes:
    """A method's name as OPEN carries it; InvalidArgument where it cannot."""
    if not isinstance(name, str):
        raise InvalidArgument(f"method name must be text, not {type(name).__name__}")
    try:
        encoded = str.encode(name)  # not name.encode(), which asks a subclass
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"method name {name!r} is not text that UTF-8 can hold: {error.reason}") from None
    if not 0 < len(encoded) <= MAX_METHOD_BYTES:
        raise InvalidArgument(f"method name of {len(encoded)} bytes; it must have 1 to {MAX_METHOD_BYTES}")
    return encoded


_encoded = lru_cache(maxsize=256)(encode_method)
"""A program calls few methods, often."""
