"""What a command sends: texts of the command line, `@file`, and standard input, whole or line by line.

Standard input is read by a thread that nobody waits for: a terminal at which nobody types must not keep the command
from ending. It reads the descriptor itself, as a buffer that a thread holds cannot be closed at exit.

Tests: tests/rpcnet/cli/test_input.py.
"""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from rpcnet.cli.exits import CommandError

__all__ = ["STDIN", "content", "stdin", "stdin_lines"]

STDIN: Final = "@-"
"""Stands for standard input; so does `-`, which the commands replace by it."""
PIECE: Final = 65536


async def content(text: str) -> bytes:
    """A text as it is, what is in `@file`, or all of standard input. CommandError where it cannot be read."""
    if text == STDIN:
        return b"".join([piece async for piece in stdin()])
    if not text.startswith("@"):
        try:
            return text.encode()
        except UnicodeEncodeError:
            return os.fsencode(text)
    try:
        return Path(text[1:]).read_bytes()  # noqa: ASYNC240 - nothing else runs meanwhile
    except OSError as error:
        raise CommandError(f"{text[1:]!r} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{text[1:]!r} is no name of a file: {error}") from None


async def stdin() -> AsyncIterator[bytes]:
    """Pieces of standard input as they come; no more is read before a piece was taken."""
    try:
        fd = sys.stdin.fileno()
    except (AttributeError, ValueError, OSError):
        return  # there is none
    loop = asyncio.get_running_loop()
    pieces: asyncio.Queue[bytes | OSError] = asyncio.Queue(1)

    def read() -> None:
        while True:
            try:
                piece: bytes | OSError = os.read(fd, PIECE)
            except OSError as error:
                piece = error
            put = pieces.put(piece)
            try:
                asyncio.run_coroutine_threadsafe(put, loop).result()
            except BaseException:
                put.close()
                return  # the command has ended
            if not piece or isinstance(piece, OSError):
                return

    threading.Thread(target=read, name="rpcnet stdin", daemon=True).start()
    while piece := await pieces.get():
        if isinstance(piece, OSError):
            raise CommandError(f"standard input cannot be read: {piece.strerror}")
        yield piece


async def stdin_lines() -> AsyncIterator[bytes]:
    """Lines of standard input as they come, without their line breaks."""
    rest = b""
    async for piece in stdin():
        *lines, rest = (rest + piece).split(b"\n") if b"\n" in piece else ((rest + piece),)
        for line in lines:
            yield line.removesuffix(b"\r")
    if rest:
        yield rest
