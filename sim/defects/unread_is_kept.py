"""What is unread of a stream when it is let go keeps its credit: in the end the connection has none left.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.stream import Stream

__all__ = ["unread_is_kept"]


@contextmanager
def unread_is_kept() -> Iterator[None]:
    drop_input = Stream.drop_input

    def keep_the_credit(stream: Stream) -> None:
        connection, stream.connection = stream.connection, None
        try:
            drop_input(stream)
        finally:
            stream.connection = connection

    with patch.object(Stream, "drop_input", keep_the_credit):
        yield
