"""The place of a call that was let go is never free again: after max_streams of them a client waits for ever."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.client.connection import ClientConnection

__all__ = ["place_is_kept"]


@contextmanager
def place_is_kept() -> Iterator[None]:
    forget = ClientConnection.forget

    def unless_let_go(connection: ClientConnection, number: int) -> None:
        if not connection.calls[number].is_let_go:
            forget(connection, number)

    with patch.object(ClientConnection, "forget", unless_let_go):
        yield
