"""A server in a thread of its own, for commands that run here or as processes, and how both are run."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rpcnet import NotFound, RpcServer, cli, current_call, service

ROOT = Path(cli.__file__).parents[2]


@dataclass
class Note:
    key: str
    text: str
    body: bytes = b""


@service
class Notes:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.changed = threading.Event()

    def tell(self, event: str) -> None:
        self.events.append(event)
        self.changed.set()

    async def put(self, key: str, text: str, *, stars: int = 0, body: bytes = b"") -> Note:
        """Keep a note."""
        call = current_call()
        call.send_metadata({"seen": str(call.metadata.get("who", "nobody"))})
        call.trailers["stars"] = str(stars)
        return Note(key, text, body)

    async def get(self, key: str) -> Note:
        raise NotFound(f"no note {key!r}", details=b"\x00why", trailers={"tried": "1"})

    async def same(self, note: Note) -> Note:
        return note

    async def count(self) -> int:
        return 3

    async def tick(self, every: float = 0.001, most: int = 1_000_000) -> AsyncIterator[int]:
        self.tell("began")
        try:
            for number in range(most):
                yield number
                await asyncio.sleep(every)
        finally:
            self.tell("ended")

    async def load(self, notes: AsyncIterator[Note], base: int = 0) -> int:
        async for _ in notes:
            base += 1
        return base

    async def upper(self, lines: AsyncIterator[str]) -> AsyncIterator[str]:
        async for line in lines:
            yield line.upper()


async def echo(payload: bytes) -> bytes:
    return payload


async def relay(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for item in items:
        yield item


class Served:
    """A server that runs elsewhere."""

    def __init__(self, server: RpcServer, notes: Notes, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.notes = notes
        self.loop = loop
        self.address = server.address
        self._is_stopped = False

    def do(self, what: Callable[[], Any]) -> Any:
        """Call it where the server runs."""

        async def done() -> Any:
            return what()

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(20)

    def stop(self) -> None:
        if self._is_stopped:
            return
        self._is_stopped = True
        asyncio.run_coroutine_threadsafe(self.server.stop(), self.loop).result(20)


@contextmanager
def serving(address: str = "127.0.0.1:0", **options: Any) -> Iterator[Served]:
    begun: list[Served] = []
    ready = threading.Event()

    async def main() -> None:
        server, notes = RpcServer(address, **options), Notes()
        server.register_service(notes)
        server.register("echo", echo)
        server.register_streaming("relay", relay)
        try:
            await server.start()
            begun.append(Served(server, notes, asyncio.get_running_loop()))
        finally:
            ready.set()
        await server.wait_closed()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(20)
    try:
        yield begun[0]
    finally:
        if begun:
            begun[0].stop()
        thread.join(20)


Serving = Callable[..., AbstractContextManager[Served]]


@pytest.fixture(name="serving")
def serving_fixture() -> Serving:
    return serving


@pytest.fixture(scope="package")
def served() -> Iterator[Served]:
    """One server for all who change nothing of it."""
    with serving() as found:
        yield found


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """A command in this process: exit code, standard output, standard error."""

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.run(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def start(*words: str, **options: Any) -> "subprocess.Popen[bytes]":
    """The same as a process of its own."""
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-c", "from rpcnet.cli import main; main()", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        **(streams | options),
    )


@pytest.fixture(name="start")
def start_fixture() -> Callable[..., "subprocess.Popen[bytes]"]:
    return start


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """What a command in this process reads from standard input."""
    opened: list[Any] = []

    def give(data: bytes) -> None:
        reader, writer = os.pipe()
        os.write(writer, data)
        os.close(writer)
        opened.append(os.fdopen(reader))
        monkeypatch.setattr(sys, "stdin", opened[-1])

    yield give
    for one in opened:
        one.close()
