"""One call runs its handler once: it is made again only where the server said that no handler saw it.

A server is scripted over a raw connection where it must say what a well-behaved one would not.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from msgspec import structs

import sim
from rpcnet import RpcClient, RpcConfig, RpcServer, StreamError, Unavailable
from rpcnet.client.call import MAX_ATTEMPTS, may_be_made_again
from rpcnet.errors import Status
from rpcnet.wire import writer
from rpcnet.wire.frame import END, ITEM, OPEN, Hello, decode_open
from rpcnet.wire.parser import Parser
from tests.rpcnet.scripted import Scripted

HELLO = Hello(
    max_message_bytes=1 << 20,
    max_frame_bytes=1 << 12,
    max_metadata_bytes=1000,
    max_streams=10,
    stream_window_bytes=1 << 14,
    connection_window_bytes=1 << 18,
)


class Refuser(asyncio.Protocol):
    """Greets, says GOAWAY with this status once a call with so many bytes has come, and hangs up when told to."""

    def __init__(self, status: int, wants_bytes: int, log: list[str]) -> None:
        self.status = status
        self.wants = wants_bytes
        self.log = log
        self.parser = Parser(1 << 17)
        self.told = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(writer.greeting(HELLO))

    def data_received(self, data: bytes) -> None:
        for kind, _, _, payload in self.parser.receive(data):
            if kind == OPEN:
                self.log.append("OPEN")
                self.wants -= len(decode_open(payload, 1000)[4])
            elif kind == ITEM:
                self.wants -= len(payload)
        if self.log and self.wants <= 0 and not self.told:
            self.told = True
            self.transport.write(writer.goaway(0, self.status, "not here"))


class Noted:
    """Methods of all shapes that count how often they run, and with what."""

    def __init__(self) -> None:
        self.ran: Counter[bytes] = Counter()

    def register(self, server: RpcServer) -> None:
        server.register("unary", self.unary)
        server.register_streaming("down", self.down, shape="server_streaming")
        server.register_streaming("up", self.up, shape="client_streaming")
        server.register_streaming("both", self.both)

    async def unary(self, payload: bytes) -> bytes:
        self.ran[payload] += 1
        return payload

    async def down(self, payload: bytes) -> AsyncIterator[bytes]:
        self.ran[payload] += 1
        yield payload
        yield b"end"

    async def up(self, items: AsyncIterator[bytes]) -> bytes:
        got = b"|".join([item async for item in items])
        self.ran[got] += 1
        return got

    async def both(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for item in items:
            self.ran[item] += 1
            yield item


async def collected(stream: AsyncIterator[bytes]) -> list[bytes]:
    return [item async for item in stream]


async def written(client: RpcClient, items: list[bytes]) -> list[bytes]:
    """A bidirectional call whose caller writes and reads at once."""
    async with client.call_streaming("both") as stream:

        async def write() -> None:
            for item in items:
                await stream.send(item)
            await stream.end()

        _, got = await asyncio.gather(write(), collected(stream))
        return got


BIG = bytes(range(256)) * 40
SHAPES: dict[str, tuple[Callable[[RpcClient], Awaitable[Any]], Any, int]] = {
    "unary": (lambda c: c.call("unary", b"x"), b"x", 1),
    "unary in parts": (lambda c: c.call("unary", BIG), BIG, 9000),
    "server streaming": (lambda c: collected(c.call_server_streaming("down", b"x")), [b"x", b"end"], 1),
    "server streaming in parts": (lambda c: collected(c.call_server_streaming("down", BIG)), [BIG, b"end"], 5000),
    "client streaming": (lambda c: c.call_client_streaming("up", [b"a", b"", b"b"]), b"a||b", 2),
    "client streaming in parts": (
        lambda c: c.call_client_streaming("up", [b"a", BIG, b"b"]),
        b"a|" + BIG + b"|b",
        4500,
    ),
    "client streaming of nothing": (lambda c: c.call_client_streaming("up", []), b"", 0),
    "bidirectional": (lambda c: collected(c.call_streaming("both", [b"a", b"b"])), [b"a", b"b"], 1),
    "bidirectional, more than a window": (lambda c: written(c, [b"%d" % n + BIG for n in range(5)]), None, 12000),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("status", [Status.OK, Status.RESOURCE_EXHAUSTED])
def test_a_call_refused_unseen_is_made_again(world, shape, status) -> None:
    call, expected, wants = SHAPES[shape]

    async def main() -> None:
        log: list[str] = []
        noted = Noted()
        server = RpcServer("127.0.0.1:0")
        noted.register(server)
        server.begin()
        made: list[asyncio.BaseProtocol] = []

        def protocol() -> asyncio.BaseProtocol:
            """The first connection refuses, the second one serves."""
            made.append(server.accept() if made else Refuser(status, wants, log))
            return made[-1]

        listener = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        async with RpcClient.connect(address, config=RpcConfig(reconnect_backoff=0.01)) as client:
            got = await asyncio.wait_for(call(client), 20)
        await server.stop()
        listener.close()
        await listener.wait_closed()
        assert got == (expected if expected is not None else [b"%d" % n + BIG for n in range(5)])
        assert log == ["OPEN"]
        assert all(times == 1 for times in noted.ran.values()), noted.ran

    world.run(main())


def test_a_call_is_made_again_three_times_at_most(world) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        log: list[str] = []
        refuser = await loop.create_server(lambda: Refuser(0, 1, log), "127.0.0.1", 0)
        address = f"127.0.0.1:{refuser.sockets[0].getsockname()[1]}"
        async with RpcClient.connect(address, config=RpcConfig(reconnect_backoff=0.001)) as client:
            with pytest.raises(Unavailable, match="did not take the call"):
                await client.call("unary", b"x", timeout=20)
            assert log == ["OPEN"] * (1 + 3)
            with pytest.raises(StreamError.Transport):
                await collected(client.call_server_streaming("down", b"x", timeout=20))
        refuser.close()
        await refuser.wait_closed()

    world.run(main())


def test_a_call_is_not_made_again_after_a_broken_rule(world) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        log: list[str] = []
        refuser = await loop.create_server(lambda: Refuser(Status.INTERNAL, 1, log), "127.0.0.1", 0)
        address = f"127.0.0.1:{refuser.sockets[0].getsockname()[1]}"
        async with RpcClient.connect(address) as client:
            with pytest.raises(Unavailable, match="not here"):
                await client.call("unary", b"x", timeout=5)
            assert log == ["OPEN"]
        refuser.close()
        await refuser.wait_closed()

    world.run(main())


def test_a_call_refused_while_it_is_sent_again_loses_nothing() -> None:
    """The second server has room for less than the first: what is to be sent again waits there for credit."""
    items = [bytes([65 + number]) * 900 for number in range(6)]

    async def main() -> None:
        transports: list[Scripted] = []

        async def join(protocol: Callable[[], asyncio.BaseProtocol]) -> None:
            window = 2000 if len(transports) == 1 else 1 << 14
            transports.append(Scripted(protocol()))
            transports[-1].say(writer.greeting(structs.replace(HELLO, stream_window_bytes=window)))

        client = RpcClient("unix:scripted", open_transport=join)
        await client.open()
        stream = client.call_streaming("both")
        for item in items:
            await stream.send(item)
        await stream.end()
        for attempt in range(2):
            transports[attempt].say(writer.goaway(0, 0, "not here"))
            await asyncio.sleep(1)
        first, second, third = ([payload for kind, _, _, payload in one.frames if kind == ITEM] for one in transports)
        assert first == items
        assert second == items[:2]
        assert third == items
        assert [one.kinds().count(END) for one in transports] == [1, 0, 1]
        stream.abort()
        await client.close()

    sim.run(main(), seed=1)


@pytest.mark.parametrize("status", list(Status))
def test_only_an_orderly_goaway_allows_another_attempt(status) -> None:
    orderly = status in (Status.OK, Status.RESOURCE_EXHAUSTED)
    assert may_be_made_again(status, [], 1) is orderly
    assert may_be_made_again(status, [], MAX_ATTEMPTS) is orderly
    assert not may_be_made_again(status, [], MAX_ATTEMPTS + 1)
    assert not may_be_made_again(status, None, 1), "the server has answered: a handler saw it"


def test_a_running_call_is_not_run_again_when_a_rule_breaks(world, pair) -> None:
    ran: Counter[bytes] = Counter()

    async def pay(payload: bytes) -> bytes:
        ran[payload] += 1
        await asyncio.sleep(0.2)
        return b"paid"

    async def main() -> None:
        async with pair(lambda server: server.register("pay", pay)) as (_, client):
            payment = asyncio.ensure_future(client.call("pay", b"invoice", timeout=5))
            await asyncio.sleep(0.05)
            connection = client._dialer.connection
            assert connection is not None
            connection.write(writer.item(99, 0, b"no such stream"))
            with pytest.raises(Unavailable):
                await payment
            await asyncio.sleep(0.5)
        assert ran == {b"invoice": 1}

    world.run(main())


def test_breaking_out_of_streams_often_fails_none(world, pair) -> None:
    async def ticks(payload: bytes) -> AsyncIterator[bytes]:
        while True:
            yield b"1"
            await asyncio.sleep(0.01)

    async def main() -> None:
        config = RpcConfig(max_resets=50, resets_per_second=1.0)
        method = lambda server: server.register_streaming("ticks", ticks, shape="server_streaming")  # noqa: E731
        async with pair(method, config) as (_, client):
            for _ in range(250):
                async for item in client.call_server_streaming("ticks"):
                    assert item == b"1"
                    break

    world.run(main())


class Beside:
    """Methods that take arguments beside their stream."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def register(self, server: RpcServer) -> None:
        server.register_typed("joined", self.joined)
        server.register_typed("echoed", self.echoed)

    async def joined(self, items: AsyncIterator[str], first: str, last: str = "") -> str:
        self.ran.append("joined")
        return "|".join([first, *[item async for item in items], last])

    async def echoed(self, items: AsyncIterator[str], first: str) -> AsyncIterator[str]:
        self.ran.append("echoed")
        yield first
        async for item in items:
            yield item


