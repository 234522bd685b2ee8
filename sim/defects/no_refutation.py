"""The accused does not speak up: what others say of it goes by, and its incarnation stays what it was.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.cluster.swim.member import Claim
from rpcnet.cluster.swim.table import Table

__all__ = ["no_refutation"]


@contextmanager
def no_refutation() -> Iterator[None]:
    def keep_silent(table: Table, claim: Claim, address: str | None, version: int, accuser: str) -> None:
        """Instead of a higher incarnation."""

    with patch.object(Table, "_about_me", keep_silent):
        yield
