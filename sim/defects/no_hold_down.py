"""A member that fails again and again contradicts each time at once.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.cluster.swim.damping import Damping

__all__ = ["no_hold_down"]


@contextmanager
def no_hold_down() -> Iterator[None]:
    with patch.object(Damping, "holds", lambda damping, incarnation, now: False):
        yield
