"""All four shapes, bytes and typed, end to end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec
import pytest

from rpcnet import (
    BidirectionalStream,
    InvalidArgument,
    RpcConfig,
    RpcServer,
    StreamError,
    Unimplemented,
    current_call,
    service,
)


@dataclass
class Add:
    a: int
    b: int


class Sum(msgspec.Struct):
    value: int


async def echo(payload: bytes) -> bytes:
    return payload


async def chat(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for item in items:
        yield item


async def join(items: AsyncIterator[bytes]) -> bytes:
    return b"|".join([item async for item in items])


async def split(payload: bytes) -> AsyncIterator[bytes]:
    for part in payload.split(b"|"):
        yield part


def bytes_methods(server: RpcServer) -> None:
    server.register("echo", echo)
    server.register_streaming("chat", chat)
    server.register_streaming("join", join, shape="client_streaming")
    server.register_streaming("split", split, shape="server_streaming")


@service
class Calculator:
    async def add(self, request: Add) -> Sum:
        return Sum(request.a + request.b)

    async def count(self, until: int) -> AsyncIterator[int]:
        for number in range(until):
            yield number

    async def total(self, numbers: AsyncIterator[int]) -> Sum:
        return Sum(sum([number async for number in numbers]))

    async def double(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for number in numbers:
            yield 2 * number


@pytest.mark.parametrize("items", [[b"a", b"bc"], [b""], [b"", b"", b"x", b""], [b"x" * 300_000, b""], []])
def test_items_arrive_whole_and_in_order_in_all_four_shapes_empty_ones_too(world, pair, items) -> None:
    async def main() -> None:
        async with pair(bytes_methods) as (_, client):
            for item in items:
                assert await client.call("echo", item) == item
            joined = b"|".join(items)
            assert await client.call_client_streaming("join", items) == joined
            assert [part async for part in client.call_server_streaming("split", joined)] == (items or [b""])
            async with client.call_streaming("chat", items) as stream:
                assert [item async for item in stream] == items
            async with client.call_streaming("chat") as stream:
                for item in items:
                    await stream.send(item)
                    assert await stream.receive() == item
                await stream.end()
                with pytest.raises(StopAsyncIteration):
                    await stream.receive()

    world.run(main())


def test_a_message_larger_than_any_window_travels_in_parts_in_every_shape(world, pair) -> None:
    config = RpcConfig(stream_window_bytes=8192, max_streams=2, part_bytes=4096)
    big = bytes(range(256)) * 800

    async def main() -> None:
        async with pair(bytes_methods, config) as (_, client):
            assert await client.call("echo", big) == big
            assert await client.call_client_streaming("join", [big, b"", big]) == big + b"||" + big
            async with client.call_streaming("chat", [big, b"small", big]) as stream:
                assert [item async for item in stream] == [big, b"small", big]
            assert [item async for item in client.call_server_streaming("split", b"a|" * 100_000)][:-1] == [
                b"a"
            ] * 100_000

    world.run(main())


def test_a_service_class_is_the_contract_for_all_four_shapes(world, pair) -> None:
    async def main() -> None:
        async with pair(lambda server: server.register_service(Calculator())) as (_, client):
            calculator = client.service(Calculator)
            assert await calculator.add(Add(1, 2)) == Sum(3)
            assert [number async for number in calculator.count(3)] == [0, 1, 2]
            assert await calculator.total([1, 2, 3]) == Sum(6)
            async with calculator.double([1, 2]) as numbers:
                assert [number async for number in numbers] == [2, 4]
            assert await client.call("Calculator.add", Add(3, 4), response=Sum) == Sum(7)
            assert await client.call("Calculator.add", {"a": 1, "b": 1}, response=dict) == {"value": 2}

    world.run(main())


def test_bad_input_is_invalid_argument_with_the_path_of_the_field(world, pair) -> None:
    async def main() -> None:
        async with pair(lambda server: server.register_service(Calculator())) as (_, client):
            for payload, path in [({"a": 1, "b": "x"}, "$.b"), (b"\xc1", ""), ({"a": 1}, "`b`"), (b"", "")]:
                with pytest.raises(InvalidArgument, match="does not fit") as caught:
                    await client.call("Calculator.add", payload)
                assert path in str(caught.value)
            with pytest.raises(StreamError.Application) as failed:
                await client.call_client_streaming("Calculator.total", [1, "two"])
            assert failed.value.code.name == "INVALID_ARGUMENT"

    world.run(main())


def test_a_method_called_in_another_shape_or_not_there_is_unimplemented(world, pair) -> None:
    async def main() -> None:
        async with pair(bytes_methods) as (_, client):
            with pytest.raises(Unimplemented, match="no method 'nothing'"):
                await client.call("nothing")
            with pytest.raises(Unimplemented, match="is bidirectional"):
                await client.call("chat")
            with pytest.raises(StreamError.Application, match="is unary") as caught:
                await client.call_client_streaming("echo", [b"x"])
            assert caught.value.code.name == "UNIMPLEMENTED"

    world.run(main())


def test_metadata_and_trailers_travel_both_ways(world, pair) -> None:
    async def count(payload: bytes) -> AsyncIterator[bytes]:
        call = current_call()
        assert call.method == "count"
        assert call.peer.address
        call.send_metadata({"seen": call.metadata["trace"]})
        call.trailers["items"] = b"2"
        yield b"1"
        yield b"2"

    async def main() -> None:
        register = lambda server: server.register_streaming("count", count, shape="server_streaming")  # noqa: E731
        async with pair(register) as (server, client):
            async with client.call_server_streaming("count", metadata={"trace": "t1"}) as stream:
                assert await stream.receive() == b"1"
                assert stream.metadata == {"seen": "t1"}
                assert stream.peer.address == (server.address if world.name != "memory" else "unix:in-process")
                assert [item async for item in stream] == [b"2"]
                assert stream.trailers == {"items": b"2"}

    world.run(main())


def test_a_bidirectional_stream_feeds_its_call_and_closes_it(world, pair) -> None:
    async def main() -> None:
        async with pair(bytes_methods) as (_, client):
            async with BidirectionalStream[bytes](buffer=2) as questions:
                answers = client.call_streaming("chat", questions.stream)
                for number in range(20):
                    await questions.sender.send(b"%d" % number)
                questions.sender.close()
                assert [answer async for answer in answers] == [b"%d" % number for number in range(20)]
                with pytest.raises(StreamError):
                    await questions.sender.send(b"late")

    world.run(main())


def test_unix_sockets_carry_the_same_calls(tmp_path, pair) -> None:
    async def main() -> None:
        async with pair(bytes_methods, address=f"unix:{tmp_path}/s") as (server, client):
            assert await client.call("echo", b"x") == b"x"
            assert server.address == f"unix:{tmp_path}/s"

    asyncio.run(main())
