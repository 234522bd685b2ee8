"""A client that was written from docs/protocol.md alone talks to a real server.

If one of these tests fails, the page and the server disagree, or the page leaves something out.
"""

import ast
import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import msgpack
import pytest

from rpcnet import NotFound, RpcConfig, RpcServer, current_call
from tests.rpcnet.attacks.raw import eventually
from tests.rpcnet.independent import client as independent
from tests.rpcnet.independent.client import (
    BIDIRECTIONAL,
    CLIENT_STREAMING,
    CREDIT,
    SERVER_STREAMING,
    UNARY,
    Client,
    Hello,
    RpcError,
    connect,
)

PAGE = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text()
SMALL = RpcConfig(max_streams=5, stream_window_bytes=8192, part_bytes=2048)
OURS = Hello()
HELLOS = {
    "as large as ours": OURS,
    "narrow": Hello(stream_window_bytes=4096, connection_window_bytes=65_536, max_frame_bytes=1024),
    "tiny": Hello(stream_window_bytes=1024, connection_window_bytes=10_240, max_metadata_bytes=500),
}
each_hello = pytest.mark.parametrize("hello", HELLOS.values(), ids=HELLOS)
MANY = 1000


class Served:
    """The methods of the server, and what they have seen."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.running = self.most = 0
        self.gate = asyncio.Event()

    async def echo(self, payload: bytes) -> bytes:
        return payload

    async def hear(self, items: AsyncIterator[bytes]) -> bytes:
        sizes = [len(item) async for item in items]
        return b"%d %d" % (len(sizes), sum(sizes))

    async def count(self, payload: bytes) -> AsyncIterator[bytes]:
        number, size = map(int, payload.split())
        for n in range(number):
            yield b"%d:" % n + b"x" * size

    async def chat(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        current_call().send_metadata({"model": "m1"})
        number = 0
        async for item in items:
            number += 1
            yield item
        current_call().trailers["items"] = str(number)

    async def held(self, payload: bytes) -> bytes:
        """Until the test opens the gate."""
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.seen["held was cancelled"] += 1
            raise
        finally:
            self.running -= 1
        return payload

    async def endless(self, payload: bytes) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 100
        finally:
            self.seen["endless has ended"] += 1

    async def deaf(self, items: AsyncIterator[bytes]) -> bytes:
        await self.gate.wait()
        return b""

    async def missing(self, payload: bytes) -> bytes:
        raise NotFound("no such worker", details=b"\x01\x02", trailers={"where": "here", "raw": b"\xff"})

    async def facts(self, payload: bytes) -> bytes:
        call = current_call()
        call.send_metadata({"seen": "1"})
        call.trailers["k"] = b"v"
        return msgpack.packb([dict(call.metadata), call.time_left()])

    async def double(self, number: int) -> int:
        return 2 * number

    async def add(self, a: int, b: int = 1) -> int:
        return a + b

    async def total(self, numbers: AsyncIterator[int], start: int = 0) -> int:
        return start + sum([number async for number in numbers])

    def register(self, server: RpcServer) -> None:
        for unary in (self.echo, self.held, self.missing, self.facts):
            server.register(unary.__name__, unary)
        for shape, handlers in {
            "client_streaming": (self.hear, self.deaf),
            "server_streaming": (self.count, self.endless),
            "bidirectional": (self.chat,),
        }.items():
            for handler in handlers:
                server.register_streaming(handler.__name__, handler, shape=shape)
        for typed in (self.double, self.add, self.total):
            server.register_typed(typed.__name__, typed)


def play(
    body: Callable[[Client, Served, RpcServer], Awaitable[None]], hello: Hello = OURS, part_bytes: int = 65_536
) -> None:
    """Run a test with a server and a client; at its end nobody may have broken a rule."""

    async def main() -> None:
        server = RpcServer("127.0.0.1:0", config=SMALL)
        served = Served()
        served.register(server)
        async with server, asyncio.timeout(60):
            host, _, port = server.address.rpartition(":")
            client = await connect(host, int(port), hello, part_bytes)
            try:
                await body(client, served, server)
                assert client.reason == ("the server is stopping" if client.goaway else "")
            finally:
                await client.close()

    asyncio.run(main())


async def failure(action: Awaitable[object]) -> RpcError:
    with pytest.raises(RpcError) as caught:
        await action
    return caught.value


async def settled(client: Client) -> None:
    """The server has answered every CANCEL with END."""
    await client.until(lambda: not client.calls)


def test_the_client_imports_nothing_of_rpcnet() -> None:
    """The standard library and msgpack are all that it has; nor does it look into asyncio's own attributes."""
    tree = ast.parse(Path(independent.__file__).read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None
            names.add(node.module.partition(".")[0])
        elif isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_") or node.attr.startswith("__"), node.attr
        elif isinstance(node, ast.Name):
            assert node.id not in {"__import__", "importlib", "exec", "eval"}
    assert "asyncio" in names and "rpcnet" not in names
    assert names - sys.stdlib_module_names == {"msgpack"}


@each_hello
def test_unary_calls_of_every_size_come_back(hello: Hello) -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        for size in (0, 1, 100_000, 3_000_000):
            payload = (bytes(range(251)) * (size // 251 + 1))[:size]
            assert await client.call("echo", payload) == payload
        answers = await asyncio.gather(*[client.call("echo", bytes([n]) * 100_000) for n in range(5)])
        assert [(answer[:1], len(answer)) for answer in answers] == [(bytes([n]), 100_000) for n in range(5)]
        assert (await failure(client.call("echo", bytes(4_194_305)))).status == 8

    play(body, hello)


@each_hello
def test_a_thousand_items_go_up_and_are_counted(hello: Hello) -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        for items in ([b"x" * (n % 300) for n in range(MANY)], [], [b""] * MANY):
            async with await client.start("hear", CLIENT_STREAMING, items) as call:
                assert await call.answer() == b"%d %d" % (len(items), sum(map(len, items)))
        async with await client.start("hear", CLIENT_STREAMING) as call:
            await call.send(b"abc")
            await call.send(b"de", last=True)
            assert await call.answer() == b"2 5"

    play(body, hello, part_bytes=100)


@each_hello
def test_a_thousand_items_come_down_in_order(hello: Hello) -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        for number, size in ((MANY, 200), (2, 300_000), (0, 0)):
            async with await client.start("count", SERVER_STREAMING, b"%d %d" % (number, size)) as call:
                assert [item async for item in call] == [b"%d:" % n + b"x" * size for n in range(number)]

    play(body, hello)


@each_hello
def test_a_conversation_goes_both_ways_at_once(hello: Hello) -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        sent = [b"%d" % n * (n % 50) for n in range(MANY)] + [b"z" * 200_000]
        async with await client.start("chat", BIDIRECTIONAL, sent) as call:
            assert [item async for item in call] == sent
            assert (call.metadata, call.trailers) == ({"model": "m1"}, {"items": str(MANY + 1)})
        async with await client.start("chat", BIDIRECTIONAL) as call:
            for n in range(100):
                await call.send(b"%d" % n * 100)
                assert await call.receive() == b"%d" % n * 100
            call.end()
            assert await call.receive() is None

    play(body, hello)


@each_hello
def test_unread_streams_hold_up_no_other_call(hello: Hello) -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        items = [b"x" * 1000] * 100
        calls = [await client.start("endless", SERVER_STREAMING, b"") for _ in range(2)]
        calls.append(await client.start("deaf", CLIENT_STREAMING, items))
        calls.append(await client.start("chat", BIDIRECTIONAL, items))
        for size in (10, 100_000):
            assert len(await client.call("echo", bytes(size))) == size
        for call in calls:
            call.cancel()
        await settled(client)

    play(body, hello)


def test_a_deadline_ends_the_call_and_its_handler() -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        assert (await failure(client.call("held", b"", timeout=0.05))).status == 4
        await settled(client)
        assert (served.seen["held was cancelled"], served.running) == (1, 0)

    play(body)


@each_hello
def test_the_handler_sees_that_its_caller_let_go(hello: Hello) -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        async with await client.start("endless", SERVER_STREAMING, b"") as call:
            for _ in range(100):
                assert await call.receive() == b"x" * 100
            call.cancel()
            assert (await failure(call.receive())).status == 1
        waiting = asyncio.create_task(client.call("held", b""))
        await eventually(lambda: served.running == 1)
        waiting.cancel()
        await settled(client)
        assert served.seen == {"endless has ended": 1, "held was cancelled": 1}

    play(body, hello)


@each_hello
def test_an_error_comes_with_details_and_trailers(hello: Hello) -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        error = await failure(client.call("missing", b""))
        assert (error.status, error.message, error.details) == (5, "no such worker", b"\x01\x02")
        assert error.trailers == {"where": "here", "raw": b"\xff"}

    play(body, hello)


@each_hello
def test_metadata_goes_up_and_comes_back(hello: Hello) -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        sent = {"trace": "1", "raw": b"\x00\xff", "": ""}
        async with await client.start("facts", UNARY, b"", metadata=sent, timeout=1000) as call:
            metadata, left = msgpack.unpackb(await call.answer())
            assert metadata == sent and 0 < left <= 1000
            assert (call.metadata, call.trailers) == ({"seen": "1"}, {"k": b"v"})
        assert msgpack.unpackb(await client.call("facts", b"")) == [{}, None]

    play(body, hello)


def test_an_unknown_method_or_shape_is_refused() -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        assert (await failure(client.call("sing", bytes(20_000)))).status == 12
        assert (await failure(client.call("count", b"1 1"))).status == 12
        async with await client.start("echo", BIDIRECTIONAL, [b"x"] * MANY) as call:
            assert (await failure(call.receive())).status == 12
        assert await client.call("echo", b"still") == b"still"

    play(body)


@each_hello
def test_calls_beyond_max_streams_wait_for_a_place(hello: Hello) -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        calls = [asyncio.create_task(client.call("held", b"%d" % n)) for n in range(8)]
        await eventually(lambda: served.running == 5)
        await client.ping(b"all seen")
        assert served.running == len(client.calls) == 5
        served.gate.set()
        assert await asyncio.gather(*calls) == [b"%d" % n for n in range(8)]
        assert served.most == 5

    play(body, hello)


def test_a_typed_payload_is_messagepack_with_or_without_its_flag() -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        for packed in (True, False):
            assert await client.call("double", msgpack.packb(21), packed=packed) == msgpack.packb(42)
        assert (await failure(client.call("double", msgpack.packb("text"), packed=True))).status == 3
        assert (await failure(client.call("double", b"\x91" * 100 + b"\x01", packed=True))).status == 3

    play(body)


def test_arguments_go_in_a_map_beside_a_stream_before_it() -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        for arguments, total in (({"a": 1}, 2), ({"b": 5, "a": 1, "new": [1]}, 6)):
            assert await client.call("add", msgpack.packb(arguments), packed=True) == msgpack.packb(total)
        assert (await failure(client.call("add", msgpack.packb({"b": 1})))).status == 3
        for arguments, total in (({"start": 10}, 13), ({}, 3), ({"start": 1, "new": "x" * 9000}, 4)):
            async with await client.start("total", CLIENT_STREAMING | 4) as call:
                await call.send(msgpack.packb(arguments), packed=True)
                await call.send(msgpack.packb(1), packed=True)
                await call.send(msgpack.packb(2), packed=True, last=True)
                assert await call.answer() == msgpack.packb(total)
        async with await client.start("total", CLIENT_STREAMING, [msgpack.packb(1)]) as call:
            assert await call.answer() == msgpack.packb(1)
        async with await client.start("total", CLIENT_STREAMING | 4, []) as call:
            error = await failure(call.answer())
            assert (error.status, "came without the arguments that its OPEN announced" in error.message) == (3, True)

    play(body)


def test_a_ping_is_answered_beside_calls() -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        waiting = asyncio.create_task(client.call("held", b"x"))
        for n in range(3):
            await client.ping(n.to_bytes(8))
        served.gate.set()
        assert await waiting == b"x"

    play(body)


def test_a_call_goes_on_while_the_server_stops() -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        running = asyncio.create_task(client.call("held", b"answer"))
        await eventually(lambda: served.running == 1)
        stopping = asyncio.create_task(server.stop(grace=60))
        await client.until(lambda: client.goaway is not None)
        assert client.goaway == (1, 0, "the server is stopping") and not client.closed
        error = await failure(client.call("echo", b""))
        assert (error.status, error.unseen) == (14, True)
        served.gate.set()
        assert await running == b"answer"
        await stopping

    play(body)


def test_a_call_is_cut_where_the_grace_is_over() -> None:
    async def body(client: Client, served: Served, server: RpcServer) -> None:
        running = asyncio.create_task(client.call("held", b""))
        await eventually(lambda: served.running == 1)
        await server.stop(grace=0)
        error = await failure(running)
        assert (error.status, error.unseen) == (14, False)

    play(body)


def conversation() -> Iterator[tuple[str, bytes]]:
    for line in PAGE.split("```conversation\n")[1].split("```")[0].splitlines():
        yield line[0], bytes.fromhex(line.rpartition(": ")[2])


class Tap:
    """Passes a connection on to a server, and keeps every byte of both directions."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.said = {">": b"", "<": b""}
        self.both: asyncio.Future[list[None]] | None = None

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.both = asyncio.gather(self.pass_on(">", reader, server_writer), self.pass_on("<", server_reader, writer))
        await self.both
        for end in (writer, server_writer):
            end.close()
            await end.wait_closed()

    async def pass_on(self, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            self.said[way] += data
            writer.write(data)
        writer.write_eof()


def test_client_and_server_say_the_conversation_of_the_page() -> None:
    """Both ends, byte for byte: the client makes the calls of the page, and a tap between them hears what is said."""

    async def make_calls(client: Client, server: RpcServer) -> None:
        assert await client.call("echo", b"hi") == b"hi"
        call = await client.start("chat", BIDIRECTIONAL, timeout=60, metadata={"trace": "1"})
        await client.until(lambda: bool(call.metadata))
        await call.send(b"\x92\x01\x02", packed=True)
        assert await call.receive() == b"\x92\x01\x02"
        client.write(CREDIT, 0, 2, (67).to_bytes(4))  # earlier than this client would
        client.write(CREDIT, 0, 0, (67 + 66).to_bytes(4))
        await call.send(b"abcdef")
        assert await call.receive() == b"abcdef"
        client.write(200, 7, 9, b"?")
        call.end()
        assert await call.receive() is None
        client.write(CREDIT, 0, 2, (70).to_bytes(4))
        assert (await failure(client.call("sing", b""))).status == 12
        call = await client.start("chat", BIDIRECTIONAL)
        await client.until(lambda: bool(call.metadata))
        call.cancel()
        await settled(client)
        await client.ping(bytes(range(8)))
        await server.stop()
        await client.task

    async def main() -> None:
        server, served = RpcServer("127.0.0.1:0"), Served()
        server.register("echo", served.echo)
        server.register_streaming("chat", served.chat)
        async with server, asyncio.timeout(60):
            tap = Tap(int(server.address.rpartition(":")[2]))
            listener = await asyncio.start_server(tap, "127.0.0.1", 0)
            async with listener:
                port = listener.sockets[0].getsockname()[1]
                client = await connect(
                    "127.0.0.1", port, Hello(connection="c0ffee000001", max_streams=100), part_bytes=3
                )
                await make_calls(client, server)
                assert tap.both is not None
                await tap.both
        for way in "><":
            expected = b"".join(data for who, data in conversation() if who == way)
            assert tap.said[way].hex(" ") == expected.hex(" ")

    asyncio.run(main())
