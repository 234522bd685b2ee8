"""The idle clock runs while the reader is busy: who takes longer over an item than idle_timeout loses the stream.

Tests: tests/test_scenarios.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from rpcnet import StreamTimeout
from rpcnet.stream import Stream

__all__ = ["slow_reader_is_late"]


@contextmanager
def slow_reader_is_late() -> Iterator[None]:
    item = Stream.item
    came: dict[Stream, float] = {}

    def then_run_the_clock(stream: Stream, flags: int, payload: bytes) -> None:
        item(stream, flags, payload)
        if stream.waits is not None:
            came[stream] = now = stream.loop.time()
            stream.loop.call_later(stream.waits.allowed, judge, stream, now)

    def judge(stream: Stream, since: float) -> None:
        if came[stream] == since and not stream.finished:
            stream.fail(StreamTimeout("nothing came while the reader was busy"))

    with patch.object(Stream, "item", then_run_the_clock):
        yield
