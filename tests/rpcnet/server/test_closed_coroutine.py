"""A coroutine that serves and is closed, as Python does when its loop has ended, says nothing and leaves no socket."""

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from typing import Any

import pytest

from rpcnet import RpcClient, RpcServer


@pytest.fixture(autouse=True)
def unheard(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever Python would print of what was raised where nobody can catch it."""
    heard: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", heard.append)
    gc.freeze()  # what is there already need not be looked at again and again
    yield
    gc.collect()
    gc.unfreeze()
    assert not heard, [(each.object, each.exc_value) for each in heard]


def suspended(coroutine: Coroutine[Any, Any, None], turns: int | None = None) -> asyncio.AbstractEventLoop:
    """Run a coroutine by hand, as no task would let go of it, and end its loop: after so many turns, or once it says
    that it is `ready`, by awaiting nothing in particular."""
    loop = asyncio.new_event_loop()

    async def main() -> None:
        turn = 0
        while turns is None or turn < turns:
            yielded = coroutine.send(None)
            if yielded is READY:
                return
            if yielded is not None:
                yielded._asyncio_future_blocking = False  # as a task does
                await asyncio.wait([yielded])
            else:
                await asyncio.sleep(0)
            turn += 1

    loop.run_until_complete(main())
    return loop


READY = object()


class Ready:
    def __await__(self) -> Generator[Any, None, None]:
        yield READY


class Announced(RpcServer):
    async def wait_closed(self) -> None:
        await Ready()
        await super().wait_closed()


async def serve_forever(address: str) -> None:
    await Announced(address).serve_forever()


async def serve_in_a_block(address: str) -> None:
    async with RpcServer(address):
        await Ready()


async def call_in_a_block(address: str) -> None:
    async with RpcServer(address) as server, RpcClient.connect(server.address):
        await Ready()


@pytest.mark.parametrize("main", [serve_forever, serve_in_a_block])
@pytest.mark.parametrize("loop_is_closed", [True, False])
def test_a_server_closed_after_its_loop_says_nothing(tmp_path: Any, main: Any, loop_is_closed: bool) -> None:
    coroutine = main(f"unix:{tmp_path}/s")
    loop = suspended(coroutine)
    assert os.listdir(tmp_path) == ["s"]
    if loop_is_closed:
        loop.close()
    coroutine.close()
    loop.close()
    assert os.listdir(tmp_path) == []


# What was open is closed by nobody once the loop is: Python says so, and it is true.
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
@pytest.mark.parametrize("turns", [*range(12), None])
def test_a_coroutine_closed_anywhere_after_its_loop_raises_nothing(
    caplog: pytest.LogCaptureFixture, turns: int | None
) -> None:
    coroutine = call_in_a_block("127.0.0.1:0")
    suspended(coroutine, turns).close()
    coroutine.close()
    gc.collect()
    caplog.clear()  # of tasks that were pending when the loop was closed


def test_a_server_closed_while_its_loop_runs_stops() -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        await server.start()
        coroutine = server.serve_forever()
        coroutine.send(None)
        coroutine.close()
        await server.wait_closed()
        assert not server.is_running

    asyncio.run(main())


def test_a_generator_that_is_closed_in_its_loop_stops_its_server(world: Any) -> None:
    """Fixtures are such: there is a loop to wait in."""

    async def main() -> None:
        async def served() -> AsyncIterator[RpcServer]:
            async with RpcServer("127.0.0.1:0") as server, RpcClient.connect(server.address):
                yield server

        generator = served()
        server = await anext(generator)
        before = server.stats.connections
        await generator.aclose()  # type: ignore[attr-defined]
        assert (before, server.stats.connections, server.is_running) == (1, 0, False)

    world.run(main())
