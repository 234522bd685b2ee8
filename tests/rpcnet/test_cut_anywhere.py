"""Both ends of a connection, played against each other over a cable that is cut after any byte of either direction.

Whatever was called and wherever it was cut: each call ends, at both ends; what looks whole is whole; and no handler,
stream or byte is left.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st

import sim
from rpcnet import RpcClient, RpcConfig, RpcError, RpcServer
from tests.rpcnet.cable import Cable, Cut

WINDOW = 4096
CONFIG = RpcConfig(max_streams=3, stream_window_bytes=WINDOW, part_bytes=1024, ping_interval=5.0, ping_timeout=5.0)
WITHIN = 120.0
"""Virtual seconds in which everything has ended. A silent cut is found after ping_interval + ping_timeout."""

NOTHING = (0, 0, 0, 0, 0)

Shape = Literal["unary", "upload", "watch", "chat"]


@dataclass(frozen=True)
class Call:
    """One call: items of these sizes from the caller (one where the shape has one), of those sizes back."""

    shape: Shape
    there: list[int]
    back: list[int]
    lets_go_after: int | None
    """So many items, where the caller breaks out of the answers."""
    starts_at: float
    pause: float
    """Between items, at both ends."""
    stubborn: bool
    """Whether its handler, once cancelled, goes on to read what its caller sends."""


@dataclass
class Story:
    """What was seen of one call: by its handler, and by its caller."""

    runs: int = 0
    handler_saw: list[bytes] = field(default_factory=list)
    handler_saw_the_end: bool = False
    caller_saw: list[bytes] = field(default_factory=list)
    outcome: str = ""


def items(sizes: list[int], mark: int) -> list[bytes]:
    """Each item is told from every other one of its call."""
    return [bytes([mark, place % 256]) + bytes(size) for place, size in enumerate(sizes)]


sizes = st.lists(st.sampled_from([0, 1, 30, 900, 1100, WINDOW, 2 * WINDOW + 1, 3 * WINDOW]), min_size=1, max_size=6)
calls = st.builds(
    Call,
    st.sampled_from(["unary", "upload", "watch", "chat"]),
    sizes,
    sizes,
    st.none() | st.integers(0, 3),
    st.sampled_from([0.0, 0.0, 0.005, 0.1]),
    st.sampled_from([0.0, 0.0, 0.003]),
    st.booleans(),
)
cuts = st.builds(
    Cut,
    st.integers(0, 1),
    st.one_of(st.integers(0, 300), st.integers(0, 6000), st.integers(0, 40_000)),
    st.sampled_from(["reset", "end", "silence"]),
)
pieces = st.lists(st.one_of(st.integers(1, 20), st.integers(1, 20_000)), min_size=1, max_size=4)


class Play:
    """A server, a client of it, and the cables between them: the first ones are cut, the others are whole."""

    def __init__(self, plan: list[Call], broken: list[Cut], pieces: list[int]) -> None:
        self.plan, self.broken, self.pieces = plan, broken[::-1], pieces
        self.stories = [Story() for _ in plan]
        self.cables: list[Cable] = []
        self.server = RpcServer("unix:cable", config=CONFIG)
        self.server.register("unary", self._unary)
        self.server.register_streaming("upload", self._upload, shape="client_streaming")
        self.server.register_streaming("watch", self._watch, shape="server_streaming")
        self.server.register_streaming("chat", self._chat)

    async def run(self) -> None:
        before = asyncio.all_tasks()
        self.server.begin()
        client = RpcClient("unix:cable", config=CONFIG, open_transport=self._connect)
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self._call(client, number)) for number in range(len(self.plan))]
        _, late = await asyncio.wait(tasks, timeout=WITHIN)
        assert not late, f"calls have not ended: {[self.plan[tasks.index(task)] for task in late]}"
        for task in tasks:
            task.result()
        # A ping may have been heard just before the cut, and another one be on its way now.
        await asyncio.sleep(3 * (CONFIG.ping_interval + CONFIG.ping_timeout))
        for _ in range(100):
            if self._counts(client) == NOTHING:
                break
            await asyncio.sleep(0.01)
        assert self._counts(client) == NOTHING
        await client.close()
        await self.server.stop()
        assert all(cable.is_over for cable in self.cables if not cable.silent)
        assert asyncio.all_tasks() == before

    def _counts(self, client: RpcClient) -> tuple[int, ...]:
        near, far = client.stats, self.server.stats
        return near.open_streams, near.queued_bytes, far.open_streams, far.queued_bytes, far.running_handlers

    async def _connect(self, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        cut = self.broken.pop() if self.broken else None
        self.cables.append(Cable((protocol(), self.server.accept()), self.pieces, cut))

    # The caller's end.

    async def _call(self, client: RpcClient, number: int) -> None:
        call, story = self.plan[number], self.stories[number]
        await asyncio.sleep(call.starts_at)
        try:
            await getattr(self, f"_call_{call.shape}")(client, number, call, story)
            story.outcome = "ended"
        except RpcError as error:
            story.outcome = type(error).__name__

    async def _call_unary(self, client: RpcClient, number: int, call: Call, story: Story) -> None:
        story.caller_saw.append(await client.call("unary", items(call.there[:1], number)[0]))

    async def _call_upload(self, client: RpcClient, number: int, call: Call, story: Story) -> None:
        story.caller_saw.append(await client.call_client_streaming("upload", self._sent(number)))

    async def _call_watch(self, client: RpcClient, number: int, call: Call, story: Story) -> None:
        async with client.call_server_streaming("watch", bytes([number])) as stream:
            await self._read(stream, call, story)

    async def _call_chat(self, client: RpcClient, number: int, call: Call, story: Story) -> None:
        async with client.call_streaming("chat", self._sent(number)) as stream:
            await self._read(stream, call, story)

    async def _read(self, stream: AsyncIterator[bytes], call: Call, story: Story) -> None:
        async for item in stream:
            story.caller_saw.append(item)
            if len(story.caller_saw) == call.lets_go_after:
                return
            await asyncio.sleep(call.pause)

    async def _sent(self, number: int) -> AsyncIterator[bytes]:
        call = self.plan[number]
        for item in items(call.there, number):
            yield item
            await asyncio.sleep(call.pause)

    # The handlers' end. Each call's first byte says which it is.

    async def _unary(self, payload: bytes) -> bytes:
        number = payload[0]
        self.stories[number].runs += 1
        self.stories[number].handler_saw.append(payload)
        await asyncio.sleep(self.plan[number].pause)
        return items(self.plan[number].back[:1], number)[0]

    async def _upload(self, uploaded: AsyncIterator[bytes]) -> bytes:
        number = await self._follow(uploaded, None)
        return items(self.plan[number].back[:1], number)[0]

    async def _watch(self, payload: bytes) -> AsyncIterator[bytes]:
        self.stories[payload[0]].runs += 1
        async for item in self._answers(payload[0]):
            yield item

    async def _chat(self, uploaded: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        first = await anext(aiter(uploaded))
        number = first[0]
        await self._follow(uploaded, first)
        async for item in self._answers(number):
            yield item

    async def _follow(self, uploaded: AsyncIterator[bytes], first: bytes | None) -> int:
        """Read to the end, noting what comes."""
        number = -1 if first is None else self._note(first)
        reads = aiter(uploaded)
        while True:
            try:
                item = await anext(reads)
                number = self._note(item)
                await asyncio.sleep(self.plan[number].pause)
            except StopAsyncIteration:
                break
            except asyncio.CancelledError:
                if number < 0 or not self.plan[number].stubborn:
                    raise
        self.stories[number].handler_saw_the_end = True
        return number

    def _note(self, item: bytes) -> int:
        story = self.stories[item[0]]
        story.runs += not story.handler_saw
        story.handler_saw.append(item)
        return item[0]

    async def _answers(self, number: int) -> AsyncIterator[bytes]:
        call = self.plan[number]
        for item in items(call.back, number):
            yield item
            await asyncio.sleep(call.pause)

    # What must be true.

    def check(self) -> None:
        for number, (call, story) in enumerate(zip(self.plan, self.stories, strict=True)):
            self._check(number, call, story)

    def _check(self, number: int, call: Call, story: Story) -> None:
        one_there, one_back = call.shape in ("unary", "watch"), call.shape in ("unary", "upload")
        sent = items(call.there[:1] if one_there else call.there, number)
        answered = items(call.back[:1] if one_back else call.back, number)
        assert story.runs <= 1, "one call, one run"
        assert story.outcome, "it has ended"
        assert story.caller_saw == answered[: len(story.caller_saw)], "in order, each once, unchanged"
        assert story.caller_saw == [] or story.runs == 1
        if call.shape != "watch":
            assert story.handler_saw == sent[: len(story.handler_saw)]
        if story.handler_saw_the_end:
            assert story.handler_saw == sent, "what looks whole to the handler is whole"
        let_go = call.lets_go_after is not None and not one_back and len(story.caller_saw) == call.lets_go_after
        if story.outcome == "ended" and not let_go:
            assert story.caller_saw == answered, "what looks whole to the caller is whole"
            if call.shape in ("upload", "chat"):
                assert story.handler_saw_the_end
        if not any(cable.was_cut for cable in self.cables):
            assert story.outcome == "ended", "nothing was cut"


@given(st.lists(calls, min_size=2, max_size=6), st.lists(cuts, min_size=1, max_size=2), pieces)
def test_each_call_ends_truthfully_wherever_the_cable_is_cut(plan, broken, pieces) -> None:
    play = Play(plan, broken, pieces)
    sim.run(play.run(), seed=1)
    play.check()
