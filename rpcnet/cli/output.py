"""Standard output of a command whose loop must go on: nobody who reads slowly, or no more, may hold it up.

A blocked write would keep pings unanswered, so that a pager left open would cost the connection. A reader that has gone
(`… | head -1`) ends the command at once, also while nothing is to be written.

Tests: tests/rpcnet/cli/test_output.py.
"""

import asyncio
import io
import os
import select
import stat
import sys
from collections.abc import Coroutine
from typing import Any, Final, TextIO

from rpcnet.cli.exits import BROKEN_PIPE

__all__ = ["Output", "while_read"]

PIECE: Final = 4096
"""Bytes that a pipe takes without blocking once it is said to be writable (PIPE_BUF of Linux)."""


class Output:
    """Where answers go."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """`stream` stands for standard output."""
        self._stream: TextIO = sys.stdout if stream is None else stream
        try:
            self._fd: int | None = self._stream.fileno()
        except (io.UnsupportedOperation, AttributeError, ValueError):
            self._fd = None  # replaced by something in memory
        mode = 0 if self._fd is None else os.fstat(self._fd).st_mode
        self.is_terminal = stat.S_ISCHR(mode) and self._stream.isatty()
        self._may_block = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or self.is_terminal
        self._is_pipe = stat.S_ISFIFO(mode)

    async def write(self, data: bytes) -> None:
        """BrokenPipeError where nobody reads any more."""
        if self._fd is None:
            self._stream.write(data.decode("utf-8", "backslashreplace"))
            self._stream.flush()
            return
        left = memoryview(data)
        while left:
            if self._may_block:
                await self._writable(self._fd)
            left = left[os.write(self._fd, left[:PIECE] if self._may_block else left) :]

    async def line(self, data: bytes) -> None:
        await self.write(data + b"\n")

    async def _writable(self, fd: int) -> None:
        if select.select([], [fd], [], 0)[1]:
            return
        loop = asyncio.get_running_loop()
        ready = loop.create_future()

        def go_on() -> None:
            if not ready.done():
                ready.set_result(None)

        loop.add_writer(fd, go_on)
        try:
            await ready
        finally:
            loop.remove_writer(fd)

    async def closed(self) -> None:
        """Wait until nobody reads any more; for ever where that cannot be seen."""
        loop = asyncio.get_running_loop()
        gone = loop.create_future()
        fd = self._fd
        if fd is None or not self._is_pipe:
            await gone
            return

        def look() -> None:
            poll = select.poll()
            poll.register(fd, select.POLLERR)
            if poll.poll(0) and not gone.done():
                gone.set_result(None)
            loop.remove_reader(fd)

        loop.add_reader(fd, look)
        try:
            await gone
        finally:
            loop.remove_reader(fd)


async def while_read(output: Output, work: Coroutine[Any, Any, int]) -> int:
    """The exit code of `work`; that of a broken pipe, and `work` is cancelled, where nobody reads what it writes."""
    loop = asyncio.get_running_loop()
    task, closed = loop.create_task(work), loop.create_task(output.closed())
    try:
        await asyncio.wait({task, closed}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
            return BROKEN_PIPE
        return task.result()
    except BrokenPipeError:
        return BROKEN_PIPE
    finally:
        task.cancel()
        closed.cancel()
        await asyncio.wait({task, closed})
