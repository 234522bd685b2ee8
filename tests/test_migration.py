"""docs/migration.md: what it says about the patterns by hand and about the calls that replace them, task by task.

Its excerpts are compared with the cluster example in tests/test_examples.py.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgpack
import pytest

from rpcnet import (
    BidirectionalStream,
    Cluster,
    Internal,
    InvalidArgument,
    InvalidTag,
    NodeStatus,
    NotFound,
    NotPermitted,
    RpcClient,
    RpcConfig,
    RpcServer,
    StreamError,
    TagsChanged,
    service,
)

SILENCE = 0.2


class Peer:
    """A server with the handlers of this page's claims."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.server = RpcServer("127.0.0.1:0")
        self.server.register_streaming("once", self.once)
        self.server.register_streaming("stalls", self.stalls, shape="server_streaming")
        self.server.register_streaming("refuses", self.refuses)
        self.server.register_streaming("echo", self.echo)

    async def once(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Answers the first item, and is silent from then on."""
        try:
            yield await anext(aiter(items))
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    async def stalls(self, simulated: bytes) -> AsyncIterator[bytes]:
        """The process is busy for longer than anybody waits; when it comes back the answer is in the socket."""
        for _ in range(2):
            if simulated:  # what is sent is under way for a while
                asyncio.get_running_loop().call_soon(time.sleep, 2 * SILENCE)
            else:
                time.sleep(2 * SILENCE)  # noqa: ASYNC251 - that is what it is for
            yield b"in time"

    async def refuses(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for item in items:
            raise NotFound("no such room")
            yield item

    async def echo(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for item in items:
            yield item


def run(world: Any, body: Any) -> None:
    async def main() -> None:
        peer = Peer()
        async with peer.server, asyncio.timeout(30):
            await body(peer)

    world.run(main())


# 1. Timeouts on a stream.


def test_a_timeout_by_hand_leaves_the_handler_running(world: Any) -> None:
    async def body(peer: Peer) -> None:
        async with RpcClient.connect(peer.server.address) as client:
            answer = client.call_streaming("once")
            await answer.send(b"x")
            await answer.receive()
            clock = asyncio.Event()
            asyncio.get_running_loop().call_later(SILENCE, clock.set)
            waiting = asyncio.create_task(answer.receive())
            await asyncio.wait({asyncio.create_task(clock.wait()), waiting}, return_when=asyncio.FIRST_COMPLETED)
            assert not waiting.done() and not peer.cancelled.is_set()
            answer.abort()
            await asyncio.wait({waiting})
            assert isinstance(waiting.exception(), StreamError.Application)
            await peer.cancelled.wait()

    run(world, body)


@pytest.mark.parametrize("how", ["default", "idle_timeout", "the plan's name"])
def test_a_timeout_of_the_library_cancels_the_handler(world: Any, how: str) -> None:
    async def body(peer: Peer) -> None:
        config = RpcConfig().with_default_timeout(SILENCE if how == "default" else 60.0)
        async with RpcClient.connect(peer.server.address, config=config) as client:
            if how == "the plan's name":
                answer = client.call_streaming_with_timeout("once", None, SILENCE)
            elif how == "idle_timeout":
                answer = client.call_streaming("once", idle_timeout=SILENCE)
            else:
                answer = client.call_streaming("once")
            await answer.send(b"x")
            assert await answer.receive() == b"x"
            with pytest.raises(TimeoutError) as caught:
                await answer.receive()
            assert isinstance(caught.value, StreamError.Timeout)
            await peer.cancelled.wait()

    run(world, body)


def test_a_timeout_by_hand_throws_an_item_in_the_socket_away(world: Any) -> None:
    async def body(peer: Peer) -> None:
        async with RpcClient.connect(peer.server.address) as client:
            simulated = b"yes" if world.name == "sim" else b""
            kept = client.call_server_streaming("stalls", simulated, idle_timeout=SILENCE)
            assert [item async for item in kept] == [b"in time"] * 2
            lost = client.call_server_streaming("stalls", simulated)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(SILENCE):
                    await lost.receive()

    run(world, body)


# 2. Two-way streams.


@pytest.mark.parametrize("way", ["leave", "abort", "drop"])
def test_a_bidirectional_stream_ends_its_call(world: Any, way: str) -> None:
    async def body(peer: Peer) -> None:
        async with RpcClient.connect(peer.server.address) as client:
            both = BidirectionalStream[bytes]()
            answer = client.call_streaming("once", both)
            await both.sender.send(b"x")
            await answer.receive()
            if way == "leave":
                async with both:
                    pass
            elif way == "abort":
                both.abort()
            del both
            await peer.cancelled.wait()

    run(world, body)


def test_a_writer_by_hand_waits_where_a_sender_is_told(world: Any) -> None:
    async def body(peer: Peer) -> None:
        async with RpcClient.connect(peer.server.address) as client:
            queue: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)

            async def items() -> AsyncIterator[bytes]:
                while True:
                    yield await queue.get()

            async def fill() -> None:
                while True:
                    await queue.put(b"x")

            filling = asyncio.create_task(fill())
            with pytest.raises(NotFound):
                await client.call_streaming("refuses", items()).receive()
            await asyncio.sleep(0.05)
            assert not filling.done() and queue.full()
            filling.cancel()
            await asyncio.wait({filling})

            async with BidirectionalStream[bytes](buffer=1) as both:
                answer = client.call_streaming("refuses", both)
                with pytest.raises(NotFound):
                    await send_for_ever(both)
                with pytest.raises(NotFound):
                    await answer.receive()

    run(world, body)


async def send_for_ever(both: BidirectionalStream[bytes]) -> None:
    while True:
        await both.sender.send(b"x")


def test_one_task_that_sends_and_reads_needs_no_helper(world: Any) -> None:
    async def body(peer: Peer) -> None:
        async with RpcClient.connect(peer.server.address) as client, client.call_streaming("echo") as stream:
            await stream.send(b"a")
            assert await stream.receive() == b"a"
            await stream.send(b"b")
            await stream.end()
            assert [item async for item in stream] == [b"b"]

    run(world, body)


# 3. Handlers.


@dataclass
class Seats:
    row: str
    numbers: list[int]


def test_a_typed_handler_is_spared_what_does_not_fit(world: Any) -> None:
    async def body(peer: Peer) -> None:
        seen: list[Seats] = []

        @peer.server.method("decorated")
        async def decorated(seats: Seats) -> int:
            seen.append(seats)
            return len(seats.numbers)

        async def each(seats: AsyncIterator[Seats]) -> AsyncIterator[int]:
            async for one in seats:
                yield len(one.numbers)

        async def wrong(row: str) -> int:
            answer: Any = row
            return answer

        peer.server.register_typed("registered", decorated)
        peer.server.register_typed("each", each)
        peer.server.register_typed("wrong", wrong)
        async with RpcClient.connect(peer.server.address) as client:
            for method in ("decorated", "registered"):
                assert await client.call(method, Seats("A", [1, 2]), response=int) == 2
                with pytest.raises(InvalidArgument, match=r"\$\.numbers\[1\]"):
                    await client.call(method, {"row": "A", "numbers": [1, "two"]})
                assert await client.call(method, msgpack.packb({"row": "A", "numbers": [3]}), response=int) == 1
                with pytest.raises(InvalidArgument):
                    await client.call(method, json.dumps({"row": "A", "numbers": [3]}).encode())
            assert len(seen) == 4
            assert [n async for n in client.call_streaming("each", [Seats("A", [1])], response=int)] == [1]
            with pytest.raises(Internal):  # from the server: this caller would take any bytes
                await client.call("wrong", "A")

    run(world, body)


def test_a_service_registers_all_its_methods(world: Any) -> None:
    @service
    class Theatre:
        async def rows(self, hall: int) -> list[str]:
            return ["A", "B"][:hall]

        async def seats(self, row: str) -> AsyncIterator[int]:
            for number in range(2):
                yield number

    async def body(peer: Peer) -> None:
        peer.server.register_service(Theatre())
        async with RpcClient.connect(peer.server.address) as client:
            theatre = client.service(Theatre)
            assert await theatre.rows(1) == ["A"]
            assert [number async for number in theatre.seats("A")] == [0, 1]

    run(world, body)


# 4. Joining the registry. 5. Tags.


def test_one_speaks_for_oneself_in_either_form(world: Any) -> None:
    async def main() -> None:
        async with Cluster("one", "127.0.0.1:0") as one:
            one.registry.insert(NodeStatus(node_id="one", tags={"role": "director"}))
            assert dict(one.me.tags) == {"role": "director"}
            await one.register_self([("role", "worker")])
            await one.register_self({"role": "worker", "zone": "a"})
            with pytest.raises(InvalidTag):
                await one.register_self({"": "no key"})
            assert dict(one.me.tags) == {"role": "worker", "zone": "a"}
            with pytest.raises(NotPermitted):
                one.registry.insert(NodeStatus(node_id="two", tags={"role": "director"}))

    world.run(main())


@pytest.mark.parametrize("form", ["by hand", "batch"])
def test_others_see_a_batch_whole_and_single_tags_in_between(world: Any, form: str) -> None:
    """A watcher of one's own member sees every version, as others do when gossip is quick."""

    async def main() -> list[dict[str, str]]:
        tags = {"label": "small", "pace": "1", "role": "worker"}
        async with Cluster("one", "127.0.0.1:0") as one, one.watch() as view:
            await one.register_self({"old": "yes"})
            if form == "batch":
                await one.update_tags({**tags, "old": None})
            else:
                for key, value in tags.items():
                    await one.update_tag(key, value)
                await one.update_tag("old", None)
            seen = []
            async for event in view:
                assert isinstance(event, TagsChanged)
                seen.append(dict(event.member.tags))
                if seen[-1] == tags:
                    return seen
        raise AssertionError("the watch ended")

    seen = world.run(main())
    assert [sorted(tags) for tags in seen] == (
        [["old"], ["label", "pace", "role"]]
        if form == "batch"
        else [
            ["old"],
            ["label", "old"],
            ["label", "old", "pace"],
            ["label", "old", "pace", "role"],
            ["label", "pace", "role"],
        ]
    )
