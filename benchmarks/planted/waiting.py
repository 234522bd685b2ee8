"""Bugs of waiting: a task that is never woken, never gets its turn, waits in a circle, or is not cancelled.

Tests: tests/benchmarks/test_planted.py.
"""

import asyncio

from benchmarks.planted.state import arrive

__all__ = ["cancelled_wait_for", "deadlock_of_two_locks", "lost_wake_up", "starvation"]

POLLS = 20
PATIENCE = 30.0
"""Virtual seconds after which a program is taken to hang."""


async def _hangs(*tasks: "asyncio.Task[None]") -> bool:
    """Whether one of these never ends; those are cancelled."""
    _, left = await asyncio.wait(tasks, timeout=PATIENCE)
    for task in left:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return bool(left)


async def lost_wake_up(repaired: bool) -> bool:
    """A consumer finds nothing and goes to sleep; what comes before it has lain down wakes nobody."""
    items: list[int] = []
    sleeping: list[asyncio.Future[None]] = []

    async def consume() -> None:
        while not items:
            await asyncio.sleep(0)  # it says so to its log
            if repaired and items:
                break
            woken = asyncio.get_running_loop().create_future()
            sleeping.append(woken)
            await woken

    async def produce() -> None:
        await arrive(3)
        items.append(1)
        for woken in sleeping:
            if not woken.done():
                woken.set_result(None)

    return await _hangs(asyncio.create_task(consume()), asyncio.create_task(produce()))


async def starvation(repaired: bool) -> bool:
    """A task polls for a result that another makes in three steps, and gives up after so many polls."""
    done = asyncio.Event()
    gave_up = False

    async def work() -> None:
        await arrive(3)
        done.set()

    async def poll() -> None:
        nonlocal gave_up
        if repaired:
            await done.wait()
            return
        for _ in range(POLLS):
            if done.is_set():
                return
            await asyncio.sleep(0)
        gave_up = True

    await asyncio.gather(work(), poll())
    return gave_up


async def deadlock_of_two_locks(repaired: bool) -> bool:
    """Two transfers between the same accounts, in opposite directions, lock both: in the order of the transfer."""
    locks = [asyncio.Lock(), asyncio.Lock()]

    async def transfer(turns: int, source: int, target: int) -> None:
        await arrive(turns)
        first, second = sorted((source, target)) if repaired else (source, target)
        async with locks[first]:
            await asyncio.sleep(0)
            async with locks[second]:
                await asyncio.sleep(0)

    return await _hangs(asyncio.create_task(transfer(0, 0, 1)), asyncio.create_task(transfer(3, 1, 0)))


async def cancelled_wait_for(repaired: bool) -> bool:
    """bpo-42130: asyncio.wait_for swallows a cancellation in the moment in which what it waits for ends (until 3.11).

    A worker takes from a queue. It is told to stop, and an item comes at about the same time.
    """
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def work() -> None:
        while True:
            if repaired:
                async with asyncio.timeout(PATIENCE):
                    await queue.get()
            else:
                await asyncio.wait_for(queue.get(), PATIENCE)

    async def produce() -> None:
        await arrive(2)
        queue.put_nowait(1)

    worker = asyncio.create_task(work())
    await arrive(3)  # it waits by now
    producer = asyncio.create_task(produce())
    stopper = asyncio.create_task(_cancel(worker))
    await asyncio.wait([worker, producer, stopper], timeout=PATIENCE / 2)
    swallowed = not worker.done()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    return swallowed


async def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()
