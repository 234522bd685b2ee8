"""Peers that break the rules, or try to: their connection is closed with a logged reason, and no other is touched."""

import asyncio
import contextlib
import logging
import random

import msgspec
import pytest
from msgspec.structs import asdict, replace

from rpcnet import RpcClient, RpcConfig, RpcServer, StreamError, Unavailable
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    CREDIT,
    END,
    FLAG_END,
    FLAG_ITEM,
    FLAG_MORE,
    HEADER,
    ITEM,
    OPEN,
    PING,
    PREFACE,
    Ending,
    Hello,
    decode_hello,
)

pytestmark = pytest.mark.own_sockets

HELLO = Hello(
    max_message_bytes=1 << 20,
    max_frame_bytes=1 << 17,
    max_metadata_bytes=1000,
    max_streams=10,
    stream_window_bytes=1 << 16,
    connection_window_bytes=1 << 20,
    connection="hostile",
)
GREETING = writer.greeting(HELLO)
CONFIG = RpcConfig(handshake_timeout=0.3, stream_window_bytes=1 << 14, max_streams=4)


async def echo(payload: bytes) -> bytes:
    return payload


async def forever(payload: bytes) -> bytes:
    await asyncio.Event().wait()
    return payload


def call(number: int, method: bytes = b"echo", flags: int = FLAG_ITEM | FLAG_END, body: bytes = b"x") -> bytes:
    return writer.open_call(number, flags, 1 if method == b"hear" else 0, method, b"", 0, body)


def frame(kind: int, payload: bytes = b"", stream: int = 0, flags: int = 0) -> bytes:
    return HEADER.pack(len(payload), kind, flags, stream) + payload


