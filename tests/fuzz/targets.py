"""What the fuzzers feed: the frame parser, connections of server and client, cluster members, and what must be true.

Each target takes any bytes and raises AssertionError (or whatever escaped) where a promise is broken: only a
ProtocolError ends a connection; every call ends; memory stays within the windows; what we answer is bounded by what
came; nothing is left.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import chain
from random import Random

import msgspec

from rpcnet import ClusterConfig, Keyring, RpcClient, RpcConfig, RpcError, RpcServer
from rpcnet.cluster.seal.checksummed import Checksummed
from rpcnet.cluster.seal.envelope import Answering, Asking
from rpcnet.cluster.seal.sealed import Sealed
from rpcnet.cluster.seal.unopened import Unopened
from rpcnet.cluster.swim.core import Core
from rpcnet.cluster.swim.effect import Send
from rpcnet.cluster.swim.message import BadPacket, decode, encode, sender_of
from rpcnet.connection import MAX_UNREAD_BYTES, most_unread_of_calls
from rpcnet.wire import writer
from rpcnet.wire.frame import HEADER, Hello
from rpcnet.wire.parser import Parser
from tests.fuzz.clock import VirtualLoop

__all__ = ["TARGETS", "conversation"]

CONFIG = RpcConfig(
    max_streams=3, stream_window_bytes=1024, part_bytes=1024, max_message_bytes=8192, max_metadata_bytes=512
)
CLIENT = replace(CONFIG, max_streams=5)
"""All calls of the client at once."""
FRAME_BYTES = 4096
MOST_PIECES = 64
"""So many reads at most: an input is then cut no finer."""
CLUSTER = ClusterConfig(max_members=16)
SECONDS = 1000.0
"""Virtual time by which everything has ended that a lost connection ends."""

_loop = VirtualLoop()


class Wire(asyncio.Transport):
    """Where a connection's writes go: counted, and read by nobody where `deaf`."""

    def __init__(self, protocol: asyncio.Protocol, *, deaf: bool) -> None:
        super().__init__({"peername": ("fuzz", 1)})
        self.protocol = protocol
        self.deaf = deaf
        self.written = 0
        self.waiting = 0
        self.lost = self._paused = False
        protocol.connection_made(self)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += len(data)
        if self.deaf:
            self.waiting += len(data)
            if self.waiting > 65536 and not self._paused:
                self._paused = True
                self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self.lost

    def close(self) -> None:
        if not self.lost:
            self.lost = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close


# What an input means.


