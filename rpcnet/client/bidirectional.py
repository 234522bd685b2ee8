"""`BidirectionalStream`: the writing side of a call as an object of its own, as in the plan.

Items sent wait in a bounded buffer until the call that was given `.stream` takes them. Dropping the
`BidirectionalStream` is the abort, whatever copies of its sender or stream still live; so neither of those, nor the
call, refers back to it.

Tests: tests/rpcnet/client/test_bidirectional.py, and in both worlds test_letting_go.py.
"""

import asyncio
import copy
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from rpcnet.errors import FailedPrecondition, Status, StreamApplicationError

__all__ = ["BidirectionalStream", "ItemSender", "ItemStream"]

T = TypeVar("T")


class _Channel(Generic[T]):
    """What sender and stream share."""

    __slots__ = ("_changed", "abort_call", "aborted", "buffer", "closed", "items", "loop", "why")

    def __init__(self, buffer: int) -> None:
        if not isinstance(buffer, int) or isinstance(buffer, bool):
            raise TypeError(f"buffer is a number of items, an int, not {buffer!r}")
        if buffer < 1:
            raise ValueError(f"buffer must be at least 1, not {buffer}")
        self.buffer = buffer
        self.items: deque[T] = deque()
        self.closed = False
        self.aborted = False
        self.why: BaseException | None = None
        """What ended the call; None where this end did."""
        self.abort_call: Callable[[], None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._changed: deque[asyncio.Future[None]] = deque()

    async def change(self) -> None:
        loop = self.loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        self._changed.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._changed:  # else `wake` has taken it out
                self._changed.remove(waiter)
            raise

    def wake(self) -> None:
        while self._changed:
            waiter = self._changed.popleft()
            if not waiter.done():
                waiter.set_result(None)

    def abort(self) -> None:
        if self.aborted:
            return
        self.aborted = True
        self.items.clear()
        call, self.abort_call = self.abort_call, None
        if call is not None:
            call()
        self.wake()

    def error(self) -> BaseException:
        """A new one each time: a traceback in the one that is kept would hold the sender's frames."""
        if self.why is not None:
            return copy.copy(self.why)
        return StreamApplicationError("the stream was aborted at this end", code=Status.CANCELLED)


class ItemSender(Generic[T]):
    """`.sender`: puts items in."""

    __slots__ = ("_channel",)

    def __init__(self, channel: _Channel[T]) -> None:
        self._channel = channel

    async def send(self, item: T) -> None:
        """Put an item in, waiting while the buffer is full. Once the call is over: what ended it, as a StreamError."""
        channel = self._channel
        while not (channel.closed or channel.aborted) and len(channel.items) >= channel.buffer:
            await channel.change()
        if channel.aborted:
            raise channel.error()
        if channel.closed:
            raise StreamApplicationError("the sender was closed", code=FailedPrecondition.code)
        channel.items.append(item)
        channel.wake()

    def close(self) -> None:
        """No more items: the half-close, once what is buffered was sent."""
        self._channel.closed = True
        self._channel.wake()


class ItemStream(Generic[T]):
    """`.stream`: what a call takes its items from."""

    __slots__ = ("_channel",)

    def __init__(self, channel: _Channel[T]) -> None:
        self._channel = channel

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        channel = self._channel
        while not channel.items:
            if channel.aborted:
                raise channel.error()
            if channel.closed:
                raise StopAsyncIteration
            await channel.change()
        item = channel.items.popleft()
        channel.wake()
        return item

    def bind(self, abort_call: Callable[[], None]) -> None:
        """The call that takes the items; it is aborted with the stream."""
        channel = self._channel
        if channel.abort_call is not None:
            raise RuntimeError("this stream was given to a call already")
        channel.abort_call = abort_call
        channel.loop = asyncio.get_running_loop()
        if channel.aborted:
            channel.abort_call = None
            abort_call()

    def over(self, why: BaseException) -> None:
        """The call has ended: whoever sends is told why."""
        channel = self._channel
        channel.abort_call = None
        if not channel.aborted:
            channel.why = why
            channel.abort()


class BidirectionalStream(Generic[T]):
    """`BidirectionalStream[T](buffer=10)`: write with `.sender`, give it to `call_streaming`, end with `.abort()`."""

    __slots__ = ("__weakref__", "_channel", "sender", "stream")

    def __init__(self, *, buffer: int = 10) -> None:
        self._channel: _Channel[T] = _Channel(buffer)
        self.sender: ItemSender[T] = ItemSender(self._channel)
        self.stream: ItemStream[T] = ItemStream(self._channel)

    def abort(self) -> None:
        """End the call, and cancel its handler. Safe at any time."""
        self._channel.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def __del__(self) -> None:
        channel: _Channel[T] | None = getattr(self, "_channel", None)
        if channel is None or channel.aborted:
            return
        loop = channel.loop
        if loop is None or asyncio._get_running_loop() is loop:
            channel.abort()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(channel.abort)
