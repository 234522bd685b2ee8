"""Bugs of shared state: what was read is no longer true when it is acted upon.

In each, one task is there before the others (`arrive`), so that fifo ends it before they begin. Tests:
tests/benchmarks/test_planted.py.
"""

import asyncio
from contextlib import AsyncExitStack

from rpcnet import RpcClient, RpcServer

__all__ = ["aba", "cache_stampede", "check_then_set", "double_close", "torn_read_modify_write"]


async def arrive(turns: int) -> None:
    """Whatever a request goes through before it comes to the point."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def check_then_set(repaired: bool) -> bool:
    """Five buyers of one seat, one of whom is there first: whether it is free is looked up, then who buys is noted."""
    buyers: list[int] = []
    lock = asyncio.Lock()

    async def buy(number: int) -> None:
        await arrive(2 if number else 0)
        async with AsyncExitStack() as stack:
            if repaired:
                await stack.enter_async_context(lock)
            if not buyers:
                await asyncio.sleep(0)  # the payment
                buyers.append(number)

    await asyncio.gather(*(buy(number) for number in range(5)))
    return len(buyers) > 1


async def double_close(repaired: bool) -> bool:
    """A connection is closed by its user and on an error: whoever comes second must not release it again."""
    closed = [False]
    released: list[str] = []

    async def close(who: str, turns: int) -> None:
        await arrive(turns)
        if not closed[0]:
            closed[0] = repaired
            await asyncio.sleep(0)  # what is buffered is written
            closed[0] = True
            released.append(who)

    await asyncio.gather(close("user", 1), close("error", 3))
    return len(released) > 1


async def cache_stampede(repaired: bool) -> bool:
    """Four readers of one key: whoever misses loads it, and only the first may."""
    cache: dict[str, asyncio.Future[int] | int] = {}
    loads: list[int] = []

    async def load(number: int) -> int:
        loads.append(number)
        await arrive(2)
        return number

    async def read(number: int) -> int:
        await arrive(4 * number)
        found = cache.get("key")
        if found is None:
            if repaired:
                found = cache["key"] = asyncio.ensure_future(load(number))
            else:
                found = cache["key"] = await load(number)
        return found if isinstance(found, int) else await found

    await asyncio.gather(*(read(number) for number in range(4)))
    return len(loads) > 1


async def aba(repaired: bool) -> bool:
    """A stack of free blocks: one task takes a block while another takes two and puts the first back."""
    below: dict[str, str | None] = {"a": "b", "b": "c", "c": None}
    head: list[tuple[str | None, int]] = [("a", 0)]
    used: list[str] = []

    def swap(old: tuple[str | None, int], new: str | None) -> bool:
        """Compare and set; the version tells a block that was put back from one that was never away."""
        if head[0] != old and (repaired or head[0][0] != old[0]):
            return False
        head[0] = (new, head[0][1] + 1)
        return True

    async def take() -> str:
        while True:
            old = head[0]
            top = old[0]
            assert top is not None
            rest = below[top]
            await asyncio.sleep(0)
            if swap(old, rest):
                used.append(top)
                return top

    async def give(block: str) -> None:
        used.remove(block)
        while True:
            old = head[0]
            below[block] = old[0]
            await asyncio.sleep(0)
            if swap(old, block):
                return

    async def one() -> None:
        await take()

    async def other() -> None:
        await arrive(2)
        first = await take()
        await take()
        await give(first)

    await asyncio.gather(one(), other())
    top, free = head[0][0], set()
    while top is not None:
        free.add(top)
        top = below[top]
    return bool(free & set(used))


async def torn_read_modify_write(repaired: bool) -> bool:
    """Two callers add to a number on a server: each reads it, adds, writes it back; or asks the server to add."""
    numbers = [0]
    server = RpcServer("127.0.0.1:0")

    @server.method("read")
    async def read(index: int) -> int:
        return numbers[index]

    @server.method("write")
    async def write(value: int) -> None:
        numbers[0] = value

    @server.method("add")
    async def add(value: int) -> None:
        numbers[0] += value

    answered = asyncio.Event()

    async with server, RpcClient.connect(server.address) as client:

        async def caller(first: bool) -> None:
            if not first:
                await answered.wait()
                await arrive(2)
            if repaired:
                answered.set()
                await client.call("add", 1, response=None)
                return
            value = await client.call("read", 0, response=int)
            answered.set()
            await asyncio.sleep(0)  # the sum is logged
            await client.call("write", value + 1, response=None)

        await asyncio.gather(caller(True), caller(False))
    return numbers[0] != 2
