"""Payloads that are meant to cost more than they are long: too large, too deep, or nested where nothing may be."""

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec
import pytest

from rpcnet import RpcClient, RpcConfig, StreamError
from rpcnet.errors import ProtocolError
from rpcnet.wire import writer
from rpcnet.wire.frame import (
    END,
    FLAG_END,
    FLAG_ITEM,
    FLAG_PACKED,
    HELLO,
    METADATA,
    PREFACE,
    decode_ending,
    decode_metadata,
)
from tests.rpcnet.attacks.raw import GREETING, Target, call, frame, warnings_of

DEPTH = 10_000
NEST = b"\x91" * DEPTH + b"\xc0"
"""Arrays in arrays, one byte a level."""


def metadata_of(size: int) -> bytes:
    return msgspec.msgpack.encode({"k": "x" * size})


@pytest.mark.parametrize(
    ("size", "text"), [(1 << 20, "exceeds what this end accepts"), (70_000, "exceed max_metadata_bytes (65536)")]
)
def test_metadata_beyond_the_limit_costs_the_connection(world, caplog, size: int, text: str) -> None:
    async def main() -> None:
        async with Target.open(RpcConfig()) as target:
            raw = await target.attacker(GREETING + writer.open_call(1, 0, 0, b"echo", metadata_of(size), 0, b""))
            _, status, told = await raw.farewell()
            assert (status, text in told) == (13, True)
            assert target.most_queued < 100_000

    with caplog.at_level(logging.WARNING, "rpcnet"):
        world.run(main())
    assert len(warnings_of(caplog, text)) == 1


@pytest.mark.parametrize(
    "sent",
    [
        PREFACE + frame(HELLO, b"\x81\xa8features" + NEST),
        GREETING + writer.open_call(1, FLAG_END, 0, b"echo", b"\x81\xa1k" + NEST, 0, b""),
        GREETING + writer.open_call(1, FLAG_END, 0, b"echo", b"\x81" * DEPTH, 0, b""),
    ],
    ids=["HELLO", "metadata", "keys of metadata"],
)
def test_nesting_where_there_is_none_costs_the_connection(world, caplog, sent: bytes) -> None:
    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker(sent)
            _, status, told = await raw.farewell()
            assert (status, "cannot be read" in told) == (13, True)

    with caplog.at_level(logging.WARNING, "rpcnet"):
        world.run(main())
    assert len(warnings_of(caplog, "cannot be read")) == 1


@pytest.mark.parametrize("sent", [NEST, b"\x81\xa1k" * DEPTH + b"\xc0", b"\x91" * DEPTH], ids=["arrays", "maps", "cut"])
def test_a_request_that_is_too_deep_ends_its_call_alone(world, sent: bytes) -> None:
    async def take(request: dict[str, list[int]]) -> None:
        raise AssertionError("it was called")

    async def take_any(request: list) -> None:
        raise AssertionError("it was called")

    async def main() -> None:
        async with Target.open(RpcConfig()) as target:
            target.server.register_typed("take", take)
            target.server.register_typed("take_any", take_any)
            raw = await target.attacker(GREETING)
            flags = FLAG_ITEM | FLAG_END | FLAG_PACKED
            raw.send(call(1, "take", flags, sent) + call(2, "take_any", flags, sent) + call(3))
            for number in (1, 2):
                assert decode_ending((await raw.read_until(END, number))[3]).status == 3
            await raw.read_until(3, 3)  # the connection goes on

    world.run(main())


@pytest.mark.parametrize(
    "lie",
    [
        frame(END, b"\x94\x05\xa0\xc4\x00\x81\xa1k" + NEST, 1),
        frame(END, NEST, 1),
        frame(METADATA, b"\x81\xa1k" + NEST, 1),
    ],
    ids=["trailers", "END", "METADATA"],
)
def test_nesting_from_a_server_is_a_transport_error(world, lie: bytes) -> None:
    class Lying(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            transport.write(GREETING)

        def data_received(self, data):
            if b"chat" in data:
                self.transport.write(lie)

    async def main() -> None:
        listener = await asyncio.get_running_loop().create_server(Lying, "127.0.0.1", 0)
        address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with RpcClient.connect(address) as client:
            with pytest.raises(StreamError.Transport, match="cannot be read"):
                async for _ in client.call_streaming("chat", idle_timeout=30):
                    pass
        listener.close()
        await listener.wait_closed()

    world.run(main())


def colliding(count: int) -> bytes:
    """Metadata with a map for a value, whose keys are lists that have one hash as tuples: -1 and -2 hash alike."""
    keys = (bytes([0x9F, *(0xFF - (number >> bit & 1) for bit in range(15))]) for number in range(count))
    return b"\x81\xa1k\xde" + count.to_bytes(2, "big") + b"".join(key + b"\xc0" for key in keys)


def test_no_map_is_built_where_metadata_is_text_or_bytes() -> None:
    """4,000 such keys took 0.2 s to be put into a dict, and four times that for twice as many."""

    def seconds(read: Callable[[bytes], object], payload: bytes) -> float:
        times = []
        for _ in range(3):
            start = time.process_time()
            with pytest.raises(ProtocolError, match="neither text nor bytes"):
                read(payload)
            times.append(time.process_time() - start)
        return min(times)

    for read, head in ((decode_metadata, b""), (decode_ending, b"\x94\x02\xa0\xc4\x00")):
        short, long = head + colliding(200), head + colliding(8000)
        # Forty times as much: what grows with the square takes 1,600 times as long.
        assert seconds(read, long) < 400 * max(seconds(read, short), 1e-5)
