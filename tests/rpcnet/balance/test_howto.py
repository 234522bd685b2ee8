"""docs/howto/balance.md: every block runs, and does what the page says."""

import re
from pathlib import Path
from typing import Any

from rpcnet import Cluster, ClusterConfig

PAGE = (Path(__file__).parents[3] / "docs" / "howto" / "balance.md").read_text()


def test_the_blocks_of_the_page_do_what_it_says(world: Any) -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "balance.md", "exec"), names)

    async def main() -> None:
        async with Cluster("client", "127.0.0.1:0", config=ClusterConfig.local()) as mine:
            server, theirs = await names["join_as_worker"]("w1", mine.address)
            assert await names["ask"](mine) == b"w1"
            assert await names["cached"](mine, "somebody") == b"w1"
            assert await names["count_to_ten"](mine) == list(range(10))
            await theirs.leave()
            await server.stop(0)

    world.run(main())
