"""All streams of a connection share one stream's window: who leaves his own unread stops the others."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.config import RpcConfig
from rpcnet.connection import Connection
from rpcnet.observe import Observer

__all__ = ["shared_window"]


@contextmanager
def shared_window() -> Iterator[None]:
    init = Connection.__init__

    def with_one_window(connection: Connection, config: RpcConfig, observer: Observer | None) -> None:
        config = copy.copy(config)
        # Past the checks of RpcConfig, which refuse it.
        object.__setattr__(config, "connection_window_bytes", config.stream_window_bytes)
        init(connection, config, observer)

    with patch.object(Connection, "__init__", with_one_window):
        yield
