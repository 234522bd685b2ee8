"""docs/howto/tls.md: every block runs, and does what the page says."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "tls.md").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page's shell block was run."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make certificates with")
    made = tmp_path_factory.mktemp("page")
    (block,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    subprocess.run(["sh", "-euc", block], cwd=made, check=True, capture_output=True)
    return made


def test_the_blocks_of_the_page_run_and_do_what_it_says(
    world: Any, folder: Path, monkeypatch: Any, caplog: Any
) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "tls.md", "exec"), names)

    async def main() -> None:
        assert await names["with_tls"]() == b"in secret"
        assert await names["with_both"]() == b"client"
        assert await names["with_contexts_of_ours"]() == b"unchanged"
        assert not caplog.messages
        assert "give the client tls=" in await names["without_tls_to_a_server_with_tls"]()
        assert ["the client speaks without TLS" in line for line in caplog.messages] == [True]

    world.run(main())
