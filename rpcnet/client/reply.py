"""What a caller holds of a single answer, and of the metadata that comes before a stream's first item.

Tests: tests/rpcnet/client/test_reply.py.
"""

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rpcnet.errors import Metadata

__all__ = ["IncomingMetadata", "Reply"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply(Generic[T]):
    """One answer, with what came before it and after it."""

    value: T
    metadata: Metadata
    """What the handler sent with `send_metadata`."""
    trailers: Metadata
    """What came with the end of the call."""


class IncomingMetadata(dict[str, str | bytes]):
    """A stream's metadata: what has come so far, and `await` waits until it has come."""

    __slots__ = ("_arrival",)

    def __init__(self, metadata: Metadata, arrival: Callable[[], Awaitable[Metadata]]) -> None:
        super().__init__(metadata)
        self._arrival = arrival

    def __await__(self) -> Generator[Any, None, Metadata]:
        return self._arrival().__await__()
