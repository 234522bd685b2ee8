"""A newcomer whose name a living member has is let in, and takes its place.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.cluster.swim.message import Packet
from rpcnet.cluster.swim.replies import Replies

__all__ = ["nobody_asks_the_holder"]


@contextmanager
def nobody_asks_the_holder() -> Iterator[None]:
    def nobody(replies: Replies, packet: Packet) -> None:
        """Instead of who has the name."""

    with patch.object(Replies, "holder", nobody):
        yield