ATTACKS = {
    "random bytes": bytes(random.Random(1).randbytes(500)),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "nothing at all": b"",
    "half a preface": PREFACE[:4],
    "half a greeting": GREETING[:30],
    "half a frame, and silence": GREETING + call(1)[:-1],
    "a length of 4 GiB": GREETING + HEADER.pack(0xFFFFFFFF, ITEM, 0, 1),
    "a HELLO that is no map": PREFACE + frame(1, b"\x01"),
    "a HELLO of another version": writer.greeting(replace(HELLO, min_version=9, max_version=9)),
    "a HELLO whose windows hold nothing": writer.greeting(replace(HELLO, stream_window_bytes=1)),
    "a frame before HELLO": PREFACE + call(1),
    "a second HELLO": GREETING + GREETING[len(PREFACE) :],
    "an item of a stream that was never opened": GREETING + frame(ITEM, b"x", 7),
    "a stream opened twice": GREETING + call(1, b"forever") + call(1, b"forever"),
    "a stream number that goes back": GREETING + call(5) + call(3),
    "an OPEN with foreign flags": GREETING + call(1, flags=64),
    "an OPEN that is cut short": GREETING + frame(OPEN, b"\x00\x00", 1),
    "an OPEN whose method is longer than it is": GREETING + frame(OPEN, b"\x00\xff\xff" + bytes(12), 1),
    "an OPEN without a method": GREETING + writer.open_call(1, 0, 0, b"", b"", 0, b""),
    "an OPEN with metadata that is none": GREETING + writer.open_call(1, 0, 0, b"echo", b"\xc1", 0, b""),
    "more items than credit": GREETING
    + call(1, b"hear", FLAG_ITEM | FLAG_MORE, b"")
    + frame(ITEM, bytes(60_000), 1) * 9,
    "a first item beyond all credit": GREETING + call(1, body=bytes(70_000)),
    "credit without end": GREETING + writer.credit(0, 2**31 - 1) * 2,
    "credit of nothing": GREETING + writer.credit(0, 0),
    "credit of three bytes": GREETING + frame(CREDIT, b"abc"),
    "an END in the middle of a message": GREETING + call(1, b"hear", FLAG_ITEM | FLAG_MORE, b"x") + frame(END, b"", 1),
    "an item after the end": GREETING + call(1, b"forever") + frame(ITEM, b"x", 1),
    "a ping of a kilobyte": GREETING + frame(PING, bytes(1000)),
    "a GOAWAY of one byte": GREETING + frame(9, b"x"),
    "an END on the connection": GREETING + frame(END),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_peer_loses_its_connection_within_the_handshake_time(world, pair, caplog, attack) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def register(server: RpcServer) -> None:
            server.register("echo", echo)
            server.register("forever", forever)
            server.register_streaming("hear", hear, shape="client_streaming")

        async def hear(items) -> bytes:
            await asyncio.Event().wait()
            return b""

        async with pair(register, CONFIG) as (server, client):
            host, _, port = server.address.rpartition(":")
            begun = loop.time()
            reader, writing = await asyncio.open_connection(host, int(port))
            writing.write(ATTACKS[attack])
            async with asyncio.timeout(5):
                try:
                    received = await reader.read()
                except ConnectionError:
                    received = b""
            assert loop.time() - begun < 3 * CONFIG.handshake_timeout or world.name == "sockets"
            assert received.startswith(PREFACE) or not received
            writing.close()
            with contextlib.suppress(ConnectionError):
                await writing.wait_closed()
            assert await client.call("echo", b"still here", timeout=2) == b"still here"
            await asyncio.sleep(0.01)
            assert server.stats.connections == 1
            assert server.stats.running_handlers == 0

    with caplog.at_level(logging.WARNING, "rpcnet"):
        world.run(main())
    assert len([record for record in caplog.records if "closed: " in record.getMessage()]) == 1


def test_a_peer_that_does_not_read_what_it_asks_for_is_aborted(world, pair) -> None:
    async def main() -> None:
        async with pair(lambda server: server.register("echo", echo)) as (server, client):
            loop = asyncio.get_running_loop()
            host, _, port = server.address.rpartition(":")

            class Deaf(asyncio.Protocol):
                def connection_made(self, transport):
                    transport.pause_reading()
                    transport.write(GREETING)
                    lost.clear()

                def connection_lost(self, exc):
                    lost.set()

            lost = asyncio.Event()
            transport, _ = await loop.create_connection(Deaf, host, int(port))
            number = 1
            async with asyncio.timeout(30):
                while not lost.is_set():
                    if transport.get_write_buffer_size() < 100_000:
                        refused = b"".join(
                            writer.open_call(n, 0, 0, b"x" * 1000, b"", 0, b"") for n in range(number, number + 100)
                        )
                        transport.write(refused + writer.ping(PING, bytes(8)) * 100)
                        number += 100
                    await asyncio.sleep(0.0001)
                    assert server.stats.queued_bytes < 3 << 20
            transport.abort()
            assert await client.call("echo", b"x", timeout=2) == b"x"

    world.run(main())


def test_more_calls_than_max_streams_are_refused_and_the_connection_lives(world, pair) -> None:
    async def main() -> None:
        async with pair(lambda server: server.register("forever", forever), CONFIG) as (server, _):
            host, _, port = server.address.rpartition(":")
            reader, writing = await asyncio.open_connection(host, int(port))
            writing.write(GREETING + b"".join(call(number, b"forever") for number in range(1, 8)))
            async with asyncio.timeout(5):
                received = b""
                while received.count(b"max_streams (4)") < 3:
                    received += await reader.read(65536)
            assert server.stats.running_handlers == 4
            writing.close()
            await writing.wait_closed()

    world.run(main())


def server_of(answer: bytes) -> type[asyncio.Protocol]:
    """A server that greets, and answers the first OPEN with these bytes; then it hangs up."""

    class Scripted(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            self.opened = False
            transport.write(GREETING)

        def data_received(self, data):
            if b"chat" in data and not self.opened:
                self.opened = True
                self.transport.write(answer)
                self.transport.close()

    return Scripted


RECORDED = (
    frame(10, b"\x81\xa1a\xa1b", 1)
    + writer.item(1, 0, b"first")
    + writer.item(1, FLAG_MORE, b"sec")
    + writer.credit(1, 100)
    + writer.item(1, 0, b"ond")
    + writer.item(1, 0, b"")
    + writer.end(1, Ending(0, "", b"", {"k": "v"}))
)


async def read_from(answer: bytes) -> tuple[list[bytes], str]:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server_of(answer), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    items: list[bytes] = []
    how = "ended"
    async with RpcClient.connect(f"127.0.0.1:{port}") as client:
        try:
            async for item in client.call_streaming("chat"):
                items.append(item)  # noqa: PERF401  what came before an error counts
        except StreamError.Transport:
            how = "cut"
        except StreamError as error:
            how = type(error).__name__
    listener.close()
    await listener.wait_closed()
    return items, how


def test_a_cut_is_never_an_end(world) -> None:
    """At whatever byte the connection is cut, the reader is told."""
    whole = [b"first", b"second", b""]

    async def main() -> None:
        for offset in range(len(RECORDED)):
            items, how = await read_from(RECORDED[:offset])
            assert how == "cut", offset
            assert items == whole[: len(items)]
        assert await read_from(RECORDED) == (whole, "ended")

    world.run(main())


@pytest.mark.parametrize(
    "lie",
    [
        writer.item(1, FLAG_MORE, b"half") + writer.end(1),
        writer.item(1, 0, b"x") + writer.end(1)[:4] + b"\xff",
        writer.item(3, 0, b"x"),
        writer.end(1) + writer.item(1, 0, b"late"),
        frame(OPEN, b"", 1),
        frame(END, b"\xc1", 1),
        frame(10, b"\x81\xa1a\x01", 1),
    ],
)
def test_a_server_that_breaks_the_rules_is_a_transport_error_or_too_late(world, lie) -> None:
    async def main() -> None:
        items, how = await read_from(lie)
        assert how == "cut" or (how, items) == ("ended", [])

    world.run(main())


def test_a_server_that_is_not_rpcnet_is_unavailable(world) -> None:
    async def main() -> None:
        class Http(asyncio.Protocol):
            def connection_made(self, transport):
                transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        loop = asyncio.get_running_loop()
        listener = await loop.create_server(Http, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="does not speak rpcnet"):
            await RpcClient.connect(f"127.0.0.1:{port}")
        listener.close()
        await listener.wait_closed()
        with pytest.raises(Unavailable):
            await RpcClient.connect(f"127.0.0.1:{port}")

    world.run(main())


def test_random_frames_end_in_order_or_with_a_reason(world, pair) -> None:
    """Well-formed headers, arbitrary rest: nothing escapes, and everything is back at zero afterwards."""

    async def main() -> None:
        dice = random.Random(7)

        def register(server: RpcServer) -> None:
            server.register("echo", echo)
            server.register("forever", forever)

        async with pair(register, CONFIG) as (server, client):
            host, _, port = server.address.rpartition(":")
            for _ in range(150):
                _, writing = await asyncio.open_connection(host, int(port))
                script = GREETING
                for number in range(dice.randrange(12)):
                    kind, flags, stream = dice.randrange(12), dice.choice([0, 0, 1, 2, 4, 5, 6]), dice.randrange(4)
                    body = dice.choice([b"", b"\x00\x00\x00\x09", dice.randbytes(dice.randrange(30)), b"\x90"])
                    good = call(number + 1, dice.choice([b"echo", b"forever"]))
                    script += dice.choice([frame(kind, body, stream, flags), good, good])
                writing.write(script)
                await asyncio.sleep(0)
                writing.transport.abort()
            await asyncio.sleep(0.05)
            assert await client.call("echo", b"x", timeout=5) == b"x"

    world.run(main())


def test_hello_of_a_newer_peer_with_more_to_say_is_read() -> None:
    payload = msgspec.msgpack.encode({**asdict(HELLO), "max_version": 7, "compression": ["zstd"]})
    assert decode_hello(payload).max_version == 7
