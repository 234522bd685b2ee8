"""docs/streaming-best-practices.md: every block runs, and does what the page says."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rpcnet import RpcClient, RpcConfig
from rpcnet.wire.frame import ITEM_COST

PAGE = (Path(__file__).parents[2] / "docs" / "streaming-best-practices.md").read_text()
KIB = 1024


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the blocks of the page define, run one after another in one module."""
    defined: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "streaming-best-practices.md", "exec"), defined)
    return defined


async def silent(numbers: AsyncIterator[int]) -> AsyncIterator[int]:
    """Reads all that comes, as the host of a dead program does, and never answers."""
    async for _ in numbers:
        pass
    await asyncio.Event().wait()
    yield 0


def test_the_calls_of_the_page_do_what_it_says(world: Any, names: dict[str, Any], idle: Any) -> None:
    async def main() -> None:
        server = names["make_server"]()
        async with server, RpcClient.connect(server.address) as client:
            assert await names["first_above"](client, 41) == 42
            assert await names["conversation"](client) == [2, 4]
            assert await names["with_a_default"](server.address) == 6
            assert await names["patient"](client, 0.1) == 3
            assert await names["upload"](client) == sum(range(10_000))
            assert await names["two_tasks"](client) == [2 * number for number in range(100)]
            await idle(server, client)
        await names["test_doubling"]()

    world.run(main())


def test_a_talkative_client_of_a_silent_server_is_told(world: Any, names: dict[str, Any], idle: Any) -> None:
    async def main() -> None:
        server = names["make_server"]()
        server.register_typed("silent", silent)
        async with server, RpcClient.connect(server.address) as client:
            waits = (0.8, 3.0) if world.name == "sim" else (0.04, 0.2)
            began = asyncio.get_running_loop().time()
            assert await names["talks_to_the_dead"](client, *waits) == "silent"
            if world.name == "sim":
                assert asyncio.get_running_loop().time() - began == pytest.approx(3.0, abs=0.01)
            await idle(server, client)

    world.run(main())


def test_each_error_of_the_page_is_told_apart(world: Any, names: dict[str, Any]) -> None:
    async def main() -> None:
        server = names["make_server"]()

        async def refuses(span: Any) -> AsyncIterator[int]:
            yield 1
            raise names["NotFound"]("nothing there")

        async def says_nothing(span: Any) -> AsyncIterator[int]:
            await asyncio.Event().wait()
            yield 1

        async def goes_away(span: Any) -> AsyncIterator[int]:
            yield 1
            stopping.append(asyncio.create_task(server.stop(grace=0)))
            await asyncio.Event().wait()

        stopping: list[asyncio.Task[None]] = []
        server.register_typed("missing", names["missing"])
        for method in (refuses, says_nothing, goes_away):
            server.register_typed(method.__name__, method, request=names["Span"], response=int)
        async with server, RpcClient.connect(server.address) as client:
            assert await names["careful"](client) == "complete"
            assert await names["careful"](client, "refuses") == "the handler said NOT_FOUND: nothing there"
            assert await names["asks_for_what_is_missing"](client) == b"\x07"
            if world.name == "sim":
                assert (await names["careful"](client, "says_nothing")).startswith("silent")
            assert (await names["careful"](client, "goes_away")).startswith("cut: ")
            await asyncio.wait(stopping)

    world.run(main())


def test_a_slow_reader_sees_the_newest_price(world: Any, names: dict[str, Any]) -> None:
    async def main() -> None:
        ticker = names["Ticker"]()
        # So little fits into the window that the handler waits for its reader after a few prices.
        config = RpcConfig(stream_window_bytes=KIB)
        server = names["make_server"](config=config)
        server.register_typed("prices", ticker.prices)
        async with server, RpcClient.connect(server.address, config=config) as client:
            async with client.call_server_streaming("prices", 1000, response=int) as prices:
                seen = [await prices.receive()]
                for price in range(1, 1001):
                    await ticker.set(price)
                    await asyncio.sleep(0)
                seen += [price async for price in prices]
        assert seen == sorted(set(seen))
        assert seen[0] == 0 and seen[-1] == 1000
        assert len(seen) < 300

    world.run(main())


def test_a_relay_hands_on_items_and_its_end(world: Any, names: dict[str, Any], idle: Any) -> None:
    async def main() -> None:
        last, first = names["make_server"](), names["make_server"]()
        first.register_typed("relay", names["relay"])
        async with last, first, RpcClient.connect(first.address) as client:
            metadata = {"next": last.address}
            span = names["Span"](2, 5)
            assert [n async for n in client.call_server_streaming("relay", span, response=int, metadata=metadata)] == [
                2,
                3,
                4,
            ]
            span = names["Span"](0, 10**9)
            async for _ in client.call_server_streaming("relay", span, response=int, metadata=metadata):
                break
            await idle(first, client)
            await idle(last)

    world.run(main())


def test_a_stream_goes_on_at_another_server(world: Any, names: dict[str, Any]) -> None:
    async def main() -> None:
        dying, living = names["make_server"](), names["make_server"]()

        async def breaks_off(span: Any) -> AsyncIterator[int]:
            for number in range(span.start, 40):
                yield number
            stopping.append(asyncio.create_task(dying.stop(grace=0)))
            await asyncio.Event().wait()

        stopping: list[asyncio.Task[None]] = []
        dying = type(dying)("127.0.0.1:0")
        dying.register_typed("count", breaks_off, request=names["Span"], response=int)
        async with dying, living:
            async with RpcClient.connect(dying.address) as first, RpcClient.connect(living.address) as second:
                assert await names["from_whoever_lives"]([first, second], 100) == list(range(100))
                await asyncio.wait(stopping)
                with pytest.raises(ConnectionError, match="nobody is left; 0 of 100"):
                    await names["from_whoever_lives"]([first], 100)

    world.run(main())


def test_the_simulated_test_of_the_page_passes(names: dict[str, Any]) -> None:
    names["test_power_loss_is_noticed_after_two_seconds"]()


def test_the_limits_of_the_page_are_those_of_the_config() -> None:
    config = RpcConfig()
    rows = dict(
        re.findall(r"^\| `(\w+)`(?:, `\w+`)? \| ([^|]+) \|", PAGE.partition("## Sizes and limits")[2], re.MULTILINE)
    )
    assert len(rows) == 10
    assert rows.pop("connection_window_bytes") == "`max_streams` × `stream_window_bytes`"
    assert config.connection_window == config.max_streams * config.stream_window_bytes
    assert rows.pop("max_resets") == f"{config.max_resets}, {config.resets_per_second:g}"
    units = {"KiB": KIB, "MiB": KIB * KIB, "": 1}
    for field, text in rows.items():
        number, _, unit = text.removesuffix(" in a server").partition(" ")
        assert getattr(config, field) == int(number.replace(",", "")) * units[unit], field
    assert f"counts for its bytes and {ITEM_COST} more" in PAGE
    assert (config.ping_interval, config.ping_timeout) == (20.0, 20.0)
