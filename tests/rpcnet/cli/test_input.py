"""Standard input, whole and by lines, however its bytes are cut; and files."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpcnet.cli.exits import CommandError
from rpcnet.cli.input import content, stdin_lines

PIECES = st.lists(st.text(alphabet="ab\n\r", max_size=6).map(str.encode), max_size=6)


async def all_lines() -> list[bytes]:
    return [line async for line in stdin_lines()]


@given(PIECES)
def test_lines_are_the_same_wherever_input_is_cut(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    expected = [line.removesuffix(b"\r") for line in whole.split(b"\n")]
    if not whole.endswith(b"\n"):
        expected[-1:] = [whole.rpartition(b"\n")[2]] if whole.rpartition(b"\n")[2] else []
    else:
        expected.pop()

    async def main() -> list[bytes]:
        reader, writer = os.pipe()
        with os.fdopen(reader) as stream, pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", stream)
            reading = asyncio.ensure_future(all_lines())
            for piece in pieces:
                os.write(writer, piece)
                await asyncio.sleep(0)
            os.close(writer)
            return await reading

    assert asyncio.run(main()) == expected


def test_a_long_line_comes_whole(stdin: Any) -> None:
    stdin(b"a" * 60_000 + b"\nb")  # less than a pipe holds
    assert asyncio.run(all_lines()) == [b"a" * 60_000, b"b"]


def test_no_standard_input_is_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert asyncio.run(all_lines()) == []
    assert asyncio.run(content("@-")) == b""


def test_standard_input_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)

    class Folder:
        def fileno(self) -> int:
            return folder

    monkeypatch.setattr(sys, "stdin", Folder())
    with pytest.raises(CommandError, match="standard input cannot be read: Is a directory"):
        asyncio.run(all_lines())
    os.close(folder)


def test_content_is_text_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"\xff\n")
    assert asyncio.run(content("ü")) == "ü".encode()
    assert asyncio.run(content("\udcff")) == b"\xff", "as the shell gave it"
    assert asyncio.run(content(f"@{tmp_path}/data")) == b"\xff\n"
    with pytest.raises(CommandError, match="'' cannot be read"):
        asyncio.run(content("@"))
    with pytest.raises(CommandError, match="is no name of a file"):
        asyncio.run(content("@a\0b"))
