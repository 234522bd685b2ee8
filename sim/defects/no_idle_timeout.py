"""Streams never time out: the idle timer fires and draws no conclusion, so a reader waits for the dead.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.stream import Stream

__all__ = ["no_idle_timeout"]


@contextmanager
def no_idle_timeout() -> Iterator[None]:
    def wait_on(flow: Stream) -> None:
        """Instead of StreamTimeout."""

    with patch.object(Stream, "_idle_judged", wait_on):
        yield
