"""Cancelled calls are not counted: a peer may open and cancel without end, and each call starts a handler.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.flow.ration import Ration

__all__ = ["no_ration"]


@contextmanager
def no_ration() -> Iterator[None]:
    def as_many_as_you_like(ration: Ration, now: float) -> bool:
        return True

    with patch.object(Ration, "take", as_many_as_you_like):
        yield
