"""docs/howto/limits.md: every block runs, and does what the page says."""

import asyncio
import re
import socket
from pathlib import Path
from typing import Any

import pytest

import sim
from rpcnet import RpcClient, RpcConfig, RpcServer

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "limits.md").read_text()


@pytest.fixture
def names() -> dict[str, Any]:
    """What the blocks of the page define, run one after another in one module."""
    defined: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "limits.md", "exec"), defined)
    return defined


def test_the_blocks_of_the_page_do_what_it_says(world: Any, names: dict[str, Any]) -> None:
    async def main() -> None:
        async with names["server"] as server:
            async with RpcClient.connect(server.address) as client:
                assert await client.call("resize", b"abcd") == b"ac"
                assert await client.call("Images.size", b"abcd", response=int) == 4
            assert await names["last_calls"](await RpcClient.connect(server.address)) == [b"0", b"1"]

    world.run(main())


OVERLOADED = "max_running (2) of 'resize' handlers run at this server; call again later, or another server"


def test_a_third_call_is_refused_as_the_page_says() -> None:
    """With handlers that take a while, which those of the page do not."""

    async def main() -> None:
        async def resize(payload: bytes) -> bytes:
            await asyncio.sleep(1.0)
            return payload

        server = RpcServer("127.0.0.1:0")
        server.register("resize", resize, max_running=2)
        defined: dict[str, Any] = {}
        for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
            exec(compile(block, "limits.md", "exec"), defined)
        async with server, RpcClient.connect(server.address) as client:
            assert await defined["overload"](client) == OVERLOADED

    sim.run(main(), seed=1)


def test_waiting_for_a_server_works_as_the_page_says(world: Any, names: dict[str, Any]) -> None:
    async def main() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{free.getsockname()[1]}"
        told = await names["start_before_the_server"](address)
        assert told == f"call 'resize' was cut: {address} cannot be reached: connection refused, nobody listens there"
        waiting = asyncio.create_task(names["wait_for_the_server"](address))
        await asyncio.sleep(0.1)
        server = RpcServer(address, config=RpcConfig())

        async def resize(payload: bytes) -> bytes:
            return payload

        server.register("resize", resize)
        async with server:
            assert await waiting == b"abcd"

    world.run(main())


def test_the_defaults_of_the_page_are_those_of_the_config() -> None:
    config = RpcConfig()
    rows = dict(re.findall(r"^\| `(max_\w+)`, .*? \| ([\d,]+) \|", PAGE, re.MULTILINE))
    assert {name: int(value.replace(",", "")) for name, value in rows.items()} == {
        "max_streams": config.max_streams,
        "max_handlers": config.max_handlers,
        "max_connections": config.max_connections,
    }
    assert f"`reconnect_backoff` ({config.reconnect_backoff:g} s)" in PAGE
    assert f"`max_reconnect_backoff` ({config.max_reconnect_backoff:g} s)" in PAGE
