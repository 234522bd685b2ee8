"""A suspect is never declared failed: the time that it has to refute runs out, and nothing follows.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.cluster.swim.table import Table

__all__ = ["no_suspicion_timeout"]


@contextmanager
def no_suspicion_timeout() -> Iterator[None]:
    def wait_on(table: Table, name: str, now: float) -> None:
        """Instead of a verdict."""

    with patch.object(Table, "give_up", wait_on):
        yield
