"""The place of a call that was let go is never free again: after max_streams of them a client waits for ever.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.client.connection import ClientConnection

__all__ = ["place_is_kept"]


@contextmanager
def place_is_kept() -> Iterator[None]:
    forget = ClientConnection.forget

    def and_keep_the_place(connection: ClientConnection, number: int) -> None:
        if connection.calls[number].is_let_go:
            connection.unread += 1  # as if somebody had yet to read what came
        forget(connection, number)

    with patch.object(ClientConnection, "forget", and_keep_the_place):
        yield
