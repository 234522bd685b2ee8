"""A client of the wire protocol, written from docs/protocol.md alone. It shares no code with rpcnet.

It is what somebody makes who has read that page and nothing else: one TCP connection, all four shapes, credit both
ways, deadlines, cancelling, metadata, trailers, errors, PING and GOAWAY. It imports the standard library and msgpack
alone; test_client.py holds it to that. It has no TLS, makes no call again, and mostly trusts what the server sends.

Tests: tests/rpcnet/independent/test_client.py.
"""

import asyncio
import contextlib
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import msgpack

PREFACE = b"\x89rpcnet\n"
HEADER = struct.Struct(">IBBI")
OPEN_HEAD = struct.Struct(">BHIQ")
HELLO, OPEN, ITEM, END, CANCEL, CREDIT, PING, PONG, GOAWAY, METADATA = range(1, 11)
FLAG_END, FLAG_MORE, FLAG_ITEM, FLAG_PACKED = 1, 2, 4, 8
UNARY, CLIENT_STREAMING, SERVER_STREAMING, BIDIRECTIONAL = range(4)
CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE = 1, 2, 4, 8, 13, 14
ITEM_COST = 64


@dataclass(eq=False)
class RpcError(Exception):
    """A call that did not end with OK. `unseen`: a GOAWAY said that no handler has seen it."""

    status: int
    message: str
    details: bytes = b""
    trailers: dict[str, str | bytes] = field(default_factory=dict)
    unseen: bool = False


class BrokenRule(Exception):
    """The server broke a rule of the page."""


@dataclass(frozen=True)
class Hello:
    """What an end says of itself."""

    min_version: int = 1
    max_version: int = 1
    features: tuple[str, ...] = ()
    node: str = ""
    connection: str = ""
    max_message_bytes: int = 4_194_304
    max_frame_bytes: int = 197_696
    max_metadata_bytes: int = 65_536
    max_streams: int = 0
    stream_window_bytes: int = 524_288
    connection_window_bytes: int = 52_428_800

    @property
    def window(self) -> int:
        return min(self.stream_window_bytes, self.connection_window_bytes)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return HEADER.pack(len(payload), kind, flags, stream) + payload


def open_head(shape: int, method: str, timeout: float | None, metadata: Any) -> bytes:
    """The payload of an OPEN without the message."""
    name, packed = method.encode(), msgpack.packb(metadata) if metadata else b""
    left = 0 if timeout is None else max(1, round(timeout * 1e6))
    return OPEN_HEAD.pack(shape, len(name), len(packed), left) + name + packed


