"""Bugs of time: what a task takes for done, or for still valid, because its steps have always been quick.

No order of ready tasks shows them: between two timers nothing is ready. Tests: tests/benchmarks/test_planted.py.
"""

import asyncio

from benchmarks.planted.state import arrive

__all__ = ["assumed_ready", "lease_runs_out"]


async def assumed_ready(repaired: bool) -> bool:
    """A service reads its tables in some thirty steps; 2 ms are plenty, thinks who uses it."""
    tables: list[int] = []
    ready = asyncio.Event()

    async def prepare() -> None:
        for number in range(30):
            await asyncio.sleep(0)  # another part of the file
            tables.append(number)
        ready.set()

    async def use() -> int:
        await asyncio.sleep(0.002)
        if repaired:
            await ready.wait()
        return len(tables)

    _, found = await asyncio.gather(prepare(), use())
    return found < 30


async def lease_runs_out(repaired: bool) -> bool:
    """Two writers take turns by a lease of 10 ms. The holder writes until 8 ms are over, in batches of 20 steps."""
    clock = asyncio.get_running_loop().time
    holder, until = 0, 0.0
    broken = False

    async def write(number: int) -> None:
        nonlocal holder, until, broken
        await asyncio.sleep(number * 0.005)
        for _ in range(20):
            if clock() < until and holder != number:
                await asyncio.sleep(0.001)
                continue
            taken = clock()
            holder, until = number, taken + 0.010
            while clock() < taken + 0.008:
                await arrive(20)
                if repaired and clock() >= taken + 0.010:
                    break
                broken = broken or holder != number  # it writes what another one owns
                await asyncio.sleep(0.002)

    await asyncio.gather(write(0), write(1))
    return broken
