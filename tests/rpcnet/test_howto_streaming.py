"""docs/howto/streaming.md: every block runs, and does what the page says."""

import re
from pathlib import Path
from typing import Any

from rpcnet import RpcClient

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "streaming.md").read_text()


def test_the_blocks_of_the_page_run_and_do_what_it_says(world) -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "streaming.md", "exec"), names)

    async def main() -> None:
        async with names["server"] as server, RpcClient.connect(server.address) as client:
            assert await names["first_above"](client, 41) == 42
            assert await names["conversation"](client) == [2, 4]
            assert await names["patient"](client) == 3
            assert await names["careful"](client) == "complete"
            assert await names["upload"](client) == sum(range(10_000))
            assert await names["two_tasks"](client) == [2 * number for number in range(100)]
            await names["test_doubling"]()

    world.run(main())
