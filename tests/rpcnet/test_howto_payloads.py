"""docs/howto/payloads.md: every block runs, and does what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

from rpcnet import RpcClient

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "payloads.md").read_text()


@pytest.fixture
def names() -> dict[str, Any]:
    """What the blocks of the page define, run one after another in one module."""
    defined: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "payloads.md", "exec"), defined)
    return defined


def test_the_calls_of_the_page_do_what_it_says(world: Any, names: dict[str, Any]) -> None:
    async def main() -> None:
        async with names["server"] as server, RpcClient.connect(server.address) as client:
            assert await names["typed"](client) == [b"\xc0", None, 55]
            assert await names["by_hand"](client) == 55
            names["relay_to"](client)
            async with names["relay"] as relay, RpcClient.connect(relay.address) as far:
                assert await far.call("total", names["Range"](1, 10), response=int) == 55
                assert await names["by_hand"](far) == 55
            assert await names["refused"](client) == [
                "request of 'total' does not fit its type: Object missing required field `last`",
                "answer of 'wrong' does not fit its type: Expected `int`, got `str` - at `$.last`",
            ]

    world.run(main())


def test_a_blocking_function_is_refused_as_the_page_says(names: dict[str, Any]) -> None:
    assert "must be asynchronous (async def); blocking is not" in names["register_blocking"]()
