"""Calls that cannot start leave nothing behind, neither at this end nor in the way of those that wait."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import pytest

from rpcnet import (
    BidirectionalStream,
    InvalidArgument,
    ResourceExhausted,
    RpcClient,
    RpcConfig,
    RpcServer,
    StreamApplicationError,
)
from rpcnet.interceptors import InterceptedCall, Interceptor, Proceed
from rpcnet.wire import writer
from rpcnet.wire.frame import FLAG_END, OPEN
from tests.rpcnet.scripted import client_of, hello, run


async def echo(payload: bytes) -> bytes:
    return payload


async def chat(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for item in items:
        yield item


def methods(server: RpcServer) -> None:
    server.register("echo", echo)
    server.register_streaming("chat", chat)


@pytest.mark.parametrize("name", ["", "\udcff", "x" * 1025])
def test_a_method_name_that_cannot_be_sent_is_refused_here_and_harms_no_other_call(
    world: Any, pair: Any, name: str
) -> None:
    async def main() -> None:
        async with pair(methods) as (_, client):
            with pytest.raises(InvalidArgument, match="method name"):
                await client.call(name)
            with pytest.raises(StreamApplicationError, match="method name"):
                await client.call_streaming(name).receive()
            with pytest.raises(StreamApplicationError, match="method name"):
                await client.call_client_streaming(name, [b"x"])
            assert client.stats.running_handlers == 0
            assert await client.call("echo", b"x") == b"x"

    world.run(main())


def test_a_call_that_waited_for_a_place_and_cannot_start_passes_it_on(world: Any, pair: Any) -> None:
    gate = asyncio.Event()

    async def wait(payload: bytes) -> bytes:
        await gate.wait()
        return payload

    async def main() -> None:
        too_much = {"k": b"x" * 100_000}
        async with pair(lambda s: s.register("wait", wait), RpcConfig(max_streams=1)) as (_, client):
            first, bad, last = (
                asyncio.ensure_future(client.call("wait", b"x", metadata=metadata)) for metadata in (None, too_much, {})
            )
            await asyncio.sleep(0.01)
            gate.set()
            assert await first == b"x"
            with pytest.raises(ResourceExhausted, match="max_metadata_bytes"):
                await bad
            assert await last == b"x"

    world.run(main())


class Unsized(dict[str, str]):
    """Has no truth value, as a table of pandas has none."""

    def __len__(self) -> int:
        raise ValueError("ambiguous")


class Unreadable(Mapping[str, str]):
    def __getitem__(self, key: str) -> str:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise asyncio.CancelledError

    def __len__(self) -> int:
        return 1


class Copied(bytes):
    def __bytes__(self) -> bytes:
        raise OSError("gone")


async def pass_on(call: InterceptedCall, proceed: Proceed) -> Any:
    return await proceed()


@pytest.mark.parametrize("interceptors", [[], [pass_on]], ids=["alone", "intercepted"])
@pytest.mark.parametrize("queued", [False, True])
def test_metadata_that_raises_ends_its_call_alone(
    world: Any, pair: Any, queued: bool, interceptors: list[Interceptor]
) -> None:
    async def wait(payload: bytes) -> bytes:
        await asyncio.sleep(0.05)
        return payload

    async def main() -> None:
        one_place = RpcConfig(max_streams=1)
        async with pair(lambda s: s.register("wait", wait), one_place, client_interceptors=interceptors) as (_, client):
            for metadata in (Unreadable(), [], 0, ""):
                first = asyncio.ensure_future(client.call("wait", b"x")) if queued else None
                await asyncio.sleep(0)
                with pytest.raises(InvalidArgument, match="metadata"):
                    await client.call("wait", b"y", metadata=metadata, timeout=5)
                assert first is None or await first == b"x"
            for metadata in (Unsized(a="b"), {"k": Copied(b"v")}, {}):
                first = asyncio.ensure_future(client.call("wait", b"x")) if queued else None
                await asyncio.sleep(0)
                assert await client.call("wait", b"y", metadata=metadata, timeout=5) == b"y"
                assert first is None or await first == b"x"

    world.run(main())


class Name(str):
    """Text of a class of its own, which cannot be shown."""

    def __str__(self) -> str:
        raise ValueError("no text")

    __format__ = __repr__ = __str__  # type: ignore[assignment]


def test_a_method_name_of_another_class_is_its_text(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(methods, RpcConfig(max_streams=1)) as (_, client):
            calls = (client.call(name, b"x", timeout=5) for name in (Name("echo"), "echo", Name("echo"), Name("none")))
            *answers, error = await asyncio.gather(*calls, return_exceptions=True)
            assert answers == [b"x"] * 3
            assert "'none'" in str(error)

    world.run(main())


def test_a_stream_that_is_given_to_a_second_call_is_refused_and_that_call_ends(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(methods) as (_, client), BidirectionalStream[bytes]() as both:
            async with client.call_streaming("chat", both) as stream:
                with pytest.raises(RuntimeError, match="given to a call already"):
                    client.call_streaming("chat", both)
                await both.sender.send(b"x")
                assert await stream.receive() == b"x"
                assert client.stats.open_streams == 1

    world.run(main())


def test_a_sender_hears_that_its_call_could_not_start(world: Any, pair: Any) -> None:
    async def main() -> None:
        async with pair(methods) as (_, client), BidirectionalStream[bytes](buffer=1) as both:
            stream = client.call_streaming("", both)
            with pytest.raises(StreamApplicationError):
                await both.sender.send(b"x")
            with pytest.raises(StreamApplicationError, match="method name"):
                await stream.receive()

    world.run(main())


def test_ending_twice_before_there_is_a_connection_is_ending_once(world: Any) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")
        methods(server)
        async with server:
            client = RpcClient(server.address)
            stream = client.call_streaming("chat")
            await asyncio.gather(stream.send(b"x"), stream.end(), stream.end())
            assert [item async for item in stream] == [b"x"]
            await client.close()

    world.run(main())


def test_no_more_calls_run_than_the_window_holds_unread() -> None:
    """Whatever the server allows: else streams that nobody reads would keep the credit of the others."""

    async def main() -> None:
        client, transport = client_of(hello(max_streams=10), RpcConfig(max_streams=2))
        await client.open()
        calls = [asyncio.ensure_future(client.call("echo")) for _ in range(3)]
        await asyncio.sleep(0.001)
        assert transport().kinds().count(OPEN) == 2
        transport().say(writer.item(1, FLAG_END, b""))
        await asyncio.sleep(0.001)
        assert transport().kinds().count(OPEN) == 3
        transport().say(writer.item(2, FLAG_END, b""), writer.item(3, FLAG_END, b""))
        await asyncio.gather(*calls)
        await client.close()

    run(main())
