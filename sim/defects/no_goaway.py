"""A server that stops tells nobody: its clients send it calls until it is gone.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.server.connection import ServerConnection

__all__ = ["no_goaway"]


@contextmanager
def no_goaway() -> Iterator[None]:
    def say_nothing(connection: ServerConnection, status: int, text: str) -> None:
        """Instead of GOAWAY."""

    with patch.object(ServerConnection, "say_goaway", say_nothing):
        yield
