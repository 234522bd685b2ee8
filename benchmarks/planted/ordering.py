"""Bugs of order: one step must come after another, or many of one task into the midst of another.

Tests: tests/benchmarks/test_planted.py.
"""

import asyncio

__all__ = ["deep_ordering", "shallow_ordering"]

VERSIONS = 20
STALE = 12
"""A reader that lags so many versions behind has read a torn state."""


async def shallow_ordering(repaired: bool) -> bool:
    """A task that uses a setting is started after the one that loads it, and does not wait for it."""
    settings: dict[str, int] = {}

    async def load() -> None:
        settings["limit"] = 1

    async def use() -> bool:
        if repaired:
            await loading
        return "limit" not in settings

    loading = asyncio.create_task(load())
    using = asyncio.create_task(use())
    await loading
    return await using


async def deep_ordering(repaired: bool) -> bool:
    """A reader takes the version, then the items: too many versions in between, and the items are others.

    The reader must be stopped in its midst and wait while the writer takes STALE steps or more.
    """
    version = 0
    lock = asyncio.Lock()

    async def write() -> None:
        nonlocal version
        for _ in range(VERSIONS):
            async with lock:
                version += 1
            await asyncio.sleep(0)

    async def read() -> bool:
        if repaired:
            async with lock:
                return await look()
        return await look()

    async def look() -> bool:
        before = version
        await asyncio.sleep(0)
        return version - before >= STALE

    _, stale = await asyncio.gather(write(), read())
    return stale
