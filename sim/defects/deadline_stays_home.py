"""A call's deadline is the caller's own business: it does not travel, and a handler may run for ever.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.client import connection

__all__ = ["deadline_stays_home"]


@contextmanager
def deadline_stays_home() -> Iterator[None]:
    def none(deadline: float | None, now: float) -> int:
        return 0

    with patch.object(connection, "micros_left", none):
        yield