def conversation(data: bytes, hello: Hello) -> tuple[bool, Iterator[bytes]]:
    """What the peer does: whether it reads nothing, and what it sends, read by read.

    The first byte is a set of bits: 1 = it greets first as it should, 2 = the rest is a list of frames in short
    (`frames`) and not raw bytes, 4 = it reads nothing. The second is the size of the reads after the greeting.
    """
    bits, size = (data[0], data[1]) if len(data) > 1 else (0, 0)
    rest = data[2:]
    sent = b"".join(frames(rest)) if bits & 2 else rest
    step = max(1, size * 4, len(sent) // MOST_PIECES)
    greeting = [writer.greeting(hello)] if bits & 1 else []
    return bool(bits & 4), chain(greeting, (sent[at : at + step] for at in range(0, len(sent), step)))


def frames(data: bytes) -> Iterator[bytes]:
    """Frames whose lengths are right: type, flags, stream and length are a byte each, then the payload."""
    at = 0
    while at + 4 <= len(data):
        kind, flags, stream, length = data[at : at + 4]
        payload = data[at + 4 : at + 4 + length]
        yield HEADER.pack(len(payload), kind, flags, stream) + payload
        at += 4 + length


# The parser alone.


def parser(data: bytes) -> None:
    """Frames or one error, the same ones wherever the bytes are cut, and no more kept than a frame."""
    hello = _hello()
    _, pieces = conversation(data, hello)
    cut, whole, found, sent = Parser(FRAME_BYTES), Parser(FRAME_BYTES), [], b""
    for piece in pieces:
        sent += piece
        found += cut.receive(piece)
        assert cut.pending_bytes <= FRAME_BYTES + HEADER.size + len(piece)
    assert whole.receive(sent) == found
    assert (whole.error is None) == (cut.error is None)
    assert all(len(payload) <= FRAME_BYTES for _, _, _, payload in found)


# A server.


async def _unary(payload: bytes) -> bytes:
    return payload


async def _upload(items: AsyncIterator[bytes]) -> bytes:
    total = 0
    async for item in items:
        total += len(item)
    return str(total).encode()


async def _watch(payload: bytes) -> AsyncIterator[bytes]:
    for size in payload:
        yield bytes(size * 8)


async def _chat(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for item in items:
        yield item


class Point(msgspec.Struct):
    x: int
    name: str | None
    more: dict[str, list[int]]


async def _typed(point: Point) -> Point:
    return point


def server(data: bytes) -> None:
    """A whole server connection, with handlers of all four shapes and a typed one."""
    _loop.run(_serve(data))


@cache
def _server() -> RpcServer:
    """One for all inputs: it is begun and stopped for each."""
    rpc = RpcServer("unix:fuzz", config=CONFIG, random=Random(1))
    rpc.register("u", _unary)
    rpc.register_streaming("c", _upload, shape="client_streaming")
    rpc.register_streaming("s", _watch, shape="server_streaming")
    rpc.register_streaming("b", _chat)
    rpc.register_typed("t", _typed)
    return rpc


async def _serve(data: bytes) -> None:
    rpc = _server()
    rpc.begin()
    deaf, pieces = conversation(data, _hello())
    connection = rpc.accept()
    wire = Wire(connection, deaf=deaf)
    came = 0
    for piece in pieces:
        if wire.lost:
            break
        came += len(piece)
        connection.data_received(piece)
        await _turns()
        _check_bounds(CONFIG, connection.queued_bytes, wire)
        assert rpc.stats.running_handlers <= CONFIG.max_streams
    assert wire.written <= 2048 + 32 * came + 4 * CONFIG.connection_window, "answers are bounded by what came"
    wire.close()
    await _turns()
    await asyncio.sleep(SECONDS)
    stats = rpc.stats
    counts = stats.connections, stats.running_handlers, stats.open_streams, stats.queued_bytes
    assert counts == (0, 0, 0, 0), counts
    await rpc.stop(grace=0)


# A client.


def client(data: bytes) -> None:
    """A whole client with calls of all four shapes, whose server sends these bytes."""
    _loop.run(_call(data))


async def _call(data: bytes) -> None:
    wires: list[Wire] = []
    deaf, pieces = conversation(data, _hello())

    async def join(protocol: Callable[[], asyncio.Protocol]) -> None:
        if wires:
            raise OSError("there was one connection")
        wires.append(Wire(protocol(), deaf=deaf))

    rpc = RpcClient("unix:fuzz", config=CLIENT, random=Random(1), open_transport=join)
    calls = [asyncio.ensure_future(call) for call in _calls(rpc)]
    await _turns()
    (wire,) = wires
    for piece in pieces:
        if wire.lost:
            break
        wire.protocol.data_received(piece)
        await _turns()
        _check_bounds(CLIENT, rpc.stats.queued_bytes, wire)
    wire.close()
    _, late = await asyncio.wait(calls, timeout=SECONDS)
    assert not late, "every call ends when its connection does"
    for call in calls:
        error = call.exception()
        assert error is None or isinstance(error, RpcError), repr(error)
    assert (rpc.stats.open_streams, rpc.stats.queued_bytes) == (0, 0)
    await rpc.close()
    await asyncio.sleep(SECONDS)


def _calls(rpc: RpcClient) -> Iterator[asyncio.Future[None]]:
    async def unary() -> None:
        assert isinstance(await rpc.call("u", b"x"), bytes)

    async def typed() -> None:
        assert isinstance(await rpc.call("t", Point(1, "a", {}), response=Point), Point)

    async def upload() -> None:
        assert isinstance(await rpc.call_client_streaming("c", [b"x", bytes(3000)]), bytes)

    async def watch() -> None:
        async with rpc.call_server_streaming("s", b"x") as stream:
            async for item in stream:
                assert isinstance(item, bytes)

    async def chat() -> None:
        async with rpc.call_streaming("b", [b"x", bytes(100), bytes(3000)], response=Point) as stream:
            async for item in stream:
                assert isinstance(item, Point)

    for call in (unary(), typed(), upload(), watch(), chat()):
        yield asyncio.ensure_future(call)


# Both.


def _hello() -> Hello:
    return Hello(
        max_message_bytes=8192,
        max_frame_bytes=FRAME_BYTES,
        max_metadata_bytes=512,
        max_streams=5,
        stream_window_bytes=1024,
        connection_window_bytes=4096,
    )


async def _turns() -> None:
    """Let the loop turn until what was read has been answered."""
    for _ in range(4):
        await asyncio.sleep(0)


def _check_bounds(config: RpcConfig, queued: int, wire: Wire) -> None:
    """What has come and is unread fits into the window; what a peer does not read is bounded too."""
    assert queued - wire.waiting <= config.connection_window, f"{queued - wire.waiting} bytes are kept"
    of_calls = most_unread_of_calls(config.max_streams, config)
    most = config.connection_window + MAX_UNREAD_BYTES + of_calls + 2 * 65536
    assert wire.waiting <= most, f"{wire.waiting} bytes wait for a peer that reads nothing"


# The cluster.


def sealed(data: bytes) -> None:
    """What anybody may send to a member with keys: refused or opened, and nothing is kept of what was refused.

    The first byte says what the rest is put behind: nothing, or a true head of a datagram, request or answer.
    """
    first, rest = data[:1], data[1:]
    ring = Keyring(b"k" * 32)
    member, sender = (Sealed(ring, "blue", name, 4) for name in "ab")
    asking = Asking(member, b"question", "b", 1000)
    datagram, request = sender.seal(b"packet", "a"), Asking(sender, b"question", "a", 1000)
    heads = (b"", datagram[:27], request.sent[:27], bytes([0xE2]) + request.sent[1:27])
    said = heads[(first or b"\0")[0] % len(heads)] + rest
    _refuse_or_open(member.open, said, {b"packet"} if said == datagram else set())
    _refuse_or_open(Answering(member, 1000).receive, said, {b"question"} if said.startswith(request.sent) else set())
    _refuse_or_open(asking.receive, said, set())
    for plain in (Checksummed().open, Answering(Checksummed(), 1000).receive):
        _refuse_or_open(plain, said, None)


def _refuse_or_open(read: Callable[[bytes], bytes | None], said: bytes, may_be: set[bytes] | None) -> None:
    opened = None
    with suppress(Unopened):
        opened = read(said)
    assert opened is None or may_be is None or opened in may_be, "opened what nobody has sealed"


def packet(data: bytes) -> None:
    """Any bytes are a packet or BadPacket, and a core takes them without a word to a stranger but for its own members.

    The first byte says whether the rest is a packet, or one message in a packet of our cluster.
    """
    whole = encode("default", "b", 1, [data[1:]]) if data[:1] == b"\1" else data[1:]
    try:
        decoded = decode(whole)
    except BadPacket:
        decoded = None
    core = Core("a", "127.0.0.1:1", run=1, config=CLUSTER, random=Random(1))
    core.start(0.0)
    effects = core.handle(whole, "127.0.0.1:2", 1.0)
    answer, _ = core.handle_stream(whole, "127.0.0.1:2", 2.0)
    core.exchanged(1, whole, 3.0)
    core.tick(10.0)
    sent = [effect for effect in effects if isinstance(effect, Send)]
    assert len(sent) <= 8 and all(len(effect.data) <= CLUSTER.max_datagram_bytes for effect in sent)
    if decoded is None and sender_of(whole) is None:
        assert not sent and answer is None, "answered what is none of ours"
    assert len(core.members(all=True)) <= CLUSTER.max_members


TARGETS: dict[str, Callable[[bytes], None]] = {
    "parser": parser,
    "server": server,
    "client": client,
    "sealed": sealed,
    "packet": packet,
}
