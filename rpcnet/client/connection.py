"""A client's connection: which calls it may open, and how a call goes on the wire.

A call that was let go stays in the table, empty, until the server says that its handler has really ended: only then
is its place free, so that nobody can pile up cancelled handlers. Knows no address and no reconnection
(client/reconnect.py), and nothing of what a user holds.

Tests: tests/rpcnet/client/test_connection.py.
"""

import asyncio
from collections import deque
from typing import Final

from rpcnet.client.call import ClientCall
from rpcnet.config import RpcConfig
from rpcnet.connection import Connection
from rpcnet.errors import InvalidArgument, Metadata, ProtocolError, ResourceExhausted, Unavailable
from rpcnet.flow.deadline import micros_left
from rpcnet.metadata import checked_metadata
from rpcnet.observe import Observer
from rpcnet.wire import writer
from rpcnet.wire.frame import FLAG_END, FLAG_ITEM, ITEM_COST, MAX_METHOD_BYTES, SHAPES, encode_metadata

__all__ = ["ClientConnection"]

MAX_STREAM_NUMBER: Final = 2**32 - 1


class ClientConnection(Connection):
    """A client's connection: opens calls, and counts those whose handlers may still run."""

    side = "client"

    __slots__ = ("_next", "_places", "calls", "retired")

    def __init__(self, config: RpcConfig, observer: Observer | None, name: str) -> None:
        super().__init__(config, observer)
        self.name = name
        self.calls: dict[int, ClientCall] = {}
        self.retired = False
        """No new calls: the server said GOAWAY, or stream numbers are used up."""
        self._next = 1
        self._places: deque[asyncio.Future[None]] = deque()

    @property
    def is_usable(self) -> bool:
        return self.peer_hello is not None and not self.closed and not self.retired

    @property
    def open_streams(self) -> int:
        """Calls that nobody has let go; the others wait for the server's word that their handlers have ended."""
        return sum(not call.is_let_go for call in self.calls.values())

    @property
    def is_full(self) -> bool:
        assert self.peer_hello is not None
        return len(self.calls) >= self.peer_hello.max_streams or bool(self._places)

    async def place(self) -> None:
        """Wait, in order, until the server may run one more handler for this connection."""
        assert self.peer_hello is not None
        ahead = bool(self._places)
        while self.is_usable and (ahead or len(self.calls) >= self.peer_hello.max_streams):
            waiter = self.loop.create_future()
            self._places.append(waiter) if ahead or not self._places else self._places.appendleft(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._places:
                    self._places.remove(waiter)
                else:
                    self._pass_place()
                raise
            ahead = False

    def _pass_place(self) -> None:
        while self._places:
            waiter = self._places.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def start(
        self, call: ClientCall, payload: bytes | None, layout: int, metadata: Metadata | None, last: bool
    ) -> bool:
        """Open a call, with its first message if that fits now. Returns whether it went along.

        InvalidArgument or ResourceExhausted where its name or metadata cannot be sent; nothing was opened then.
        """
        try:
            method, facts = encode_method(call.method), self._encode_metadata(metadata) if metadata else b""
        except BaseException:
            self._pass_place()  # it takes none: whoever waits may have it
            raise
        number = self._next
        self._next = number + 1
        if number == MAX_STREAM_NUMBER:
            self.retired = True
        self.calls[number] = call
        call.attach(self, number)
        flags, body = 0, b""
        if payload is not None:
            cost = len(payload) + ITEM_COST
            if len(payload) <= self.config.part_bytes and cost <= call.credit and self.may_write(cost):
                call.credit -= cost
                self.credit -= cost
                flags, body = FLAG_ITEM | layout, payload
                if last:
                    flags |= FLAG_END
                    call.output_ended = True
        elif last:
            flags = FLAG_END
            call.output_ended = True
        micros = 0 if call.deadline is None else micros_left(call.deadline, self.loop.time())
        if self.observer is not None:
            call.started_at = self.loop.time()
            self.observer.record(
                "call_started",
                connection=self.name,
                stream=number,
                method=call.method,
                shape=SHAPES[call.shape],
                peer=self.peer,
            )
        self.write(writer.open_call(number, flags, call.shape, method, facts, micros, body))
        return bool(flags & FLAG_ITEM) or payload is None

    def _encode_metadata(self, metadata: Metadata) -> bytes:
        assert self.peer_hello is not None
        limit = min(self.peer_hello.max_metadata_bytes, self.config.max_metadata_bytes)
        encoded = encode_metadata(checked_metadata(metadata, limit))
        if len(encoded) > limit:
            raise ResourceExhausted(f"metadata of {len(encoded)} bytes exceeds max_metadata_bytes ({limit})")
        return encoded

    def stream_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        call = self.calls.get(stream)
        if call is None:
            raise ProtocolError(f"a frame came for stream {stream}, which has ended or never was")
        call.frame(kind, flags, payload)

    def forget(self, number: int) -> None:
        """The server has ended this call: its place is free."""
        del self.calls[number]
        if self._places:
            self._pass_place()
        if self.retired and not self.calls:
            self.close("no calls are left after GOAWAY")

    def went_away(self, last: int, status: int, text: str) -> None:
        self.retired = True
        self._wake_places()
        if status:
            self._close_reason = self._close_reason or f"the server closed it: {text}"
        for number in [number for number in self.calls if number > last]:
            self.calls[number].refused(text)
        if not self.calls:
            self.close("the server is going away")

    def _wake_places(self) -> None:
        """Those who wait for a place find that there is none here, and look for another connection."""
        while self._places:
            self._pass_place()

    def gone(self, error: Unavailable) -> None:
        self._wake_places()
        calls, self.calls = self.calls, {}
        for call in calls.values():
            call.cut(error)


def encode_method(name: str) -> bytes:
    """A method's name as OPEN carries it; InvalidArgument where it cannot."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgument(f"method name {name!r} is not text that UTF-8 can hold: {error.reason}") from None
    if not 0 < len(encoded) <= MAX_METHOD_BYTES:
        raise InvalidArgument(f"method name of {len(encoded)} bytes; it must have 1 to {MAX_METHOD_BYTES}")
    return encoded
