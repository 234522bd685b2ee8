"""However many doubt a member, each counts alone: it has the longest time to refute, and the dead are found late.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.cluster.swim.suspicion import Suspicion

__all__ = ["no_confirmation"]


@contextmanager
def no_confirmation() -> Iterator[None]:
    def not_news(suspicion: Suspicion, accuser: str) -> bool:
        return False

    with patch.object(Suspicion, "confirm", not_news):
        yield
