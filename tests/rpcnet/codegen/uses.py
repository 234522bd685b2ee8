"""How users call what sample.py declares: by the proxy and by the written client. Type checkers read it."""

from collections.abc import AsyncIterator
from uuid import UUID

from rpcnet import BidirectionalStream, RpcClient, RpcServer
from tests.rpcnet.codegen.sample import Color, Options, Page, Point, Sample, UserId
from tests.rpcnet.codegen.sample_rpc import SampleClient, SampleServer

__all__ = ["by_client", "by_proxy", "connected", "register"]


def register(server: RpcServer) -> None:
    SampleServer(Sample(), server).register_all()


async def numbers() -> AsyncIterator[int]:
    for number in (1, 2):
        yield number


async def by_proxy(client: RpcClient) -> None:
    sample = client.service(Sample, timeout=20.0, idle_timeout=None, metadata={"who": "me"})
    total: int = await sample.add(1, b=2)
    assert (total, await sample.add(1), await sample.negate(number=3), await sample.named(number=4)) == (3, 1, -3, 4)
    await sample.nothing()
    note: Point.Note | None = await sample.find(UserId(7), Color.RED, kind="note")
    assert note is not None and note.text == "7 red note"
    assert await sample.find(key=UserId(7)) is None
    page: Page[int] = await sample.page({"limit": 3})
    assert page.items == [3, 1]
    listed: list[int] = await sample.list()
    assert (listed, await sample.int(), await sample.int(str=5)) == ([1, 2], 1, 5)
    counted: list[int] = [number async for number in sample.upto(3)]
    assert counted == [0, 1, 2]
    assert (await sample.total(numbers()), await sample.total(numbers(), start=3)) == (3, 6)
    assert await sample.last(points()) == Point(2)
    words: list[str] = [word async for word in sample.shifted(10, numbers(), label="n")]
    assert words == ["n11", "n12"]


async def points() -> AsyncIterator[Point]:
    yield Point(1)
    yield Point(2)


async def by_client(client: RpcClient) -> None:
    sample = SampleClient(client)
    total: int = await sample.add(1, b=2, timeout=20.0, metadata={"who": "me"})
    assert (total, await sample.add(1), await sample.negate(number=3), await sample.named(number=4)) == (3, 1, -3, 4)
    await sample.nothing(timeout=None)
    note: Point.Note | None = await sample.find(UserId(7), Color.RED, kind="note")
    assert note is not None and note.text == "7 red note"
    page: Page[int] = await sample.page({"limit": 3})
    options: Options = await sample.options({"a": 5}, least=7)
    assert (page.items, options) == ([3, 1], {"limit": 7})
    facts = {"a": {"b": [(1, 1.5, b"x", Point(1), Color.BLUE, UserId(3), Point.Note("n"))]}}
    assert await sample.every_fact_that_is_known(facts) == facts
    assert (await sample.anything([1]), await sample.answered("yes")) == ([1], "yes")
    listed: list[int] = await sample.list()
    assert (listed, await sample.int(), await sample.int(str=5)) == ([1, 2], 1, 5)
    counted: list[int] = [number async for number in sample.upto(3, start=1, idle_timeout=20.0)]
    assert counted == [1, 2]
    texts: list[str | None] = [text async for text in sample.maybe()]
    assert texts == [None, "x"]
    assert (await sample.total([1, 2]), await sample.total(numbers(), 3, idle_timeout=20.0)) == (3, 6)
    last: Point | None = await sample.last([Point(1), Point(2)], timeout=20.0)
    assert (last, await sample.last([])) == (Point(2), None)
    async with BidirectionalStream[int]() as sent, sample.shifted(10, sent, label="n") as answers:
        await sent.sender.send(1)
        word: str = await anext(answers)
        assert word == "n11"
    async with sample.names(idle_timeout=20.0) as names:
        await names.send(5)
        await names.end()
        found: list[UUID] = [name async for name in names]
        assert found == [UUID(int=5)]
    assert [word async for word in sample.room(["a", "b"], "r")] == ["r: a", "r: b"]


async def connected(address: str) -> None:
    async with SampleClient.connect(address) as sample:
        total: int = await sample.add(1)
    again = await SampleClient.connect(address)
    async with again:
        total += await again.add(2)
    assert total == 3
