"""Answers and items are awaited in asyncio.timeout: when a loop stood still, its late timer wins over what has come.

Tests: tests/test_scenarios.py.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from rpcnet import DeadlineExceeded, RpcClient, StreamTimeout
from rpcnet.stream import Stream

__all__ = ["late_timer_wins"]


@contextmanager
def late_timer_wins() -> Iterator[None]:
    call, receive = RpcClient.call, Stream.receive

    async def call_in_timeout(client: RpcClient, *args: Any, timeout: Any = None, **options: Any) -> Any:
        try:
            async with asyncio.timeout(timeout):
                return await call(client, *args, timeout=timeout, **options)
        except TimeoutError as error:
            raise DeadlineExceeded("the timer won") from error

    async def receive_in_timeout(stream: Stream) -> tuple[bytes, int]:
        try:
            async with asyncio.timeout(None if stream.waits is None else stream.waits.allowed):
                return await receive(stream)
        except TimeoutError as error:
            raise StreamTimeout("the timer won") from error

    with patch.object(RpcClient, "call", call_in_timeout), patch.object(Stream, "receive", receive_in_timeout):
        yield
