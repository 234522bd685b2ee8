"""The calls that a handler makes know nothing of its deadline: they go on when nobody waits for them any more.

Tests: tests/test_scenarios.py.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.client import client

__all__ = ["no_inheritance"]


@contextmanager
def no_inheritance() -> Iterator[None]:
    def none(loop: asyncio.AbstractEventLoop) -> float | None:
        return None

    with patch.object(client, "inherited_deadline", none):
        yield
