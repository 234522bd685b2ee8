"""Peers that take their time: with a frame, with credit, with reading. They hold little, and none for ever."""

import asyncio
import contextlib
import logging

import pytest

from rpcnet import RpcClient, RpcConfig, Unavailable
from rpcnet.wire import writer
from rpcnet.wire.frame import CREDIT, END, FLAG_ITEM, HEADER_BYTES, ITEM, ITEM_COST, PING, PREFACE, decode_number
from tests.rpcnet.attacks.raw import CONFIG, GREETING, HELLO, Raw, Target, call, eventually, frame, warnings_of

LARGE = call(2, body=bytes(60_000))
ROOMY = RpcConfig()


async def drip(raw: Raw, data: bytes, pause: float, step: int = 1) -> None:
    """Send so many bytes at a time until the server hangs up."""
    for at in range(0, len(data), step):
        raw.send(data[at : at + step])
        await raw.drain()
        await asyncio.sleep(pause)


@contextlib.asynccontextmanager
async def dripping(raw: Raw, data: bytes, pause: float, step: int = 1):
    task = asyncio.create_task(drip(raw, data, pause, step))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@pytest.mark.parametrize("begun", [1, HEADER_BYTES - 1, HEADER_BYTES, 60])
def test_a_frame_that_drips_is_given_the_handshake_time(world, caplog, begun: int) -> None:
    """After a good HELLO and a good call, so many bytes of a frame, then one every little while."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with Target.open() as target:
            start = loop.time()
            raw = await target.attacker(GREETING + call(1) + LARGE[:begun])
            async with dripping(raw, LARGE[begun:], CONFIG.handshake_timeout / 20):
                last, status, text = await raw.farewell()
            took = loop.time() - start
            assert (last, status) == (1, 13)
            assert "a frame that takes longer than handshake_timeout (0.3 s) must come at 1024 bytes a second" in text
            assert took >= CONFIG.handshake_timeout
            assert took < 1.5 * CONFIG.handshake_timeout or world.name == "sockets"

    with caplog.at_level(logging.WARNING, "rpcnet"):
        world.run(main())
    (line,) = warnings_of(caplog)
    assert "bytes of a frame in" in line


class Timed:
    """One attacker and one bystander in simulated time, with the default times."""

    def __init__(self, opening: bytes) -> None:
        self.opening = opening

    def run(self, rest: bytes, pause: float, step: int) -> tuple[float, list[int]]:
        """How long the connection lived, and the kinds of the frames that came."""
        import sim

        async def main() -> tuple[float, list[int]]:
            loop = asyncio.get_running_loop()
            async with Target.open(ROOMY, pause=0.2) as target:
                start = loop.time()
                raw = await target.attacker(GREETING + self.opening)
                async with dripping(raw, rest, pause, step):
                    async with asyncio.timeout(120):
                        while await raw.read_some():
                            if raw.frames[-1][0] == END or raw.frames[-1][:3] == (ITEM, 1, 2):
                                break
                return loop.time() - start, [kind for kind, _, _, _ in raw.frames]

        result: tuple[float, list[int]] = sim.run(main(), seed=1)
        return result


def test_a_frame_that_comes_slowly_but_steadily_is_read() -> None:
    took, kinds = Timed(b"").run(LARGE, 0.25, 512)  # 2 KiB a second, 10 s of handshake time
    assert 29 < took < 31
    assert kinds[-1] == ITEM


def test_a_frame_below_the_least_rate_is_cut_at_the_handshake_time() -> None:
    took, kinds = Timed(b"").run(LARGE, 0.5, 400)
    assert 10 <= took < 10.1
    assert kinds[-1] != ITEM


def test_a_large_beginning_buys_time_only_as_the_mean_allows() -> None:
    """40,000 bytes at once are worth 39 s at the least rate; it is looked at every second."""
    took, _ = Timed(LARGE[:40_000]).run(LARGE[40_000:], 0.5, 1)
    assert 39 <= took < 41


def test_silence_within_a_frame_is_cut_sooner_than_the_mean() -> None:
    took, _ = Timed(LARGE[:40_000]).run(b"", 1, 1)
    assert 10 <= took < 12


def test_frames_that_are_each_cut_by_a_read_are_not_slow(world) -> None:
    """Every read ends within another frame than the one before: each of them takes a moment only."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with Target.open() as target:
            raw = await target.attacker(GREETING)
            token = writer.ping(PING, bytes(8))
            raw.send(token[:5])
            until = loop.time() + 4 * CONFIG.handshake_timeout
            sent = 0
            while loop.time() < until:
                raw.send(token[5:] + token[:5])
                sent += 1
                await asyncio.sleep(0.01)
            raw.send(token[5:])
            async with asyncio.timeout(10):
                while sum(kind == PING + 1 for kind, _, _, _ in raw.frames) <= sent:
                    assert await raw.read_some()

    world.run(main())


