"""Any two legal configs work with each other: the limits that both ends announced hold in every path that sends."""

# ruff: noqa: PT017 - whether there is an error at all depends on what is drawn

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import sim
from rpcnet import NotFound, ResourceExhausted, RpcConfig, RpcError, RpcServer, Unimplemented, current_call
from rpcnet.testing import connected
from tests.rpcnet.conftest import idle

WINDOWS = st.sampled_from([1024, 1025, 1500, 4096, 10_000, 65_536, 262_144, 1 << 20])


@st.composite
def configs(draw: Any) -> RpcConfig:
    streams = draw(st.sampled_from([1, 2, 3, 100]))
    window = draw(WINDOWS)
    whole = draw(st.sampled_from([None, streams * window, streams * window + 1]))
    return RpcConfig(
        max_message_bytes=draw(st.sampled_from([1, 63, 1000, 30_000, 1 << 20, 1 << 22])),
        max_streams=streams,
        max_metadata_bytes=draw(st.sampled_from([0, 10, 1000, 65_536, 1 << 18])),
        stream_window_bytes=window,
        connection_window_bytes=whole,
        part_bytes=draw(WINDOWS),
    )


def fits(size: int, *ends: RpcConfig) -> bool:
    return size <= min(end.max_message_bytes for end in ends)


async def echo(payload: bytes) -> bytes:
    call = current_call()
    size = int(call.metadata.get("metadata", "0"))
    if size:
        call.send_metadata({"m": "x" * size})
        call.trailers["t"] = b"x" * size
    return payload


async def refuse(payload: bytes) -> bytes:
    raise NotFound("x" * len(payload), details=payload, trailers={"t": payload})


async def repeat(payload: bytes) -> AsyncIterator[bytes]:
    for _ in range(3):
        yield payload


async def join(items: AsyncIterator[bytes]) -> bytes:
    return b"%d" % sum([len(item) async for item in items])


async def chat(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for item in items:
        yield item


@settings(max_examples=60)
@example(RpcConfig(part_bytes=1024), RpcConfig(part_bytes=1 << 18), 200_000)
@example(RpcConfig(part_bytes=1 << 18, stream_window_bytes=1 << 20), RpcConfig(part_bytes=1024), 200_000)
@example(RpcConfig(max_metadata_bytes=0, part_bytes=1024), RpcConfig(max_metadata_bytes=1 << 18), 1000)
@given(configs(), configs(), st.sampled_from([0, 1, 63, 64, 960, 961, 1024, 1025, 5000, 65_536, 65_537, 200_000]))
def test_any_two_configs_work_with_each_other(there: RpcConfig, here: RpcConfig, size: int) -> None:
    server = RpcServer("127.0.0.1:0", config=there)
    server.register("echo", echo)
    server.register("refuse", refuse)
    server.register_streaming("repeat", repeat, shape="server_streaming")
    server.register_streaming("join", join, shape="client_streaming")
    server.register_streaming("chat", chat)
    payload = bytes(size)

    async def main() -> None:
        async with connected(server, config=here) as client:
            connection = client._dialer.connection

            async def expect(calling: Any, answer: Any) -> None:
                """The answer where both ends take it; else the error that says why not. Never a broken connection."""
                try:
                    got = await calling
                except ResourceExhausted as error:
                    assert not fits(size, there, here) and "max_message_bytes" in str(error)
                else:
                    assert got == answer
                assert client._dialer.connection is connection

            async def collected(stream: Any) -> list[bytes]:
                return [item async for item in stream]

            await expect(client.call("echo", payload), payload)
            await expect(collected(client.call_server_streaming("repeat", payload)), [payload] * 3)
            if fits(len(str(size * 2)), there, here):
                await expect(client.call_client_streaming("join", [payload] * 2), b"%d" % (size * 2))
            await expect(collected(client.call_streaming("chat", [payload, b"", payload])), [payload, b"", payload])
            try:
                await client.call("refuse", payload)
            except NotFound as error:
                assert error.details in (payload, b"")
                assert error.details == payload or "left out" in error.message or len(error.message) > 900
            except ResourceExhausted:
                assert not fits(size, there, here)
            for metadata in (0, 5, 700, 60_000, 200_000):
                try:
                    options = {"metadata": {"metadata": str(metadata)}} if here.max_metadata_bytes > 20 else {}
                    await client.call("echo", b"", **options)
                    await client.call("echo", b"", metadata={"k": "x" * metadata})
                except RpcError as error:
                    assert error.code.name in ("RESOURCE_EXHAUSTED", "INTERNAL"), error
                    assert "max_metadata_bytes" in str(error) or "max_frame_bytes" in str(error)
            assert client._dialer.connection is connection
            await idle(server, client)
            assert connection is not None
            assert connection.receive_credit.held == 0

    sim.run(main(), seed=1)


def test_a_refusal_fits_a_small_frame_of_the_caller(world, pair) -> None:
    """The name of an unknown method is told with escapes, which are four times as long as the name."""

    async def wait(payload: bytes) -> bytes:
        await asyncio.sleep(0.05)
        return payload

    async def main() -> None:
        small = RpcConfig(part_bytes=1024, max_metadata_bytes=0)
        async with pair(lambda server: server.register("wait", wait), client_config=small) as (_, client):
            bystander = asyncio.ensure_future(client.call("wait", b"x"))
            with pytest.raises(Unimplemented, match="no method"):
                await client.call("\x00" * 1024)
            assert await bystander == b"x"

    world.run(main())
