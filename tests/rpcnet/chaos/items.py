"""What a caller gives: the items of its plan, as a list, a generator or a writer, which is told of the end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

from rpcnet import Status, StreamError
from tests.rpcnet.chaos.payload import item
from tests.rpcnet.chaos.raising import ItemsError, OddItemsError
from tests.rpcnet.chaos.record import Seen

__all__ = ["generated", "listed", "write", "written"]

PATIENCE: Final = 0.25
"""Seconds after the end of its call until a writer must have been told; above the longest pause between two items."""


def _fail(seen: Seen) -> None:
    seen.items_raised = True
    seen.tell("its items raise")
    raise OddItemsError(1, 2) if seen.call.odd_error else ItemsError("raised by the caller's items")


def listed(seen: Seen) -> Iterator[bytes]:
    call = seen.call
    for index, size in enumerate(call.sends):
        if index == call.raises_at:
            _fail(seen)
        seen.gave(index)
        yield item(call.number, index, size)
    if call.raises_at is not None:
        _fail(seen)


async def generated(seen: Seen) -> AsyncIterator[bytes]:
    for index, payload in enumerate(listed(seen)):
        if index and seen.call.pause:
            await asyncio.sleep(seen.call.pause)
            seen.client_moved = seen.now()
        yield payload


async def write(
    seen: Seen, send: Callable[[bytes], Awaitable[None]], end: Callable[[], Any], abort: Callable[[], None]
) -> None:
    """Send the items; told that the call is over by a StreamError, and by nothing else."""
    try:
        async for payload in generated(seen):
            await send(payload)
            seen.client_moved = seen.now()
        ended = end()
        if ended is not None:
            await ended
    except StreamError as error:
        seen.tell(f"the writer is told {error!r:.200}")
        if error.code == Status.RESOURCE_EXHAUSTED:  # of this item: the call itself is not over
            seen.letting_go("its writer gives up")
            abort()
    except Exception as error:
        seen.wrong.append(f"its writer was told {error!r:.200}, which is no StreamError")


async def written(seen: Seen, writer: "asyncio.Task[None]") -> None:
    """The call is over: its writer has to end by itself."""
    if not writer.done():
        await asyncio.wait([writer], timeout=PATIENCE)
    if not writer.done():
        seen.wrong.append(f"its writer still waits {PATIENCE} s after the call has ended")
        writer.cancel()
