"""A stream that goes on at another member when its own is lost.

Knows how to open a stream, as a function that is given, and what may be resumed: that the peer is gone, silent or going
away, never what a handler has said. Knows no member and no policy.

Tests: tests/rpcnet/balance/test_resume.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeAlias, TypeVar

from rpcnet.client.stream import ClientStream
from rpcnet.errors import Metadata, Status, StreamError, StreamTimeout, StreamTransportError
from rpcnet.peer import Peer

__all__ = ["Progress", "Resume", "ResumedStream"]

T = TypeVar("T")

IN_VAIN: Final = 3
"""Streams in a row that bring no item; the error of the last one is raised."""


@dataclass(frozen=True, slots=True)
class Progress(Generic[T]):
    """How far a stream had come when it was lost."""

    received: int
    """Items that were read, of all its streams."""
    last: T | None
    """The last of them; None where there is none."""
    error: StreamError
    """What ended it."""
    member: str
    """The name of the member that it was lost with; empty where there was none."""


Resume: TypeAlias = Callable[[Progress[T]], Any]
"""Gives what the next stream begins with: a request, or items to send. What it raises ends the stream."""


class ResumedStream(Generic[T]):
    """Reads as a ClientStream does; `resumed` counts how often it went on elsewhere."""

    __slots__ = (
        "__weakref__",
        "_given",
        "_last",
        "_open",
        "_over",
        "_received",
        "_resume",
        "_stream",
        "_vain",
        "_whom",
        "resumed",
    )

    def __init__(
        self,
        open_stream: Callable[[Any, ClientStream[T] | None], ClientStream[T]],
        whom: Callable[[ClientStream[T]], str],
        first: Any,
        resume: Resume[T],
    ) -> None:
        """`open_stream` gets what a stream begins with and the one that was lost; `whom` names a stream's member."""
        self._open = open_stream
        self._whom = whom
        self._resume = resume
        self._given = first
        """What the present stream began with: a BidirectionalStream that nobody holds would end its call."""
        self._stream = open_stream(first, None)
        self._received = 0
        self._last: T | None = None
        self._vain = 1
        """Streams in a row that have brought no item, with the present one."""
        self._over = False
        self.resumed = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The next item; StreamError where it cannot go on elsewhere."""
        while True:
            try:
                item = await self._stream.receive()
            except StreamError as error:
                if self._over or not _is_lost(error) or self._vain == IN_VAIN:
                    raise
                rest = self._rest(error)
                if self._over:
                    raise  # the hook has let go of it
                self._stream = self._open(rest, self._stream)
                self._given = rest
                self._vain += 1
                self.resumed += 1
                continue
            self._received += 1
            self._last = item
            self._vain = 0
            return item

    def _rest(self, error: StreamError) -> Any:
        try:
            return self._resume(Progress(self._received, self._last, error, self.member))
        except StopAsyncIteration as stop:
            raise RuntimeError("resume raised StopAsyncIteration") from stop  # which would look like the end

    async def receive(self) -> T:
        """The next item, as `anext(stream)` gives it; StopAsyncIteration at the end."""
        return await self.__anext__()

    @property
    def metadata(self) -> Metadata:
        """What the present member's handler sent with `send_metadata`; empty until it has come."""
        return dict(self._stream.metadata)

    @property
    def trailers(self) -> Metadata:
        """What came with the end of the call."""
        return self._stream.trailers

    @property
    def member(self) -> str:
        """The name of the member that it is at; empty until one was chosen."""
        return self._whom(self._stream)

    @property
    def peer(self) -> Peer:
        """The server that it is at now."""
        return self._stream.peer

    def abort(self) -> None:
        """Let go of the call and cancel its handler. It is not resumed."""
        self._over = True
        self._stream.abort()

    async def aclose(self) -> None:
        """`abort()`, for `contextlib.aclosing`."""
        self.abort()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


def _is_lost(error: StreamError) -> bool:
    """Whether the member is to blame, and another one may do better."""
    return isinstance(error, StreamTransportError | StreamTimeout) or error.code == Status.UNAVAILABLE
