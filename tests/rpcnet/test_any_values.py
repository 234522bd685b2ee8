"""Whatever a handler raises, the caller's items raise, or a caller hands in: both ends are told, and all is given back.

A bystander on the same connection goes on. Values are drawn; each that was once found to break something is listed.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim
from rpcnet import (
    NotFound,
    RpcClient,
    RpcError,
    RpcServer,
    StreamError,
    current_call,
)
from rpcnet.errors import Status
from rpcnet.testing import connected
from tests.rpcnet.conftest import idle


class Odd(Exception):
    """An exception whose constructor takes what no copy would give it, and which cannot be shown."""

    def __init__(self, first: int, second: int) -> None:
        self.first = first

    def __str__(self) -> str:
        raise ValueError("no text")


class OddStatus(NotFound):
    def __init__(self, used: int, limit: int) -> None:
        super().__init__(f"{used} of {limit}")


class NotAnException(BaseException):
    pass


class NoText:
    """A message of which a text is asked, which raises what is no Exception."""

    def __str__(self) -> str:
        raise NotAnException


class NoCode(RpcError):
    @property
    def code(self) -> Status:  # type: ignore[override]
        raise asyncio.CancelledError


class Word(str):
    """Text of a class of its own, as a member of a StrEnum is."""


class Falsy(NotFound):
    def __bool__(self) -> bool:
        return False


ERRORS: dict[str, Callable[[], BaseException]] = {
    "an exception": lambda: ValueError("x"),
    "one that cannot be shown": lambda: Odd(1, 2),
    "an RpcError": lambda: NotFound("x"),
    "one with another constructor": lambda: OddStatus(5, 4),
    "one with odd fields": lambda: NotFound(404, details="x", trailers=[1]),  # type: ignore[arg-type]
    "one that is false": lambda: Falsy("x"),
    "one whose text raises a base exception": lambda: NotFound(NoText()),  # type: ignore[arg-type]
    "one whose code raises a cancellation": lambda: NoCode("x"),
    "a stream's error": lambda: StreamError.Transport("x"),
    "a timeout": TimeoutError,
    "a cancellation": asyncio.CancelledError,
    "a base exception": lambda: NotAnException("x"),
    "StopIteration": lambda: StopIteration(1),
    "StopAsyncIteration": StopAsyncIteration,
    "a group of one": lambda: ExceptionGroup("g", [NotFound("x")]),
    "a group of two": lambda: BaseExceptionGroup("g", [NotFound("x"), NotAnException()]),
    "a recursion": lambda: RecursionError("x"),
    "an error with a huge text": lambda: NotFound("x" * 1_000_000),
}
SURROGATES = st.text(st.characters(categories=["Cs", "L"]), max_size=5)
METADATA = st.one_of(
    st.none(),
    st.dictionaries(st.text(max_size=5) | SURROGATES, st.text(max_size=5) | st.binary(max_size=5) | SURROGATES),
    st.dictionaries(st.integers() | st.text(max_size=3), st.none() | st.integers(), min_size=1),
    st.lists(st.text(max_size=3), min_size=1, max_size=3),
    st.just({"large": "x" * 100_000}),
    st.just(5),
)
TIMEOUTS = st.sampled_from([None, 0, -1, 0.01, 5, 1e300, 10**400, -(10**400), math.inf, math.nan, "3", True, b"1"])


class Hand:
    """What a drawn call does at both ends."""

    def __init__(self, error: str | None, after: int, where: str, metadata: Any) -> None:
        self.error, self.after, self.where, self.metadata = error, after, where, metadata

    def maybe_raise(self, at: int) -> None:
        if self.error is not None and at == self.after and self.where == "handler":
            raise ERRORS[self.error]()

    async def unary(self, payload: bytes) -> bytes:
        if self.metadata is not None:
            current_call().trailers["k"] = self.metadata
        self.maybe_raise(0)
        await asyncio.sleep(0)
        self.maybe_raise(1)
        return payload

    async def down(self, payload: bytes) -> AsyncIterator[bytes]:
        for number in range(3):
            self.maybe_raise(number)
            yield payload
        self.maybe_raise(3)

    async def up(self, items: AsyncIterator[bytes]) -> bytes:
        number = 0
        async for _ in items:
            self.maybe_raise(number)
            number += 1
        self.maybe_raise(number)
        return b"%d" % number

    async def both(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        number = 0
        async for item in items:
            self.maybe_raise(number)
            number += 1
            yield item
        self.maybe_raise(number)

    async def items(self) -> AsyncIterator[bytes]:
        for number in range(3):
            if self.error is not None and number == self.after and self.where == "caller":
                raise ERRORS[self.error]()
            yield b"x"
            await asyncio.sleep(0.001)

    def register(self, server: RpcServer) -> None:
        server.register("unary", self.unary)
        server.register_streaming("down", self.down, shape="server_streaming")
        server.register_streaming("up", self.up, shape="client_streaming")
        server.register_streaming("both", self.both)

    async def call(self, client: RpcClient, shape: str, **options: Any) -> Any:
        if shape == "unary":
            return await client.call("unary", b"x", **options)
        if shape == "up":
            return await client.call_client_streaming("up", self.items(), **options)
        stream = client.call_server_streaming("down", b"x", **options) if shape == "down" else None
        if stream is None:
            stream = client.call_streaming("both", self.items(), **options)
        return [item async for item in stream]


def whole(shape: str) -> Any:
    return {"unary": b"x", "up": b"3"}.get(shape, [b"x"] * 3)


@settings(max_examples=200)
@given(
    st.sampled_from(["unary", "down", "up", "both"]),
    st.none() | st.sampled_from(sorted(ERRORS)),
    st.integers(0, 3),
    st.sampled_from(["handler", "caller"]),
    st.none() | SURROGATES | st.integers() | st.binary(max_size=3) | st.builds(Word, st.text(max_size=3)),
    METADATA,
    TIMEOUTS,
)
def test_any_value_ends_the_call_at_both_ends(shape, error, after, where, trailer, metadata, timeout) -> None:
    hand = Hand(error, after, where, trailer)

    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        hand.register(server)
        before = asyncio.all_tasks()
        async with connected(server) as client:
            bystander = client.call_streaming("both")
            hand_error, hand.error = hand.error, None
            await bystander.send(b"1")
            assert await bystander.receive() == b"1"
            hand.error = hand_error
            task = asyncio.ensure_future(hand.call(client, shape, timeout=timeout, metadata=metadata))
            done, _ = await asyncio.wait([task], timeout=100)
            assert done, "the call hangs"
            if not task.cancelled() and task.exception() is None:
                # An end in order means that all of it came, and that nobody raised anything.
                assert task.result() == whole(shape)
            hand.error = None
            await bystander.send(b"2")
            assert await bystander.receive() == b"2"
            await bystander.end()
            assert [item async for item in bystander] == []
            await idle(server, client)
            assert await client.call_client_streaming("up", [b"x"]) == b"1"
        left = asyncio.all_tasks() - before
        assert not left, left

    logging.disable(logging.CRITICAL)  # of the handlers' errors
    try:
        sim.run(main(), seed=1)
    finally:
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("shape", ["unary", "down", "up", "both"])
@pytest.mark.parametrize("name", sorted(ERRORS))
def test_each_error_of_a_handler_reaches_the_caller(world, pair, idle, shape, name) -> None:
    hand = Hand(name, 0, "handler", None)

    async def main() -> None:
        async with pair(hand.register) as (server, client):
            with pytest.raises(RpcError) as caught:
                await asyncio.wait_for(hand.call(client, shape), 20)
            raised = ERRORS[name]()
            if (isinstance(raised, NotFound) or name == "a group of one") and "base exception" not in name:
                assert isinstance(caught.value, NotFound)
            if name == "StopAsyncIteration" and shape != "unary":
                assert "async for" in str(caught.value)
            del caught
            await idle(server, client)

    logging.disable(logging.CRITICAL)
    try:
        world.run(main())
    finally:
        logging.disable(logging.NOTSET)


class Part(bytes):
    """Bytes that cannot be copied in the usual way."""

    def __bytes__(self) -> bytes:
        raise NotAnException


@pytest.mark.parametrize("fails", [False, True])
def test_trailers_of_other_classes_than_text_arrive(world, pair, fails) -> None:
    async def answer(payload: bytes) -> bytes:
        current_call().trailers.update({Word("word"): Word("w"), "part": Part(b"p")})
        if fails:
            raise NotFound("x", trailers={"own": Word("o")})
        return payload

    async def main() -> None:
        async with pair(lambda server: server.register("answer", answer)) as (_, client):
            if fails:
                with pytest.raises(NotFound) as caught:
                    await client.call("answer", b"x", timeout=20)
                assert caught.value.trailers == {"word": "w", "part": b"p", "own": "o"}
                del caught
            else:
                assert await client.call("answer", b"x", timeout=20) == b"x"

    world.run(main())


@pytest.mark.parametrize("shape", ["up", "both"])
@pytest.mark.parametrize("name", sorted(set(ERRORS) - {"a cancellation"}))
def test_each_error_of_the_items_reaches_the_reader(world, pair, idle, shape, name) -> None:
    """As it is, but for what Python itself takes for an end; never as a stream that looks complete."""
    hand = Hand(name, 1, "caller", None)

    async def main() -> None:
        async with pair(hand.register) as (server, client):
            expected: Any = type(ERRORS[name]())
            with pytest.raises(RuntimeError if expected in (StopIteration, StopAsyncIteration) else expected):
                await asyncio.wait_for(hand.call(client, shape), 20)
            await idle(server, client)

    world.run(main())


@pytest.mark.parametrize("error", [ValueError, RuntimeError, Odd])
@pytest.mark.parametrize("shape", ["unary", "down", "up", "both"])
def test_a_response_type_that_raises_ends_the_call(world, pair, idle, shape, error) -> None:
    from dataclasses import dataclass

    @dataclass
    class Picky:
        x: int

        def __post_init__(self) -> None:
            raise error(1, 2)

    async def unary(payload: bytes) -> dict[str, int]:
        return {"x": 1}

    async def down(payload: bytes) -> AsyncIterator[dict[str, int]]:
        yield {"x": 1}
        await asyncio.Event().wait()

    async def up(items: AsyncIterator[bytes]) -> dict[str, int]:
        return {"x": len([item async for item in items])}

    async def both(items: AsyncIterator[bytes]) -> AsyncIterator[dict[str, int]]:
        async for _ in items:
            yield {"x": 1}

    def methods(server: RpcServer) -> None:
        for name, handler in {"unary": unary, "down": down, "up": up, "both": both}.items():
            server.register_typed(name, handler)

    async def main() -> None:
        hand = Hand(None, 0, "handler", None)
        async with pair(methods) as (server, client):
            with pytest.raises(RpcError, match="does not fit its type") as caught:
                await asyncio.wait_for(hand.call(client, shape, response=Picky), 20)
            assert caught.value.code.name == "INTERNAL"
            del caught
            await idle(server, client)

    world.run(main())
