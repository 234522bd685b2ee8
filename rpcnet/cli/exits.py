"""With what the commands exit, and the one line that they say then.

The numbers are a promise to scripts (docs/howto/shell.md): 0, 1, 2, 130, 141, and 64 + the number of the call's status.

Tests: tests/rpcnet/cli/test_exits.py.
"""

import sys
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

from rpcnet.errors import RpcError, Status

__all__ = [
    "BROKEN_PIPE",
    "FAILED",
    "INTERRUPTED",
    "NOT_SERVING",
    "OK",
    "USAGE_ERROR",
    "CommandError",
    "exit_code",
    "nearest",
    "printable",
    "say",
    "tell",
]

OK: Final = 0
FAILED: Final = 1
"""What came cannot be written, or the application of `rpcnet run` failed."""
NOT_SERVING: Final = 1
"""What `rpcnet health` asked for is not serving."""
USAGE_ERROR: Final = 2
INTERRUPTED: Final = 130
"""128 + SIGINT, as of a program that Ctrl-C ends."""
BROKEN_PIPE: Final = 141
"""128 + SIGPIPE, as of any program in `… | head`."""
FIRST_STATUS: Final = 64
"""Added to the number of a status other than OK, as grpcurl does."""


class CommandError(Exception):
    """A mistake of whoever typed the command, or an answer that cannot be written; the text says what to do."""

    def __init__(self, text: str, code: int = USAGE_ERROR) -> None:
        super().__init__(text)
        self.code = code


def exit_code(error: RpcError) -> int:
    return FIRST_STATUS + _status(error)


def _status(error: RpcError) -> Status:
    status = Status(error.code)
    return Status.UNKNOWN if status is Status.OK else status


def tell(error: RpcError) -> None:
    """The line of a call that did not end well."""
    name = _status(error).name
    text = str(error)
    say(name if text in ("", name) else f"{name}: {text}")


def say(text: str) -> None:
    """One line for people."""
    print(f"rpcnet: {printable(text)}", file=sys.stderr)


def printable(text: str) -> str:
    """What a peer sent, for a terminal: no line breaks, and no characters that a terminal obeys."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def nearest(name: str, known: Iterable[str]) -> str:
    """A question to end a text with, where something is spelt nearly so; else nothing."""
    found = get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else ""
