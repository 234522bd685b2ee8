"""Servers that break the rules, or are none: their callers are told, and never take a cut for an end."""

import asyncio

import pytest

from rpcnet import RpcClient, RpcConfig, StreamError, Unavailable
from rpcnet.wire import writer
from rpcnet.wire.frame import END, FLAG_END, FLAG_MORE, OPEN, Ending
from tests.rpcnet.attacks.raw import GREETING, frame


def server_of(answer: bytes) -> type[asyncio.Protocol]:
    """A server that greets, and answers the first OPEN with these bytes; then it hangs up."""

    class Scripted(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            self.opened = False
            transport.write(GREETING)

        def data_received(self, data):
            if b"chat" in data and not self.opened:
                self.opened = True
                self.transport.write(answer)
                self.transport.close()

    return Scripted


RECORDED = (
    frame(10, b"\x81\xa1a\xa1b", 1)
    + writer.item(1, 0, b"first")
    + writer.item(1, FLAG_MORE, b"sec")
    + writer.credit(1, 100)
    + writer.item(1, 0, b"ond")
    + writer.item(1, 0, b"")
    + writer.end(1, Ending(0, "", b"", {"k": "v"}))
)


async def read_from(answer: bytes) -> tuple[list[bytes], str]:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(server_of(answer), "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    items: list[bytes] = []
    how = "ended"
    async with RpcClient.connect(f"127.0.0.1:{port}") as client:
        try:
            async for item in client.call_streaming("chat"):
                items.append(item)  # noqa: PERF401  what came before an error counts
        except StreamError.Transport:
            how = "cut"
        except StreamError as error:
            how = type(error).__name__
    listener.close()
    await listener.wait_closed()
    return items, how


def test_a_cut_is_never_an_end(world) -> None:
    """At whatever byte the connection is cut, the reader is told."""
    whole = [b"first", b"second", b""]

    async def main() -> None:
        for offset in range(len(RECORDED)):
            items, how = await read_from(RECORDED[:offset])
            assert how == "cut", offset
            assert items == whole[: len(items)]
        assert await read_from(RECORDED) == (whole, "ended")

    world.run(main())


@pytest.mark.parametrize(
    "lie",
    [
        writer.item(1, FLAG_MORE, b"half") + writer.end(1),
        writer.item(1, 0, b"x") + writer.end(1)[:4] + b"\xff",
        writer.item(3, 0, b"x"),
        writer.end(1) + writer.item(1, 0, b"late"),
        frame(OPEN, b"", 1),
        frame(END, b"\xc1", 1),
        frame(10, b"\x81\xa1a\x01", 1),
    ],
)
def test_a_server_that_breaks_the_rules_is_a_transport_error_or_too_late(world, lie) -> None:
    async def main() -> None:
        items, how = await read_from(lie)
        assert how == "cut" or (how, items) == ("ended", [])

    world.run(main())


def test_an_answer_beyond_the_credit_of_its_stream_costs_the_connection(world) -> None:
    async def main() -> None:
        listener = await asyncio.get_running_loop().create_server(
            server_of(writer.item(1, FLAG_END, bytes(4096 - 63))), "127.0.0.1", 0
        )
        address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with RpcClient.connect(address, config=RpcConfig(stream_window_bytes=4096)) as client:
            with pytest.raises(Unavailable, match="4097 bytes with 4096 bytes of credit left"):
                await client.call("chat", timeout=10)
        listener.close()
        await listener.wait_closed()

    world.run(main())


def test_a_server_that_is_not_rpcnet_is_unavailable(world) -> None:
    async def main() -> None:
        class Http(asyncio.Protocol):
            def connection_made(self, transport):
                transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        loop = asyncio.get_running_loop()
        listener = await loop.create_server(Http, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable, match="does not speak rpcnet"):
            await RpcClient.connect(f"127.0.0.1:{port}")
        listener.close()
        await listener.wait_closed()
        with pytest.raises(Unavailable):
            await RpcClient.connect(f"127.0.0.1:{port}")

    world.run(main())
