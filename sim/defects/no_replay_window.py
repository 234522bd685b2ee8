"""What was sealed once is taken as often as it comes: whoever has recorded a packet can send it again.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.cluster.seal.window import Windows

__all__ = ["no_replay_window"]


@contextmanager
def no_replay_window() -> Iterator[None]:
    def always(windows: Windows, session: bytes, counter: int) -> int:
        return counter

    with patch.object(Windows, "after", always):
        yield