@pytest.mark.parametrize("size", [1, 3000, 10_000, 30_000])
@pytest.mark.parametrize("refusals", [[1], [2500], [9000], [1, 9000], [9000, 9000, 4000], [2500, 1, 9000]])
def test_arguments_go_again_before_the_items(world, size: int, refusals: list[int]) -> None:
    """`refusals`: after how many bytes of messages each server in turn says that it did not take the call."""
    first = "f" * size
    items = ["i" * 900 for _ in range(40)]

    async def main() -> None:
        log: list[str] = []
        beside = Beside()
        server = RpcServer("127.0.0.1:0")
        beside.register(server)
        server.begin()
        made: list[asyncio.BaseProtocol] = []

        def protocol() -> asyncio.BaseProtocol:
            to_refuse = refusals[len(made) % (len(refusals) + 1) :]
            made.append(Refuser(0, to_refuse[0], log) if to_refuse else server.accept())
            return made[-1]

        async def written(client: RpcClient) -> list[str]:
            async with client.call_streaming("echoed", response=str, arguments={"first": first}) as stream:

                async def write() -> None:
                    for item in items:
                        await stream.send(item)
                    await stream.end()

                _, got = await asyncio.gather(write(), collected(stream))
                return got

        listener = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        config = RpcConfig(reconnect_backoff=0.001, part_bytes=2048)
        for call, expected in (
            (written, [first, *items]),
            (
                lambda client: client.call_client_streaming(
                    "joined", items, response=str, arguments={"first": first, "last": "z"}
                ),
                "|".join([first, *items, "z"]),
            ),
        ):
            made.clear()
            async with RpcClient.connect(address, config=config) as client:
                assert await asyncio.wait_for(call(client), 20) == expected
        await server.stop()
        listener.close()
        await listener.wait_closed()
        assert log == ["OPEN"] * 2 * len(refusals)
        assert beside.ran == ["echoed", "joined"]

    world.run(main())
