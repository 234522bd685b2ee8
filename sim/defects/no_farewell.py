"""Whoever leaves goes without a word: the others find out by themselves, and take it for dead.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.cluster.swim.core import Core
from rpcnet.cluster.swim.effect import Effect, Flushed

__all__ = ["no_farewell"]


@contextmanager
def no_farewell() -> Iterator[None]:
    def go(core: Core, now: float) -> list[Effect]:
        core.stop()
        return [Flushed()]

    with patch.object(Core, "leave", go):
        yield
