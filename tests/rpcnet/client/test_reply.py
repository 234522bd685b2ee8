"""What comes beside an answer: metadata before it, trailers after it, at whatever time they are looked at."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rpcnet import BidirectionalStream, NotFound, Peer, RpcClient, RpcServer, StreamError, Unavailable, current_call


def register(server: RpcServer) -> None:
    def tell(payload: bytes) -> None:
        call = current_call()
        call.send_metadata({"region": "north"})
        call.trailers["rows"] = "2"
        if payload == b"fail":
            raise NotFound("as asked")

    async def unary(payload: bytes) -> bytes:
        tell(payload)
        return payload

    async def plain(payload: bytes) -> bytes:
        return payload

    async def upload(items: AsyncIterator[bytes]) -> bytes:
        whole = b"".join([item async for item in items])
        tell(whole)
        return whole

    async def watch(payload: bytes) -> AsyncIterator[bytes]:
        if payload == b"silent":
            yield b"first"
            return
        if payload == b"refuse":
            raise NotFound("as asked")
        tell(b"")
        yield payload
        tell_failure = payload == b"fail"
        if tell_failure:
            raise NotFound("as asked")

    server.register("unary", unary)
    server.register("plain", plain)
    server.register_streaming("upload", upload, shape="client_streaming")
    server.register_streaming("watch", watch, shape="server_streaming")

    async def length(text: str) -> int:
        tell(b"")
        return len(text)

    server.register_typed("length", length)


async def gives(*items: bytes) -> AsyncIterator[bytes]:
    for item in items:
        yield item


def test_one_answer_comes_with_its_metadata_and_trailers(world, pair) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            reply = await client.call_with_metadata("unary", b"x")
            assert (reply.value, reply.metadata, reply.trailers) == (b"x", {"region": "north"}, {"rows": "2"})
            typed = await client.call_with_metadata("length", "four", response=int)
            assert (typed.value, typed.metadata, typed.trailers) == (4, {"region": "north"}, {"rows": "2"})
            bare = await client.call_with_metadata("plain", b"x")
            assert (bare.value, bare.metadata, bare.trailers) == (b"x", {}, {})

    world.run(main())


def test_an_upload_has_metadata_too(world, pair) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            both = BidirectionalStream[bytes]()
            await both.sender.send(b"ab")
            both.sender.close()
            for items in ({"items": [b"a", b"b"]}, {"payload": gives(b"a", b"b")}, {"payload": both}):
                reply = await client.call_with_metadata("upload", **items)
                assert (reply.value, reply.metadata, reply.trailers) == (b"ab", {"region": "north"}, {"rows": "2"})
            with pytest.raises(TypeError, match="a payload, for a unary method, or items"):
                await client.call_with_metadata("upload", b"x", items=[b"a"])

    world.run(main())


@pytest.mark.parametrize("method", ["unary", "upload", "watch"])
def test_an_error_has_the_metadata_and_the_trailers(world, pair, method: str) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            with pytest.raises(NotFound) as raised:
                await fail(client, method)
            assert raised.value.metadata == {"region": "north"}
            assert raised.value.trailers == {"rows": "2"}

    world.run(main())


async def fail(client: RpcClient, method: str) -> None:
    if method == "unary":
        await client.call(method, b"fail")
    elif method == "upload":
        await client.call_with_metadata(method, items=[b"fail"])
    else:
        async for _ in client.call_server_streaming(method, b"fail"):
            pass


def test_metadata_of_a_stream_can_be_awaited(world, pair) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            async with client.call_server_streaming("watch", b"x") as stream:
                assert stream.metadata == {}
                assert await stream.metadata == {"region": "north"}
                assert stream.metadata == {"region": "north"}
                assert [item async for item in stream] == [b"x"]
                assert await stream.metadata == {"region": "north"}
            async with client.call_server_streaming("watch", b"silent") as stream:
                assert await stream.metadata == {}
                assert [item async for item in stream] == [b"first"]

    world.run(main())


def test_a_call_that_fails_first_says_so_to_who_awaits_metadata(world, pair) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            async with client.call_server_streaming("watch", b"refuse") as stream:
                waiting = [asyncio.ensure_future(_metadata(stream)) for _ in range(2)]
                assert [type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == [
                    type(await _error(stream))
                ] * 2
                assert isinstance(waiting[0].exception(), NotFound)

    world.run(main())


async def _metadata(stream: Any) -> Any:
    return await stream.metadata


async def _error(stream: Any) -> StreamError:
    with pytest.raises(StreamError) as raised:
        await stream.receive()
    return raised.value


def test_who_awaits_metadata_may_be_cancelled(world, pair) -> None:
    async def main() -> None:
        async with pair(register) as (_, client):
            async with client.call_server_streaming("watch", b"x") as stream:
                waiting = asyncio.ensure_future(_metadata(stream))
                await asyncio.sleep(0)
                waiting.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                assert await stream.metadata == {"region": "north"}
                assert [item async for item in stream] == [b"x"]

    world.run(main())


def test_closing_a_stream_as_an_iterator_lets_go(world, pair, eventually) -> None:
    async def main() -> None:
        async with pair(register) as (server, client):
            async with contextlib.aclosing(client.call_server_streaming("watch", b"x")) as stream:
                assert await stream.receive() == b"x"
            await stream.aclose()
            await eventually(lambda: server.stats.running_handlers == 0)

    world.run(main())


def test_a_peer_is_one_type_at_both_ends(world, pair) -> None:
    seen: list[Peer] = []

    async def main() -> None:
        def look(server: RpcServer) -> None:
            async def look(payload: bytes) -> AsyncIterator[bytes]:
                seen.append(current_call().peer)
                yield b""

            server.register_streaming("look", look, shape="server_streaming")

        async with pair(look) as (server, client):
            async with client.call_server_streaming("look") as stream:
                await stream.receive()
                seen.append(stream.peer)
            assert [type(each) for each in seen] == [Peer, Peer]
            assert [each.certificate for each in seen] == [None, None]
            assert str(seen[1]) == seen[1].address
            if world.name != "memory":
                assert seen[1].address == server.address

    world.run(main())


def test_a_stream_that_reached_nobody_has_an_empty_peer(world) -> None:
    async def main() -> None:
        async with RpcServer("127.0.0.1:0") as server:
            client = await RpcClient.connect(server.address)
        async with client, client.call_server_streaming("watch", timeout=1.0) as stream:
            with pytest.raises(Unavailable):
                await stream.metadata
            assert stream.peer == Peer("")

    world.run(main())
