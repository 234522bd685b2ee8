"""The calls that the plan named, row by row of the table in docs/migration.md: they exist, and do what it said."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from rpcnet import (
    BidirectionalStream,
    Cluster,
    InvalidArgument,
    NodeStatus,
    NotPermitted,
    RpcClient,
    RpcConfig,
    RpcServer,
    StreamError,
)


class World:
    """What tests/conftest.py gives: one body, in virtual time or over sockets."""

    name: str
    run: Callable[[Awaitable[None]], None]


class Endless:
    """A server whose `chat` answers each item and then goes silent; it tells when a handler was cancelled."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.server = RpcServer("127.0.0.1:0")
        self.server.register("echo", self.echo)
        self.server.register("silent", self.silent)
        self.server.register_streaming("chat", self.chat)

    async def echo(self, payload: bytes) -> bytes:
        return payload

    async def silent(self, payload: bytes) -> bytes:
        await asyncio.Event().wait()
        return payload

    async def chat(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for item in items:
                yield item
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def one(item: bytes = b"x") -> AsyncIterator[bytes]:
    yield item
    await asyncio.Event().wait()


def test_the_default_timeout_bounds_calls_that_name_none(world: World) -> None:
    async def main() -> None:
        config = RpcConfig().with_default_timeout(0.2)
        assert config.default_timeout == 0.2
        endless = Endless()
        async with endless.server, RpcClient.connect(endless.server.address, config=config) as client:
            with pytest.raises(TimeoutError):
                await client.call("silent", b"")
            async with client.call_streaming("chat", one()) as stream:
                assert await anext(stream) == b"x"
                with pytest.raises(StreamError.Timeout):
                    await anext(stream)
            async with asyncio.timeout(5):
                await endless.cancelled.wait()

    world.run(main())


def test_call_streaming_with_timeout_ends_a_silent_stream_for_good(world: World) -> None:
    async def main() -> None:
        endless = Endless()
        async with endless.server, RpcClient.connect(endless.server.address) as client:
            stream = client.call_streaming_with_timeout("chat", one(), 0.2)
            assert await anext(stream) == b"x"
            with pytest.raises(StreamError.Timeout):
                await anext(stream)
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    world.run(main())


def test_a_stream_error_says_whether_time_the_connection_or_the_application_ended_it(world: World) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")

        async def refuse(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            yield b"once"
            raise InvalidArgument("not that", details=b"why")

        server.register_streaming("refuse", refuse)
        async with server, RpcClient.connect(server.address) as client:
            stream = client.call_streaming("refuse", one())
            assert await anext(stream) == b"once"
            with pytest.raises(StreamError.Application) as caught:
                await anext(stream)
            assert (caught.value.code, caught.value.message, caught.value.payload) == (3, "not that", b"why")
        assert issubclass(StreamError.Timeout, TimeoutError)
        assert issubclass(StreamError.Transport, ConnectionError)

    world.run(main())


@pytest.mark.parametrize("way", ["abort", "drop", "leave"])
def test_a_bidirectional_stream_that_is_let_go_cancels_the_handler(world: World, way: str) -> None:
    async def main() -> None:
        endless = Endless()
        async with endless.server, RpcClient.connect(endless.server.address) as client:
            both = BidirectionalStream[bytes](buffer=10)
            answers = client.call_streaming("chat", both)
            await both.sender.send(b"hello")
            assert await anext(answers) == b"hello"
            if way == "abort":
                both.abort()
            elif way == "leave":
                async with both:
                    pass
            del both
            async with asyncio.timeout(5):
                await endless.cancelled.wait()

    world.run(main())


def test_a_bidirectional_stream_whose_sender_is_closed_ends_in_order(world: World) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")

        async def echo(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
            async for item in items:
                yield item

        server.register_streaming("echo", echo)
        async with server, RpcClient.connect(server.address) as client, BidirectionalStream[bytes](buffer=3) as both:
            for item in (b"a", b"", b"c"):
                await both.sender.send(item)
            both.sender.close()
            assert [item async for item in client.call_streaming("echo", both.stream)] == [b"a", b"", b"c"]

    world.run(main())


def test_register_takes_bytes_and_gives_bytes(world: World) -> None:
    async def main() -> None:
        endless = Endless()
        async with endless.server, RpcClient.connect(endless.server.address) as client:
            assert await client.call("echo", b"\x00raw") == b"\x00raw"

    world.run(main())


def test_register_typed_takes_all_four_shapes_from_the_annotations(world: World) -> None:
    async def main() -> None:
        server = RpcServer("127.0.0.1:0")

        async def double(number: int) -> int:
            return 2 * number

        async def count(number: int) -> AsyncIterator[int]:
            for n in range(number):
                yield n

        async def total(numbers: AsyncIterator[int]) -> int:
            return sum([number async for number in numbers])

        async def running(numbers: AsyncIterator[int]) -> AsyncIterator[int]:
            so_far = 0
            async for number in numbers:
                so_far += number
                yield so_far

        for method in (double, count, total, running):
            server.register_typed(method.__name__, method)
        async with server, RpcClient.connect(server.address) as client:
            assert await client.call("double", 21, response=int) == 42
            assert [n async for n in client.call_server_streaming("count", 3, response=int)] == [0, 1, 2]
            assert await client.call_client_streaming("total", [1, 2, 3], response=int) == 6
            assert [n async for n in client.call_streaming("running", [1, 2, 3], response=int)] == [1, 3, 6]
            with pytest.raises(InvalidArgument, match="int"):
                await client.call("double", {"number": "21"}, response=int)

    world.run(main())


def cluster() -> Cluster:
    return Cluster("alone", "127.0.0.1:0")


@pytest.mark.parametrize("tags", [{"role": "director"}, [("role", "director")]])
def test_register_self_takes_a_mapping_or_pairs(world: World, tags: dict[str, str] | list[tuple[str, str]]) -> None:
    async def main() -> None:
        async with cluster() as me:
            await me.register_self(tags)
            assert dict(me.me.tags) == {"role": "director"}
            with pytest.raises(ValueError, match="tag"):
                await me.register_self({"": "no key"})

    world.run(main())


def test_update_tags_is_one_batch_and_none_deletes(world: World) -> None:
    async def main() -> None:
        async with cluster() as me:
            await me.register_self({"role": "worker", "zone": "a"})
            before = me.me.version
            await me.update_tags({"label": "big", "gpu": "true", "zone": None})
            assert me.me.version == before + 1
            assert dict(me.me.tags) == {"role": "worker", "label": "big", "gpu": "true"}
            await me.update_tag("label", "small")
            assert me.me.tags["label"] == "small"

    world.run(main())


def test_the_registry_takes_a_status_of_oneself_and_of_nobody_else(world: World) -> None:
    async def main() -> None:
        async with cluster() as me:
            me.registry.insert(NodeStatus(node_id="alone", addr=me.address, tags={"role": "director"}))
            assert me.me.tags["role"] == "director"
            with pytest.raises(NotPermitted, match="only its own"):
                me.registry.insert(NodeStatus(node_id="other", tags={"role": "director"}))

    world.run(main())
