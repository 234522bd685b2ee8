"""The accused does not speak up: it hears that others suspect it, and its incarnation stays what it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.cluster.swim.table import Table

__all__ = ["no_refutation"]


@contextmanager
def no_refutation() -> Iterator[None]:
    def keep_silent(table: Table, incarnation: int, version: int) -> None:
        """Instead of a higher incarnation."""

    with patch.object(Table, "_refute", keep_silent):
        yield
