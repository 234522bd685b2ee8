"""docs/protocol.md is what a server and a client do: its conversation is played, its vectors are refused or taken.

What needs no connection, the vectors and the tables, is tested in wire/test_golden.py.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rpcnet import RpcClient, RpcConfig, RpcServer, StreamError, current_call
from rpcnet.wire.frame import END, FLAG_END, FLAG_MORE, GOAWAY, ITEM, METADATA, PING, PONG, PREFACE
from rpcnet.wire.parser import Parser
from tests.rpcnet.attacks.raw import GREETING, Raw, Target, frame

PAGE = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


def block(name: str) -> list[str]:
    return PAGE.split(f"```{name}\n")[1].split("```")[0].strip().splitlines()


CONVERSATION = [(line[0], *line[2:].rsplit(": ", 1)) for line in block("conversation")]
BY_A_SERVER = [tuple(line.rsplit(": ", 2)) for line in block("refused-by-a-server")]
BY_A_SMALL_SERVER = [tuple(line.rsplit(": ", 2)) for line in block("refused-by-a-small-server")]
TAKEN = [tuple(line.rsplit(": ", 2)) for line in block("taken-by-a-server")]
BY_A_CLIENT = [tuple(line.rsplit(": ", 2)) for line in block("refused-by-a-client")]

PINGED = frame(PING, bytes(range(8)))


async def echo(payload: bytes) -> bytes:
    return payload


async def read_on(stream: AsyncIterator[bytes]) -> None:
    async for _ in stream:
        pass


async def chat(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    call = current_call()
    call.send_metadata({"model": "m1"})
    count = 0
    async for item in items:
        count += 1
        yield item
    call.trailers["items"] = str(count)


def conversation_server(address: str) -> RpcServer:
    server = RpcServer(address)
    server.register("echo", echo)
    server.register_streaming("chat", chat)
    return server


def test_the_conversation_on_the_page_goes_so(world) -> None:
    """The client's lines are sent, the server's come back byte for byte."""

    async def main() -> None:
        server = conversation_server("127.0.0.1:0")
        stopping: asyncio.Task[None] | None = None
        async with server, asyncio.timeout(30):
            host, _, port = server.address.rpartition(":")
            reader, writing = await asyncio.open_connection(host, int(port))
            for who, what, digits in CONVERSATION:
                data = bytes.fromhex(digits)
                if who == ">":
                    writing.write(data)
                    continue
                if "stops" in what:
                    stopping = asyncio.create_task(server.stop())
                assert (what, (await reader.readexactly(len(data))).hex(" ")) == (what, data.hex(" "))
            assert await reader.read() == b""
            writing.close()
            assert stopping is not None
            await stopping
            await writing.wait_closed()

    world.run(main())


def test_the_conversation_names_both_ends_and_every_frame() -> None:
    kinds = {bytes.fromhex(digits)[4] for _, _, digits in CONVERSATION[2:]} | {1}
    assert kinds - {200} == set(range(1, 11))
    assert {who for who, _, _ in CONVERSATION} == {"<", ">"}


@pytest.mark.parametrize(("name", "reason", "digits"), BY_A_SERVER, ids=[name for name, _, _ in BY_A_SERVER])
def test_a_server_refuses_what_the_page_says_it_refuses(name: str, reason: str, digits: str) -> None:
    import sim

    async def main() -> None:
        async with Target.open(RpcConfig()) as target:
            data = bytes.fromhex(digits)
            raw = await target.attacker(data if data.startswith(PREFACE[:1]) else GREETING + data)
            _, status, text = await raw.farewell()
            assert (status, reason in text, text) == (13, True, text)
            assert len([kind for kind, _, _, _ in raw.frames if kind == GOAWAY]) == 1

    sim.run(main(), seed=1)


@pytest.mark.parametrize(("name", "reason", "digits"), BY_A_SMALL_SERVER, ids=[n for n, _, _ in BY_A_SMALL_SERVER])
def test_a_server_counts_credit_as_the_page_does(name: str, reason: str, digits: str) -> None:
    """One frame fewer is no mistake."""
    import sim

    async def deaf(items: AsyncIterator[bytes]) -> bytes:
        await asyncio.Event().wait()
        return b""

    async def main() -> None:
        server = RpcServer("127.0.0.1:0", config=RpcConfig(stream_window_bytes=1024))
        server.register_streaming("deaf", deaf, shape="client_streaming")
        data = bytes.fromhex(digits)
        async with server:
            raw = await Raw.connect(server.address, GREETING + data)
            _, status, text = await raw.farewell()
            assert (status, reason in text, text) == (13, True, text)
            await raw.close()
            raw = await Raw.connect(server.address, GREETING + data[: -len(frame(ITEM, b"", 1))] + PINGED)
            assert (await raw.read_until(PONG))[3] == bytes(range(8))
            assert all(kind not in {GOAWAY, END} for kind, _, _, _ in raw.frames)
            await raw.close()

    sim.run(main(), seed=1)


@pytest.mark.parametrize(("name", "digits", "answers"), TAKEN, ids=[name for name, _, _ in TAKEN])
def test_a_server_answers_what_the_page_says_it_takes(name: str, digits: str, answers: str) -> None:
    import sim

    async def main() -> None:
        async with Target.open(RpcConfig()) as target:
            raw = await target.attacker(GREETING + bytes.fromhex(digits))
            expected = Parser(1 << 20).receive(PREFACE + bytes.fromhex(answers))
            async with asyncio.timeout(30):
                while len(raw.frames) < 1 + len(expected):
                    assert await raw.read_some(), raw.frames
            raw.send(PINGED)
            while [kind for kind, _, _, _ in raw.frames].count(PONG) < 2:
                assert await raw.read_some(), raw.frames
            assert sorted(raw.frames[1:]) == sorted([*expected, (PONG, 0, 0, bytes(range(8)))])

    sim.run(main(), seed=1)


@pytest.mark.parametrize(("name", "reason", "digits"), BY_A_CLIENT, ids=[name for name, _, _ in BY_A_CLIENT])
def test_a_client_refuses_what_the_page_says_it_refuses(name: str, reason: str, digits: str) -> None:
    import sim

    class Lying(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport = transport
            transport.write(GREETING)

        def data_received(self, data):
            if b"chat" in data:
                self.transport.write(bytes.fromhex(digits))

    async def main() -> None:
        listener = await asyncio.get_running_loop().create_server(Lying, "127.0.0.1", 0)
        address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with RpcClient.connect(address) as client:
            async with client.call_streaming("chat") as stream:
                with pytest.raises(StreamError.Transport) as caught:
                    await asyncio.wait_for(read_on(stream), 30)
                assert reason in str(caught.value)
        listener.close()
        await listener.wait_closed()

    sim.run(main(), seed=1)


def test_a_greeting_with_our_defaults_is_the_one_on_the_page(world) -> None:
    """But for the name of the connection, which a client chooses."""

    async def main() -> None:
        async with RpcServer("127.0.0.1:0") as server:
            raw = await Raw.connect(server.address)
            while not raw.frames:
                assert await raw.read_some()
            ours = raw.frames[0][3]
            vector = bytes.fromhex(dict(line.rsplit(": ", 1) for line in block("vectors"))["preface and HELLO"])
            assert vector[len(PREFACE) + 10 :].replace(b"\xacc0ffee000001", b"\xa0") == ours
            await raw.close()

    world.run(main())


def test_a_message_in_parts_says_its_layout_once(world) -> None:
    """PACKED on a frame that goes on with a message is a broken rule, in both directions."""

    async def main() -> None:
        async with Target.open() as target:
            raw = await target.attacker()
            raw.send(frame(2, b"\x03" + (4).to_bytes(2, "big") + bytes(12) + b"chat", 1))
            raw.send(frame(ITEM, b"\x92", 1, FLAG_MORE | 8) + frame(ITEM, b"\x01\x02", 1, 8 | FLAG_END))
            _, status, text = await raw.farewell()
            assert (status, "ITEM with flags 9 is not allowed in state PARTIAL" in text) == (13, True)
            assert all(kind != METADATA for kind, _, _, _ in raw.frames)

    world.run(main())
