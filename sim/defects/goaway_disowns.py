"""GOAWAY says of every call that no handler has seen it: clients make again what runs already.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.wire import writer

__all__ = ["goaway_disowns"]


@contextmanager
def goaway_disowns() -> Iterator[None]:
    goaway = writer.goaway

    def of_none(last: int, status: int, text: str) -> bytes:
        return goaway(0, status, text)

    with patch.object(writer, "goaway", of_none):
        yield
