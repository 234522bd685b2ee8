"""What we send counts as a sign of the peer's life: who talks to a dead peer waits for it as long as he talks.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet.stream import Stream

__all__ = ["sending_is_life"]


@contextmanager
def sending_is_life() -> Iterator[None]:
    send = Stream.send

    async def and_be_heard(stream: Stream, payload: bytes, flags: int = 0) -> None:
        await send(stream, payload, flags)
        if stream.waits is not None:
            stream.waits.item_came(stream.loop.time())

    with patch.object(Stream, "send", and_be_heard):
        yield
