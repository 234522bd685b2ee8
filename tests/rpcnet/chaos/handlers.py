"""What the server's handlers do: whatever the plan says of the call that has come.

A handler learns which call it serves from the metadata, or from the first item.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rpcnet import RpcServer, current_call
from tests.rpcnet.chaos.payload import item, whose
from tests.rpcnet.chaos.raising import RAISES, marked
from tests.rpcnet.chaos.record import Record, Seen

__all__ = ["METADATA", "TRAILERS", "Handlers"]

METADATA = {"said": "before the first item"}
TRAILERS = {"said": "with the end"}


class Handlers:
    """The handlers of one server, in all four shapes."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def register(self, server: RpcServer) -> None:
        server.register("unary", self.unary)
        server.register_streaming("upload", self.upload, shape="client_streaming")
        server.register_streaming("download", self.download, shape="server_streaming")
        server.register_streaming("both", self.both)

    async def unary(self, payload: bytes) -> bytes:
        seen = self._named() or self.record.seen[whose(payload)]
        async with self._run(seen):
            seen.took(payload)
            return await self._answer(seen)

    async def download(self, payload: bytes) -> AsyncIterator[bytes]:
        seen = self._named() or self.record.seen[whose(payload)]
        async with self._run(seen):
            seen.took(payload)
            for index, size in enumerate(seen.call.handling.sends):
                await self._pause(seen, index)
                yield item(seen.call.number, index, size, answer=True)
                seen.answered()
            await self._finish(seen)

    async def upload(self, items: AsyncIterator[bytes]) -> bytes:
        reader = _Reader(self.record, items, self._named())
        seen = await reader.whose()
        if seen is None:
            return b""
        async with self._run(seen):
            await reader.read_as_planned(seen)
            return await self._answer(seen)

    async def both(self, items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        reader = _Reader(self.record, items, self._named())
        seen = await reader.whose()
        if seen is None:
            return
        async with self._run(seen):
            await reader.read_as_planned(seen)
            each = seen.call.handling.reads == "each"
            for index, size in enumerate(seen.call.handling.sends):
                if each:
                    await reader.read(seen, index + 1)
                await self._pause(seen, index)
                yield item(seen.call.number, index, size, answer=True)
                seen.answered()
            if each:
                await reader.read(seen)
            await self._finish(seen)

    def _named(self) -> Seen | None:
        number = current_call().metadata.get("call")
        return None if number is None else self.record.seen[int(number)]

    @asynccontextmanager
    async def _run(self, seen: Seen) -> AsyncIterator[None]:
        handling, key = seen.call.handling, (self.record.boots, seen.call.number)
        seen.run()
        self.record.running[key] = seen.server_moved
        if handling.metadata:
            current_call().send_metadata(METADATA)
        if handling.trailers:
            current_call().trailers.update(TRAILERS)
        try:
            yield
        finally:
            try:
                if handling.cleanup:
                    await asyncio.sleep(handling.cleanup)
            finally:
                del self.record.running[key]
                seen.handler_ended = self.record.now()
                seen.tell("its handler has ended")

    async def _pause(self, seen: Seen, index: int) -> None:
        seconds = seen.call.handling.pause if index else seen.call.handling.before
        if seconds:
            await asyncio.sleep(seconds)

    async def _finish(self, seen: Seen) -> None:
        end = seen.call.handling.end
        if not seen.call.handling.sends:
            await self._pause(seen, 0)
        if seen.call.handling.waits_for_ever:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if end == "never":
                    raise
                return
        if end != "ok":
            seen.handler_raised = True
            raise marked(RAISES[end].make())
        seen.handler_finished = True

    async def _answer(self, seen: Seen) -> bytes:
        await self._pause(seen, 0)
        await self._finish(seen)
        return item(seen.call.number, 0, seen.call.handling.sends[0], answer=True)


class _Reader:
    """Reads the items of a call."""

    def __init__(self, record: Record, items: AsyncIterator[bytes], seen: Seen | None) -> None:
        self.record, self.items, self.seen = record, items, seen
        self.first: bytes | None = None
        self.ended = False

    async def whose(self) -> Seen | None:
        """Which call this is; None where its items end before they say it."""
        if self.seen is None:
            try:
                self.first = await anext(self.items)
            except StopAsyncIteration:
                self.record.wrong.append("a handler saw an end in order of items of which the first has not come")
                return None
            self.seen = self.record.seen[whose(self.first)]
        return self.seen

    async def read_as_planned(self, seen: Seen) -> None:
        """What is read before the first answer."""
        if self.first is not None:
            seen.took(self.first)
        reads = seen.call.handling.reads
        if reads in ("all", "some"):
            await self.read(seen, None if reads == "all" else 1)

    async def read(self, seen: Seen, so_many: int | None = None) -> None:
        """Read until so many have come in all, or to the end."""
        while not self.ended and (so_many is None or seen.taken < so_many):
            try:
                payload = await anext(self.items)
            except StopAsyncIteration:
                self.ended = True
                seen.input_ended()
                return
            seen.took(payload)