def test_a_server_that_drips_is_left_by_its_client(world, caplog) -> None:
    answer = writer.item(1, 0, bytes(5000))

    class Dripping(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            transport.write(GREETING)

        def data_received(self, data):
            if b"echo" in data:
                self.drip(0)

        def drip(self, at: int):
            if not self.transport.is_closing():
                self.transport.write(answer[at : at + 1])
                asyncio.get_running_loop().call_later(0.02, self.drip, at + 1)

    async def main() -> None:
        listener = await asyncio.get_running_loop().create_server(Dripping, "127.0.0.1", 0)
        address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with RpcClient.connect(address, config=CONFIG) as client:
            with pytest.raises(Unavailable, match="bytes of a frame in"):
                await client.call("echo", timeout=30)
        listener.close()
        await listener.wait_closed()

    with caplog.at_level(logging.WARNING, "rpcnet"):
        world.run(main())
    assert len(warnings_of(caplog, "bytes of a frame in")) == 1


def test_a_reader_who_grants_no_credit_gets_no_more_than_a_window(world) -> None:
    """Five handlers that would write without end are held, at what the reader announced; others go on."""

    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker(GREETING + b"".join(call(number, "count") for number in range(1, 6)))
            window = HELLO.stream_window_bytes
            each = window // (1000 + ITEM_COST)

            def items(number: int) -> int:
                return sum(kind == ITEM and stream == number for kind, _, stream, _ in raw.frames)

            async with asyncio.timeout(10):
                while any(items(number) < each for number in range(1, 6)):
                    assert await raw.read_some()
            await asyncio.sleep(0.1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await raw.read_some()
            for number in range(1, 6):
                cost = sum(len(p) + ITEM_COST for kind, _, stream, p in raw.frames if (kind, stream) == (ITEM, number))
                assert window - 2 * (1000 + ITEM_COST) < cost <= window
            assert target.server.stats.queued_bytes < 50_000
            raw.send(writer.cancel(1, 1))
            await raw.read_until(END, 1)

    world.run(main())


def test_a_writer_of_unread_items_is_held_at_its_window(world) -> None:
    """Nobody reads what it sends: it gets no credit back, however long it waits, and is cut when it goes on."""

    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker(GREETING + call(1, "hear", FLAG_ITEM, bytes(1000)))
            window = CONFIG.stream_window_bytes
            fitting = window // (1000 + ITEM_COST) - 1
            raw.send(frame(ITEM, bytes(1000), 1) * fitting)
            await eventually(lambda: target.server.stats.queued_bytes >= fitting * 1000)
            await asyncio.sleep(0.2)
            assert target.server.stats.queued_bytes <= window + 1000
            raw.send(frame(ITEM, bytes(1000), 1))
            _, status, text = await raw.farewell()
            assert status == 13
            assert "credit left (window 16384)" in text
            granted = [decode_number(p) for kind, _, stream, p in raw.frames if (kind, stream) == (CREDIT, 1)]
            assert sum(granted) <= 1000 + ITEM_COST  # a waiting handler has taken one item at most

    world.run(main())


def test_a_peer_that_does_not_read_what_it_asks_for_is_aborted(world, caplog) -> None:
    async def main() -> None:
        async with Target.open() as target:
            loop = asyncio.get_running_loop()
            host, _, port = target.server.address.rpartition(":")

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
                    assert target.server.stats.queued_bytes < 3 << 20
            transport.abort()

    with caplog.at_level(logging.WARNING, "rpcnet"):
        world.run(main())
    assert len(warnings_of(caplog, "the peer does not read what it asks for")) == 1


def test_a_preface_that_drips_is_given_the_handshake_time(world) -> None:
    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker(b"")
            async with dripping(raw, PREFACE + GREETING[len(PREFACE) :], 0.05):
                _, status, text = await raw.farewell()
            assert (status, "no complete HELLO within handshake_timeout" in text) == (13, True)

    world.run(main())
