"""A suspect has a tenth of a second to refute, however few accuse it: one unanswered probe is as good as a death.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.cluster.swim import suspicion

__all__ = ["hasty_verdict"]

HASTE = 0.1


@contextmanager
def hasty_verdict() -> Iterator[None]:
    def at_once(least: float, most: float, confirmations: int, k: int) -> float:
        return HASTE

    with patch.object(suspicion, "remaining", at_once):
        yield
