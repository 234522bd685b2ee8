"""docs/howto/sync.md: every block runs, and does what the page says. Threads are not simulated: over sockets alone."""

import asyncio
import os
import re
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError as CancelledFuture
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rpcnet import Cancelled, DeadlineExceeded, NotFound, RpcClient, RpcServer

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "sync.md").read_text()
CODE = "\n\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def names() -> dict[str, Any]:
    """What the blocks of the page define, run one after another in one module."""
    defined: dict[str, Any] = {"__name__": "sync"}
    exec(compile(CODE, "sync.md", "exec"), defined)
    return defined


class Served:
    """The methods that the page calls, and which of their handlers run or were cancelled."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.cancelled = threading.Event()
        self.server = RpcServer("127.0.0.1:0")
        for method in (self.double, self.count, self.running_total, self.follow, self.missing, self.wait):
            self.server.register_typed(method.__name__, method)

    async def double(self, number: int) -> int:
        return 2 * number

    async def count(self, stop: int) -> AsyncIterator[int]:
        for number in range(stop):
            yield number

    async def running_total(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        total = 0
        async for number in numbers:
            total += number
            yield total

    async def follow(self, _: bytes) -> AsyncIterator[str]:
        yield "a line"
        await self.wait(b"")

    async def missing(self, _: bytes) -> bytes:
        raise NotFound("not here")

    async def wait(self, _: bytes) -> bytes:
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b""


@pytest.fixture
def served(names: dict[str, Any]) -> Iterator[Served]:
    """A server in a thread of its own, by the page's own class."""
    made = Served()
    made.server.register_service(names["Calculator"]())
    with names["Background"]() as background:
        background.enter(lambda: made.server)
        yield made
        ends = time.monotonic() + 30
        while made.server.stats.running_handlers and time.monotonic() < ends:
            time.sleep(0.01)
        assert made.server.stats.running_handlers == 0


def test_calls_of_the_page_give_what_it_says(names: dict[str, Any], served: Served) -> None:
    threads = threading.active_count()
    assert names["ask"](served.server.address) == [42, names["Sum"](3), [0, 1, 2]]
    assert threading.active_count() == threads


@pytest.fixture
def called(names: dict[str, Any], served: Served) -> Iterator[tuple[Any, RpcClient]]:
    """A second loop, and a client in it."""
    with names["Background"]() as background:
        yield background, background.enter(RpcClient.connect, served.server.address)


def test_a_conversation_is_written_and_read_in_turn(names: dict[str, Any], called: tuple[Any, RpcClient]) -> None:
    assert names["converse"](*called) == [1, 3, 6]


def test_an_error_of_a_call_arrives_as_it_is(called: tuple[Any, RpcClient], served: Served) -> None:
    background, client = called
    with pytest.raises(NotFound, match="not here"):
        background.run(client.call, "missing")
    with pytest.raises(DeadlineExceeded):
        background.run(client.call, "wait", timeout=0.05)
    assert served.cancelled.wait(30)


def test_leaving_the_loop_early_cancels_the_handler(called: tuple[Any, RpcClient], served: Served) -> None:
    background, client = called
    for line in background.iterate(client.call_server_streaming, "follow", response=str):
        assert line == "a line"
        break
    assert served.cancelled.wait(30)


def test_many_threads_call_over_one_client(called: tuple[Any, RpcClient]) -> None:
    background, client = called

    def double(number: int) -> int:
        doubled: int = background.run(client.call, "double", number, response=int)
        return doubled

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(double, range(50))) == [2 * number for number in range(50)]
    assert client.stats.connections == 1


def test_closing_ends_the_calls_of_other_threads(names: dict[str, Any], served: Served) -> None:
    with ThreadPoolExecutor(2) as pool:
        with names["Background"]() as background:
            client = background.enter(RpcClient.connect, served.server.address)
            waiting = pool.submit(background.run, client.call, "wait")
            other = pool.submit(background.run, asyncio.Event().wait)
            assert served.started.wait(30)
        with pytest.raises(Cancelled):
            waiting.result(30)
        with pytest.raises(CancelledFuture):
            other.result(30)
    assert served.cancelled.wait(30)


def test_ctrl_c_ends_one_call_and_no_other(called: tuple[Any, RpcClient], served: Served, interruptible: None) -> None:
    background, client = called

    def interrupt() -> None:
        assert served.started.wait(30)
        os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    with pytest.raises(KeyboardInterrupt):
        background.run(client.call, "wait")
    interrupting.join()
    assert served.cancelled.wait(30)
    assert background.run(client.call, "double", 1, response=int) == 2


@pytest.mark.gate
def test_ctrl_c_cancels_the_handler_and_ends_the_program(served: Served, tmp_path: Path, interruptible: None) -> None:
    (tmp_path / "follow.py").write_text(CODE)

    async def play() -> tuple[int | None, bytes, bytes]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", tmp_path / "follow.py", served.server.address),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(60):
                assert await process.stdout.readline() == b"a line\n"
                process.send_signal(signal.SIGINT)
                assert await asyncio.to_thread(served.cancelled.wait, 30)
                rest, errors = await process.communicate()
            return process.returncode, rest, errors
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()

    assert asyncio.run(play()) == (0, b"enough\n", b"")
