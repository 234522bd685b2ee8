"""docs/howto/services.md: every block runs, and does what the page says."""

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from rpcnet import RpcClient, RpcServer
from rpcnet.codegen import generate

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "services.md").read_text()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the blocks of the page define, run one after another in a module `notes`, as the page calls it."""
    module = types.ModuleType("notes")
    monkeypatch.setitem(sys.modules, "notes", module)
    for written, block in re.findall(r"```python( notes_rpc)?\n(.*?)```", PAGE, re.DOTALL):
        if written:
            exec(generate([module.Notes]), vars(module))
        exec(compile(block, "services.md", "exec"), vars(module))
    return vars(module)


def test_the_calls_of_the_page_do_what_it_says(world: Any, pair: Any, names: dict[str, Any]) -> None:
    note = names["Note"]

    async def main() -> None:
        async with pair(names["serve"]) as (_, client):
            assert await names["use"](client) == [note("a", "milk", 2), None, 2, ["a"]]
            with pytest.raises(TypeError, match=r"Notes\.put\(\) missing 1 required positional argument: 'text'"):
                client.service(names["Notes"]).put("a")
            assert await client.service(names["Notes"]).count(timeout=1.0) == 2
            assert await names["by_hand"](client) == [note("c", "tea"), 3, 4, "tea"]

    world.run(main())


def test_the_versions_of_the_page_understand_each_other(world: Any, names: dict[str, Any]) -> None:
    async def main() -> None:
        older, newer = RpcServer("127.0.0.1:0"), RpcServer("127.0.0.1:0")
        names["serve"](older)
        newer.register_service(names["After"].Notes())
        async with older, newer, RpcClient.connect(older.address) as before, RpcClient.connect(newer.address) as after:
            assert await names["both_ways"](before, after) == ["milk", "milk (nobody)"]

    world.run(main())


def test_the_written_code_of_the_page_does_what_it_says(world: Any, names: dict[str, Any]) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        names["serve_written"](server)
        async with server:
            assert await names["use_written"](server.address) == [2, 2, ["milk", "bread"]]

    world.run(main())


def test_what_the_page_refuses_is_refused(names: dict[str, Any]) -> None:
    log, wait = names["what_is_refused"]()
    assert "'log' takes any number of arguments (*lines: str), which no caller can know" in log
    assert "'wait': its parameter 'timeout' is named as an option of calls" in wait
