"""A connection grants no more credit than one of its streams: who leaves his own unread stops the others.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import msgspec

from rpcnet.connection import Connection
from rpcnet.wire.frame import Hello

__all__ = ["shared_window"]


@contextmanager
def shared_window() -> Iterator[None]:
    hello = Connection._hello

    def of_one_stream(connection: Connection) -> Hello:
        window = connection.config.stream_window_bytes
        return msgspec.structs.replace(hello(connection), connection_window_bytes=window)

    with patch.object(Connection, "_hello", of_one_stream):
        yield
