"""Credit is given back when an item arrives, not when it is read: nothing holds back who writes to a slow reader.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.stream import Stream

__all__ = ["unread_is_credited"]


@contextmanager
def unread_is_credited() -> Iterator[None]:
    message = Stream.message

    def at_once(stream: Stream, payload: bytes, layout: int, held: int) -> None:
        stream.release(held)
        message(stream, payload, layout, 0)

    with patch.object(Stream, "message", at_once):
        yield