class Call:
    """One call, as its caller sees it. One task at a time may send, and one may receive."""

    def __init__(self, client: "Client", number: int, shape: int) -> None:
        self.number, self.shape, self.client = number, shape, client
        self.metadata: dict[str, str | bytes] = {}
        self.trailers: dict[str, str | bytes] = {}
        self.done, self.error, self.cancelled = False, None, False
        self.timer, self.sender = None, None
        self.credit = client.peer.stream_window_bytes
        self.rest, self.flags, self.is_last = memoryview(b""), -1, False  # what is being sent; flags -1: nothing is
        self.may_come, self.owed = client.hello.stream_window_bytes, 0
        self.items: deque[tuple[bytes, int]] = deque()  # messages that are not read yet, and what is kept for each
        self.parts: list[bytes] = []
        self.kept, self.came = 0, 0

    def begin(self, message: bytes, packed: bool = False, last: bool = False) -> None:
        if len(message) > self.client.peer.max_message_bytes:
            raise RpcError(RESOURCE_EXHAUSTED, f"a message of {len(message)} bytes is more than the server takes")
        self.rest, self.flags, self.is_last = memoryview(message), FLAG_PACKED if packed else 0, last

    def send_part(self, head: bytes = b"") -> bool:
        """Send a part, behind the `head` of OPEN if one is given. False where credit does not suffice."""
        peer, left = self.client.peer, len(self.rest)
        most = min(self.client.part_bytes, peer.max_frame_bytes - len(head))
        credit = min(self.credit, self.client.credit) - ITEM_COST
        if credit < min(left, most, peer.window // 4):
            return False
        size = min(left, most, credit)
        part, self.rest = bytes(self.rest[:size]), self.rest[size:]
        end = FLAG_MORE if self.rest else FLAG_END if self.is_last else 0
        kind, item = (OPEN, FLAG_ITEM) if head else (ITEM, 0)
        self.client.write(kind, self.flags | item | end, self.number, head + part)
        self.credit -= size + ITEM_COST
        self.client.credit -= size + ITEM_COST
        self.flags = 0 if self.rest else -1
        return True

    async def flush(self) -> None:
        """Send what is left of the message that was begun, as credit comes."""
        try:
            while self.flags >= 0 and not self.done:
                await self.client.until(lambda: self.done or self.send_part())
                await self.client.drain()
        except BaseException:
            self.cancel()  # nothing may follow half a message
            raise

    async def send(self, message: bytes, *, packed: bool = False, last: bool = False) -> None:
        self.begin(message, packed, last)
        await self.flush()

    async def send_all(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            await self.send(message)
        self.end()

    def end(self) -> None:
        if not self.done:
            self.client.write(END, 0, self.number)

    def cancel(self, status: int = CANCELLED, message: str = "the caller let go") -> None:
        """Let go of a call, and of what was not read. The server's END comes later."""
        if not self.done:
            self.cancelled = True
            self.client.write(CANCEL, 0, self.number, bytes([status]))
            self.finish(RpcError(status, message))
        self.client.give_back(sum(cost for _, cost in self.items) + self.kept)
        self.items.clear()
        self.kept = 0

    def finish(self, error: RpcError | None) -> None:
        if self.done:
            return
        self.done, self.error = True, error
        for job in (self.timer, self.sender):
            if job is not None:
                job.cancel()
        self.client.wake()

    async def receive(self) -> bytes | None:
        """The next message; None when the call has ended with OK. Messages come first, then the error."""
        await self.client.until(lambda: bool(self.items) or self.done)
        if not self.items:
            if self.error is not None:
                raise self.error
            return None
        message, cost = self.items.popleft()
        if not self.items:
            cost, self.kept = cost + self.kept, 0
        self.give_back(cost)
        return message

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self.receive()) is not None:
            yield message

    async def answer(self) -> bytes:
        """The one answer of a handler that does not stream."""
        await self.client.until(lambda: self.done)
        if self.error is not None:
            raise self.error
        return await self.receive() or b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cancel()

    def give_back(self, cost: int) -> None:
        self.client.give_back(cost)
        self.owed += cost
        if self.owed >= self.client.hello.window // 2 and self.number in self.client.calls and not self.cancelled:
            self.client.write(CREDIT, 0, self.number, struct.pack(">I", self.owed))
            self.may_come, self.owed = self.may_come + self.owed, 0

    def take(self, kind: int, flags: int, payload: bytes) -> None:
        """A frame from the handler has come."""
        self.came += 1
        if kind == ITEM:
            self.take_item(flags, payload)
        elif kind == CREDIT:
            self.credit += int.from_bytes(payload)
        elif kind == METADATA and self.came == 1:
            self.metadata = msgpack.unpackb(payload)
        elif kind == END:
            self.take_end(payload)
        else:
            raise BrokenRule(f"frame {kind} is not allowed here")

    def take_item(self, flags: int, payload: bytes) -> None:
        cost = len(payload) + ITEM_COST
        self.may_come -= cost
        self.client.may_come -= cost
        if min(self.may_come, self.client.may_come) < 0:
            raise BrokenRule("more items than credit")
        if self.done:
            self.client.give_back(cost)
        elif flags & FLAG_MORE:
            self.parts.append(payload)
            if self.items:
                self.kept += cost
            else:
                self.give_back(cost)
        else:
            self.items.append((b"".join([*self.parts, payload]), self.kept + cost))
            self.parts, self.kept = [], 0
        if flags & FLAG_END:
            self.take_end(b"")

    def take_end(self, payload: bytes) -> None:
        values = msgpack.unpackb(payload) if payload else []
        status, message, details, trailers = (values + [0, "", b"", {}][len(values) :])[:4]
        del self.client.calls[self.number]
        if not self.done:
            self.trailers = trailers
        if not status and not self.shape & 2 and len(self.items) != 1:
            status, message = INTERNAL, f"{len(self.items)} answers and not one"
        self.finish(RpcError(status if 0 < status <= 16 else UNKNOWN, message, details, trailers) if status else None)


class Client:
    """One connection. `hello` is what it says of itself, `part_bytes` the most that it sends in a frame."""

    def __init__(self, reader: Any, writer: Any, hello: Hello, part_bytes: int) -> None:
        self.hello, self.part_bytes, self.peer = hello, part_bytes, Hello()
        self.ready, self.closed, self.reason = False, False, ""
        self.goaway: tuple[int, int, str] | None = None
        self.calls: dict[int, Call] = {}  # until their END, also those that were let go
        self.credit, self.may_come, self.owed, self.last = 0, hello.connection_window_bytes, 0, 0
        self.pings: dict[bytes, asyncio.Future[None]] = {}
        self.news = asyncio.Event()
        self.reader, self.writer = reader, writer
        writer.write(PREFACE + frame(HELLO, 0, 0, msgpack.packb(asdict(hello))))
        self.task = asyncio.create_task(self.run())

    async def start(
        self, method: str, shape: int, messages: Any = None, *, timeout: Any = None, metadata: Any = None, packed=False
    ) -> Call:
        """Open a call: with its one message (bytes), with those that a task sends, or (None) that the user sends."""
        await self.until(lambda: self.closed or bool(self.goaway) or len(self.calls) < self.peer.max_streams)
        if self.closed or self.goaway:
            raise RpcError(UNAVAILABLE, f"no new calls on this connection: {self.reason}", unseen=True)
        head = open_head(shape, method, timeout, metadata)
        call = Call(self, self.last + 1, shape)
        if isinstance(messages, bytes):
            call.begin(messages, packed, last=True)
        self.last += 1
        self.calls[self.last] = call
        if call.flags < 0 or not call.send_part(head):
            self.write(OPEN, 0, call.number, head)
        if timeout is not None:
            late = (DEADLINE_EXCEEDED, "the deadline passed")
            call.timer = asyncio.get_running_loop().call_later(timeout, call.cancel, *late)
        if isinstance(messages, bytes):
            await call.flush()
        elif messages is not None:
            call.sender = asyncio.create_task(call.send_all(messages))
        return call

    async def call(self, method: str, message: bytes, **options: Any) -> bytes:
        async with await self.start(method, UNARY, message, **options) as call:
            return await call.answer()

    async def ping(self, token: bytes) -> None:
        """Send PING and wait for its PONG."""
        self.pings[token] = asyncio.get_running_loop().create_future()
        self.write(PING, 0, 0, token)
        await self.pings[token]

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])

    async def until(self, is_so: Callable[[], bool]) -> None:
        while not is_so():
            await self.news.wait()

    def wake(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    def write(self, kind: int, flags: int, stream: int, payload: bytes = b"") -> None:
        if not self.closed:
            self.writer.write(frame(kind, flags, stream, payload))

    async def drain(self) -> None:
        with contextlib.suppress(OSError):  # the reading task sees it too, and cuts the calls
            await self.writer.drain()

    def give_back(self, cost: int) -> None:
        self.owed += cost
        if self.owed >= self.hello.window // 2:
            self.write(CREDIT, 0, 0, struct.pack(">I", self.owed))
            self.may_come, self.owed = self.may_come + self.owed, 0

    async def run(self) -> None:
        farewell = bytes(5) + b"bye"
        try:
            if await self.reader.readexactly(len(PREFACE)) != PREFACE:
                raise BrokenRule("the peer does not speak rpcnet")
            while not (self.goaway and (not self.calls or self.goaway[1] not in (0, RESOURCE_EXHAUSTED))):
                length, kind, flags, stream = HEADER.unpack(await self.reader.readexactly(HEADER.size))
                if length > self.hello.max_frame_bytes:
                    raise BrokenRule(f"frame of {length} bytes")
                self.take(kind, flags, stream, await self.reader.readexactly(length))
                self.wake()
        except BrokenRule as error:
            self.reason = str(error)
            farewell = struct.pack(">IB", 0, INTERNAL) + self.reason.encode()
        except (OSError, EOFError) as error:
            self.reason = self.reason or f"the connection ended: {error}"
        finally:
            self.write(GOAWAY, 0, 0, farewell)
            self.closed = True
            for call in self.calls.values():
                call.finish(RpcError(UNAVAILABLE, f"the call was cut: {self.reason}"))
            self.wake()
            with contextlib.suppress(OSError):  # FIN, then read until the peer closes too, for a second at most
                self.writer.write_eof()
                async with asyncio.timeout(1):
                    while await self.reader.read(1 << 16):
                        pass
            self.writer.close()
            with contextlib.suppress(OSError):
                await self.writer.wait_closed()

    def take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind > METADATA:
            return
        if not self.ready and kind != HELLO:
            raise BrokenRule("a frame before HELLO")
        if stream:
            if stream not in self.calls:
                raise BrokenRule(f"frame {kind} of stream {stream}, which has ended or never was")
            self.calls[stream].take(kind, flags, payload)
        elif kind == HELLO:
            said = msgpack.unpackb(payload)
            self.peer = Hello(**{key: said[key] for key in asdict(self.hello) if key in said})
            self.ready, self.credit = True, self.peer.connection_window_bytes
        elif kind == CREDIT:
            self.credit += int.from_bytes(payload)
        elif kind == PING:
            self.write(PONG, 0, 0, payload)
        elif kind == PONG and payload in self.pings:
            self.pings.pop(payload).set_result(None)
        elif kind == GOAWAY:
            last, status = struct.unpack_from(">IB", payload)
            self.goaway, self.reason = (last, status, payload[5:].decode()), payload[5:].decode()
            for number in [number for number in self.calls if number > last]:
                self.calls.pop(number).finish(RpcError(UNAVAILABLE, self.reason, unseen=True))


async def connect(host: str, port: int, hello: Hello, part_bytes: int = 65_536) -> Client:
    reader, writer = await asyncio.open_connection(host, port)
    client = Client(reader, writer, hello, part_bytes)
    await client.until(lambda: client.ready or client.closed)
    return client
