"""The code blocks of docs/howto/cluster.md and keys.md, and of docs/cluster-setup.md, run as they stand."""

import asyncio
import inspect
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
PAGES = [DOCS / name for name in ("howto/cluster.md", "howto/keys.md", "cluster-setup.md")]
BLOCKS = [
    block for page in PAGES for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_of_the_page_runs(block, capsys):
    names = {}
    exec(compile(block, "docs/howto", "exec"), names)
    (main,) = (value for value in names.values() if inspect.iscoroutinefunction(value))

    async def bounded():
        async with asyncio.timeout(30):
            await main()

    asyncio.run(bounded())
    printed = capsys.readouterr().out.splitlines()
    promised = re.findall(r"print\(.*\)\s+# (.*)", block)
    assert all(line in printed for line in promised)
