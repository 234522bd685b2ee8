"""More of something legal than anybody needs: it costs its sender's connection at most, and bounded memory."""

import asyncio
import logging
import tracemalloc

import pytest

from rpcnet import ResourceExhausted, RpcClient, RpcConfig, RpcServer
from rpcnet.wire import writer
from rpcnet.wire.frame import CANCEL, END, GOAWAY, ITEM, PING, PONG, decode_ending, decode_goaway
from tests.rpcnet.attacks.raw import CONFIG, GREETING, HELLO, Raw, Target, call, echo, frame, replace, warnings_of

MANY = 10_000
STEP = 500
"""So many frames go in one write."""


class Peak:
    """The most memory that was taken within a block, beside what there was before."""

    async def __aenter__(self) -> "Peak":
        tracemalloc.start()
        self._before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.bytes = tracemalloc.get_traced_memory()[1] - self._before
        tracemalloc.stop()


def test_ten_thousand_calls_run_max_streams_handlers(world, caplog) -> None:
    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker(GREETING)
            ended = 0
            most = 0
            for first in range(1, MANY + 1, STEP):
                raw.send(b"".join(call(number, "forever") for number in range(first, first + STEP)))
                async with asyncio.timeout(30):
                    while ended < min(first + STEP - 1, MANY) - CONFIG.max_streams:
                        assert await raw.read_some()
                        for kind, _, _, payload in raw.frames:
                            if kind == END:
                                ended += 1
                                ending = decode_ending(payload)
                                assert (ending.status, "max_streams (5)" in ending.message) == (8, True)
                        raw.frames.clear()
                        most = max(most, target.server.stats.running_handlers)
            assert CONFIG.max_streams <= most <= CONFIG.max_streams + 1  # and the bystander's
            assert target.most_queued < 1 << 20

    with caplog.at_level(logging.WARNING, "rpcnet"):
        world.run(main())
    assert len(warnings_of(caplog, "calls are refused: max_streams (5) handlers run")) == 1


def test_a_server_of_no_streams_refuses_every_call(world) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0", config=RpcConfig(max_streams=0))
        server.register("echo", echo)
        async with server:
            raw = await Raw.connect(server.address, GREETING + call(1))
            ending = decode_ending((await raw.read_until(END, 1))[3])
            assert (ending.status, "max_streams (0)" in ending.message) == (8, True)
            await raw.close()
            async with RpcClient.connect(server.address) as client:
                with pytest.raises(ResourceExhausted, match="max_streams is 0"):
                    await client.call("echo")

    world.run(main())


def test_a_client_of_no_streams_is_served(world) -> None:
    """Who runs no handlers may say so: it calls like any other."""

    async def main() -> None:
        async with Target.open() as target:
            greeting = writer.greeting(replace(HELLO, max_streams=0))
            raw = await target.attacker(greeting + call(1))
            assert (await raw.read_until(ITEM, 1))[3] == b"x"
            async with RpcClient.connect(target.server.address, config=RpcConfig(max_streams=0)) as client:
                assert await client.call("echo", b"y", timeout=10) == b"y"

    world.run(main())


def test_a_rapid_reset_is_rationed_and_told_the_last_stream(world, caplog) -> None:
    """Calls that are opened and cancelled in one breath start no more handlers than the ration allows."""
    config = RpcConfig(max_resets=50, resets_per_second=10.0, handshake_timeout=0.3)

    async def main() -> None:
        async with Target.open(config) as target:
            script = b"".join(call(number, "forever") + writer.cancel(number, 1) for number in range(1, 1001))
            raw = await target.attacker(GREETING + script)
            frames = await raw.read_to_the_end()
            goaways = [decode_goaway(payload) for kind, _, _, payload in frames if kind == GOAWAY]
            ((last, status, text),) = goaways
            assert (status, "max_resets (50)" in text) == (8, True)
            assert 50 < last < 60
            ended = [stream for kind, _, stream, _ in frames if kind == END]
            assert ended == list(range(1, last + 1))

    with caplog.at_level(logging.WARNING, "rpcnet"):
        world.run(main())
    assert len(warnings_of(caplog, "more than max_resets (50) cancelled")) == 1


def test_a_flood_of_pings_is_answered_and_kept_nowhere(world) -> None:
    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker(GREETING)
            await raw.read_some()
            for _ in range(MANY // STEP):
                raw.frames.clear()
                raw.send(writer.ping(PING, bytes(8)) * STEP + writer.ping(PING, b"the last"))
                async with asyncio.timeout(30):
                    while not raw.frames or raw.frames[-1][3] != b"the last":
                        assert await raw.read_some()
                assert all(kind == PONG for kind, _, _, _ in raw.frames)
                assert len(raw.frames) <= STEP + 1
            assert target.most_queued < 1 << 20

    world.run(main())


def test_a_flood_of_credit_changes_nothing_but_a_number(world) -> None:
    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker(GREETING + call(1, "chat", 4))
            await raw.read_until(ITEM, 1)
            for _ in range(MANY // STEP):
                raw.send((writer.credit(0, 1) + writer.credit(1, 1)) * STEP)
                await raw.drain()
                await asyncio.sleep(0)
            raw.send(call(2))
            assert (await raw.read_until(ITEM, 2))[3] == b"x"
            assert target.most_queued < 100_000

    world.run(main())


def test_unknown_frames_without_end_are_kept_nowhere() -> None:
    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker(GREETING)
            async with Peak() as peak:
                for kind in list(range(11, 256)) * 2:  # 64 MB
                    raw.send(frame(kind, bytes(1 << 17), kind, kind))
                    await raw.drain()
            raw.send(call(1))
            assert (await raw.read_until(ITEM, 1))[3] == b"x"
            assert target.most_queued < 1 << 18
        assert peak.bytes < 4 << 20

    asyncio.run(main())


def test_cancels_and_goaways_of_ended_calls_change_nothing(world) -> None:
    """What crosses the server's END is legal, in any number."""

    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker(GREETING + call(1, "nothing"))
            await raw.read_until(END, 1)
            for _ in range(MANY // STEP):
                raw.send((frame(CANCEL, b"\x01", 1) + writer.credit(1, 1) + frame(ITEM, b"", 1)) * STEP)
                raw.send(writer.goaway(0, 0, "") * STEP)
                await raw.drain()
                await asyncio.sleep(0)
            raw.send(call(2))
            assert (await raw.read_until(ITEM, 2))[3] == b"x"
            assert target.most_queued < 100_000

    world.run(main())
