"""`ClientStream`: a streaming call as its caller holds it.

It refers to its call, never the other way round, so that letting go of it — by `break` out of an unnamed loop, or the
last reference — ends the call at once.

Tests, in both worlds: tests/rpcnet/test_shapes.py and test_letting_go.py.
"""

import asyncio
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from rpcnet.client.call import ClientCall
from rpcnet.client.reply import IncomingMetadata
from rpcnet.codec import RAW, PayloadError, decoder, encode
from rpcnet.errors import FailedPrecondition, InvalidArgument, Metadata, Status, StreamApplicationError, StreamError
from rpcnet.peer import Peer

__all__ = ["ClientStream", "cause_of", "encode_request", "why_not"]

T = TypeVar("T")


def encode_request(value: Any) -> tuple[bytes, int]:
    """What a caller sends, and its layout; InvalidArgument where it cannot be encoded."""
    try:
        return encode(value)
    except PayloadError as error:
        raise InvalidArgument(str(error)) from None


def why_not(error: Exception) -> str:
    """Why a payload cannot be made into its type; the constructor of a user's type may raise anything."""
    return str(error) if isinstance(error, PayloadError) else f"its constructor raised {type(error).__name__}"


def cause_of(error: Exception) -> BaseException | None:
    """What a user wants to see beside that: nothing where the text says it all."""
    return error.__cause__ if isinstance(error, PayloadError) else error


async def _had_their_say(call: ClientCall) -> bool:
    """Wait for what the call's interceptors make of its end, and raise it; False where they had no say in it."""
    outcome = call.outcome
    assert outcome is not None
    try:
        return await asyncio.shield(outcome)
    finally:
        if outcome.done():
            call.outcome = None
        del call, outcome  # what is raised leads to this frame


class ClientStream(Generic[T]):
    """A streaming call as its caller holds it: an async iterator, and a writer where no items were given.

    Leaving its block, `abort()`, cancelling who reads or writes, and losing the last reference end the call and cancel
    its handler. An error ends it: it is raised once, afterwards there is only StopAsyncIteration.
    """

    __slots__ = ("__weakref__", "_call", "_decode", "_writes")

    def __init__(self, call: ClientCall, response: Any, max_depth: int, writes: bool = False) -> None:
        self._call = call
        self._decode = None if response is None else decoder(response, max_depth)
        self._writes = writes

    def __aiter__(self) -> Self:
        return self

    async def receive(self) -> T:
        """The next item, as `anext(stream)` gives it; StopAsyncIteration at the end.

        StreamError, once, where the stream ended otherwise than well.
        """
        call = self._call
        try:
            try:
                payload, layout = call.take() or await call.receive()
            except Exception as end:
                is_error = not isinstance(end, StopAsyncIteration)
                if call.outcome is not None and await _had_their_say(call) and is_error:
                    raise StopAsyncIteration from None
                raise
            if self._decode is None:
                return payload  # type: ignore[return-value]
            try:
                return self._decode(payload, layout)  # type: ignore[no-any-return]
            except BaseException as error:
                call.abort("an item does not fit its type")
                call.failure = None
                if not isinstance(error, Exception):
                    raise
                text = f"item of {call.method!r} does not fit its type: {why_not(error)}"
                raise StreamApplicationError(text, code=Status.INTERNAL) from cause_of(error)
        except asyncio.CancelledError:
            call.abort("its reader was cancelled")
            raise
        finally:
            del call

    __anext__ = receive

    async def send(self, item: Any) -> None:
        """Send an item, as soon as credit allows. StreamError once the call is over."""
        if not self._writes:
            raise FailedPrecondition(f"call {self._call.method!r} sends the items it was given; it takes no others")
        payload, layout = (item, RAW) if type(item) is bytes else encode_request(item)
        call = self._call
        try:
            if not call.send_now(payload, layout):
                await call.send_later(payload, layout)
        except asyncio.CancelledError:
            call.abort("its writer was cancelled")
            raise
        except StreamError as error:
            if not call.output_ended:  # an item above the peer's limit: as where items are given, it ends the call
                call.fail(StreamApplicationError(error.message, code=error.code))
            raise
        finally:
            del call

    async def end(self) -> None:
        """The half-close: no more items from here; the peer's still come."""
        if not self._writes:
            raise FailedPrecondition(f"call {self._call.method!r} ends with the items it was given")
        await self._call.end_output()

    async def aclose(self) -> None:
        """`abort()`, for `contextlib.aclosing` and whoever closes an async iterator. Waits for nothing."""
        self.abort()

    def abort(self) -> None:
        """Let go of the call and cancel its handler. Safe at any time, any number of times."""
        self._call.abort()

    @property
    def metadata(self) -> IncomingMetadata:
        """What the handler sent with `send_metadata`: empty until it has come. `await stream.metadata` waits for it.

        Awaited, it is there with the handler's `send_metadata`, or with its first item where it sent none; what ended
        the call before either is raised, and to the reader too.
        """
        return IncomingMetadata(self._call.initial_metadata, self._call.arrival_of_metadata)

    @property
    def trailers(self) -> Metadata:
        """What came with the end of the call."""
        return self._call.trailers

    @property
    def peer(self) -> Peer:
        """The server; its address is empty until the call is on the wire."""
        call = self._call
        return Peer(call.peer) if call.connection is None else call.connection.peer_facts()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.abort("its block was left")

    def __del__(self) -> None:
        call: ClientCall | None = getattr(self, "_call", None)
        if call is None or (call.finished and not call.has_unread):
            return
        loop = call.loop
        if asyncio._get_running_loop() is loop:
            call.abort("its last reference was lost")
        elif not loop.is_closed():
            loop.call_soon_threadsafe(call.abort, "its last reference was lost")
