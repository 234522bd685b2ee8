"""A silent peer is never asked for a sign of life: a connection that was cut without a word lasts for ever.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.connection import Connection

__all__ = ["no_keepalive"]


@contextmanager
def no_keepalive() -> Iterator[None]:
    def wait_on(connection: Connection) -> None:
        """Instead of a timer."""

    with patch.object(Connection, "_arm_keepalive", wait_on):
        yield
