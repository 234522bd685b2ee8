"""Exit codes by status, and lines that no peer can use to write on a terminal."""

from typing import Any

import pytest

from rpcnet.cli.exits import exit_code, nearest, printable, tell
from rpcnet.errors import STATUS_ERRORS, NotFound, RpcError, Status, StreamTimeout


def test_each_status_has_an_exit_code_of_its_own() -> None:
    assert {status: exit_code(RpcError.of(status, "")) for status in STATUS_ERRORS} == {
        status: 64 + status for status in Status if status
    }
    assert exit_code(StreamTimeout("")) == 68
    assert exit_code(RpcError.of(99, "")) == 66


def test_an_error_without_text_says_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    tell(NotFound(""))
    tell(NotFound("no such\nnote"))
    assert capsys.readouterr().err == "rpcnet: NOT_FOUND\nrpcnet: NOT_FOUND: no such\\nnote\n"


@pytest.mark.parametrize(
    ("text", "shown"), [("naïve ✓", "naïve ✓"), ("a\x1b[2Jb", "a\\x1b[2Jb"), ("\u202e\x07", "\\u202e\\x07")]
)
def test_characters_that_a_terminal_obeys_are_escaped(text: Any, shown: str) -> None:
    assert printable(text) == shown


def test_a_near_name_is_asked_for() -> None:
    assert nearest("Notes.pt", ["Notes.put", "other"]) == "; did you mean 'Notes.put'?"
    assert nearest("zzz", ["Notes.put"]) == ""
