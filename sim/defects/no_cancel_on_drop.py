"""Whoever lets a call go keeps it to itself: no CANCEL is sent, and the handler at the other end goes on.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.client.call import ClientCall

__all__ = ["no_cancel_on_drop"]


@contextmanager
def no_cancel_on_drop() -> Iterator[None]:
    def say_nothing(call: ClientCall, code: int) -> None:
        """Instead of a CANCEL frame."""

    with patch.object(ClientCall, "_let_go", say_nothing):
        yield
