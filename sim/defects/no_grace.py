"""A server that stops cancels at once what runs, whatever grace it was given.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet import RpcServer

__all__ = ["no_grace"]


@contextmanager
def no_grace() -> Iterator[None]:
    stop = RpcServer.stop

    async def at_once(server: RpcServer, grace: float = 0.0) -> None:
        await stop(server, 0.0)

    with patch.object(RpcServer, "stop", at_once):
        yield
