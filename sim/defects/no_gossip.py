"""News waits for probes to ride on: nobody is told of it in between, and tables are not compared for its sake.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.cluster.swim.contacts import Contacts
from rpcnet.cluster.swim.core import Core

__all__ = ["no_gossip"]


@contextmanager
def no_gossip() -> Iterator[None]:
    def tell_nobody(core: Core, now: float) -> None:
        """Instead of a few at random."""

    def leave_it_so(contacts: Contacts, sender: str, digest: int, now: float) -> None:
        """Instead of a push-pull out of turn."""

    with patch.object(Core, "_gossip", tell_nobody), patch.object(Contacts, "compare", leave_it_so):
        yield
