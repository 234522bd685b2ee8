"""The whole API as one page: each call as a user would write it from the documentation, in both worlds."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from rpcnet import (
    BidirectionalStream,
    Cluster,
    ClusterConfig,
    MemberFailed,
    MemberJoined,
    MemberLeft,
    MemberRecovered,
    MemberSuspected,
    NotFound,
    RpcClient,
    RpcConfig,
    RpcError,
    RpcServer,
    StreamApplicationError,
    StreamError,
    StreamTimeout,
    StreamTransportError,
    TagsChanged,
    Unavailable,
    current_call,
    service,
)


@dataclass
class Add:
    a: int
    b: int


@dataclass
class Sum:
    value: int


@dataclass
class Prompt:
    text: str


@dataclass
class Token:
    text: str


@service
class Calculator:
    async def add(self, request: Add) -> Sum:
        return Sum(request.a + request.b)

    async def count(self, request: Sum) -> AsyncIterator[int]:
        for number in range(request.value):
            yield number


async def echo(payload: bytes) -> bytes:
    return payload


async def chat(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for item in items:
        yield item


async def talk(prompts: AsyncIterator[Prompt]) -> AsyncIterator[Token]:
    async for prompt in prompts:
        yield Token(prompt.text.upper())


async def watch(payload: bytes) -> AsyncIterator[bytes]:
    while True:
        yield payload
        await asyncio.sleep(0.001)


async def upload(items: AsyncIterator[bytes]) -> bytes:
    return b"".join([item async for item in items])


async def facts(_: bytes) -> bytes:
    call = current_call()
    assert call.method == "facts"
    assert call.metadata == {"trace": "1"}
    assert call.peer.address
    assert call.peer.certificate is None
    left = call.time_left()
    assert left is not None
    assert 0 < left <= 5.0
    with call.detached():
        pass
    call.trailers["k"] = "v"
    return b"known"


async def hello(_: bytes) -> AsyncIterator[bytes]:
    call = current_call()
    call.send_metadata({"greeting": "hello"})
    call.trailers["k"] = "v"
    yield b"x"


async def missing(_: bytes) -> bytes:
    raise NotFound("no such worker", details=b"who")


def a_server() -> RpcServer:
    server = RpcServer("127.0.0.1:0", tls=None, config=RpcConfig())
    server.register("echo", echo)
    server.register("facts", facts)
    server.register("missing", missing)
    server.register_streaming("chat", chat)
    server.register_streaming("upload", upload, shape="client_streaming")
    server.register_streaming("watch", watch, shape="server_streaming")
    server.register_streaming("hello", hello, shape="server_streaming")
    server.register_typed("talk", talk)
    server.register_service(Calculator())

    @server.method("add")
    async def add(request: Add) -> Sum:
        return Sum(request.a + request.b)

    return server


async def unary_calls(client: RpcClient) -> None:
    assert await client.call("echo", b"x", timeout=1.0, metadata={"trace": "1"}) == b"x"
    assert await client.call("add", Add(1, 2), response=Sum) == Sum(3)
    assert await client.call("facts", timeout=5.0, metadata={"trace": "1"}) == b"known"
    with pytest.raises(NotFound, match="no such worker") as caught:
        await client.call("missing")
    assert caught.value.details == b"who"
    assert isinstance(caught.value, RpcError)


async def streaming_calls(client: RpcClient) -> None:
    async for item in client.call_server_streaming("watch", b"x"):
        assert item == b"x"
        break
    assert await client.call_client_streaming("upload", [b"a", b"b"]) == b"ab"

    async def items() -> AsyncIterator[bytes]:
        yield b"c"
        yield b"d"

    assert await client.call_client_streaming("upload", items()) == b"cd"
    async with client.call_streaming("talk", response=Token, idle_timeout=3.0) as typed:
        await typed.send(Prompt("x"))
        await typed.end()
        assert [token async for token in typed] == [Token("X")]
    async with client.call_streaming("chat", items()) as stream:
        assert await stream.receive() == b"c"
        assert stream.peer.address == client.address
        stream.abort()
    async with client.call_server_streaming("hello") as stream:
        assert [item async for item in stream] == [b"x"]
        assert stream.metadata == {"greeting": "hello"}
        assert stream.trailers == {"k": "v"}
    async with client.call_streaming_with_timeout("chat", items(), 3.0) as stream:
        assert [item async for item in stream] == [b"c", b"d"]


async def bidirectional_stream(client: RpcClient) -> None:
    async with BidirectionalStream[bytes](buffer=10) as both:
        async with client.call_streaming("chat", both) as stream:
            await both.sender.send(b"1")
            assert await stream.receive() == b"1"
            both.sender.close()
            assert [item async for item in stream] == []
    dropped = BidirectionalStream[bytes](buffer=10)
    sender = dropped.sender
    stream = client.call_streaming("chat", dropped.stream)
    await sender.send(b"1")
    assert await stream.receive() == b"1"
    del dropped  # is the abort, although a copy of the sender and the stream still live
    with pytest.raises(StreamError.Application):
        await stream.receive()


async def proxy(client: RpcClient) -> None:
    calculator = client.service(Calculator)
    assert await calculator.add(Add(1, 2)) == Sum(3)
    assert [number async for number in calculator.count(Sum(3))] == [0, 1, 2]


def test_the_calls_on_one_page_work_as_they_are_written(world: Any, idle: Any) -> None:
    async def main() -> None:
        server = a_server()
        async with server:
            async with RpcClient.connect(server.address, tls=None, config=RpcConfig()) as client:
                await unary_calls(client)
                await streaming_calls(client)
                await bidirectional_stream(client)
                await proxy(client)
                await idle(server, client)
                assert server.stats.connections == 1

    world.run(main())


def test_a_server_is_started_stopped_and_served_without_a_block(world: Any, eventually: Any) -> None:
    async def main() -> None:
        server = a_server()
        await server.start()
        client = await RpcClient.connect(server.address)
        assert await client.call("echo", b"x") == b"x"
        waiting = asyncio.ensure_future(server.wait_closed())
        await server.stop(grace=5.0)
        await waiting
        with pytest.raises(Unavailable):
            await client.call("echo", b"x", timeout=5.0)
        await client.close()

        other = a_server()
        serving = asyncio.ensure_future(other.serve_forever())
        await eventually(lambda: not other.address.endswith(":0"))
        async with RpcClient.connect(other.address) as client:
            assert await client.call("echo", b"x") == b"x"
        serving.cancel()
        await asyncio.wait([serving])

    world.run(main())


@pytest.mark.parametrize("host", ["[::1]:0", "unix:"])
def test_the_other_kinds_of_address_work(world: Any, host: str, tmp_path: Any) -> None:
    async def main() -> None:
        server = RpcServer(f"unix:{tmp_path}/x.sock" if host == "unix:" else host)
        server.register("echo", echo)
        async with server, RpcClient.connect(server.address) as client:
            assert await client.call("echo", b"x") == b"x"

    world.run(main())


def test_a_default_timeout_is_given_to_the_config_or_to_a_copy_of_it() -> None:
    config = RpcConfig()
    assert config.with_default_timeout(3.0) == RpcConfig(default_timeout=3.0)
    assert config.default_timeout is None


def test_the_errors_of_streams_are_also_what_python_calls_them() -> None:
    assert StreamError.Timeout is StreamTimeout
    assert StreamError.Transport is StreamTransportError
    assert StreamError.Application is StreamApplicationError
    assert issubclass(StreamTimeout, TimeoutError)
    assert issubclass(StreamTransportError, ConnectionError)
    assert issubclass(StreamError, RpcError)


def test_the_cluster_on_the_same_page_works_as_it_is_written(world: Any) -> None:
    async def main() -> None:
        config = ClusterConfig.local()
        first = Cluster("n1", "127.0.0.1:0", join=[], services={"rpc": "127.0.0.1:1"}, config=config)
        async with first:
            await first.register_self({"role": "worker"})
            await first.update_tags({"label": "a", "zone": None})
            await first.update_tag("label", "b")
            assert first.me.tags == {"role": "worker", "label": "b"}
            async with first.watch(role="helper") as view:
                assert view.members == ()
                second = Cluster("n2", "127.0.0.1:0", join=[first.address], advertise=None, config=config, keyring=None)
                async with second:
                    await second.register_self([("role", "helper")])
                    event = await anext(aiter(view))
                    assert isinstance(event, MemberJoined | TagsChanged)
                    assert [member.name for member in first.members()] == ["n1", "n2"]
                    member = second.member("n1")
                    assert member is not None
                    assert member.services == {"rpc": "127.0.0.1:1"}
                    await second.leave()
                async for event in view:
                    if isinstance(event, MemberLeft):
                        break
                    assert isinstance(event, TagsChanged | MemberJoined)
            assert [member.name for member in first.members()] == ["n1"]
            assert [member.name for member in first.members(all=True)] == ["n1", "n2"]

    assert MemberSuspected
    assert MemberFailed
    assert MemberRecovered
    world.run(main())
