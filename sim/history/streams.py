"""The calls that are not unary, put together from what both ends recorded.

Tests: tests/sim/history/test_history.py, tests/sim/report/test_tables.py.
"""

import math

from sim.history.facts import Stream, StreamEnd
from sim.trace import Event

__all__ = ["Streams"]


class Streams:
    """A part of a reader. Of more than `limit` streams the others are counted."""

    def __init__(self, limit: float = math.inf) -> None:
        self._limit = limit
        self.all: list[Stream] = []
        """In the order of their starts."""
        self.omitted = 0
        self._latest: dict[tuple[str, int], Stream] = {}
        """By connection and number; a process that restarts may use both again."""

    def on_call_started(self, event: Event) -> None:
        if event.fields.get("shape") != "unary":
            stream = self._latest.get(_key(event))
            if stream is None or stream.caller is not None:
                stream = self._new(event)
            if stream is None:
                self.omitted += 1
                return
            stream.caller = StreamEnd(event.node, event.time, event.line)
            stream.peer = str(event.fields.get("peer") or "")

    def on_handler_started(self, event: Event) -> None:
        if event.fields.get("shape") != "unary":
            stream = self._latest.get(_key(event))
            if stream is None or stream.handler is not None:
                stream = self._new(event)
            if stream is not None:
                stream.handler = StreamEnd(event.node, event.time, event.line)

    def _new(self, event: Event) -> Stream | None:
        if len(self.all) >= self._limit:
            self._latest.pop(_key(event), None)
            return None
        stream = self._latest[_key(event)] = Stream(*_key(event), method=str(event.fields.get("method", "")))
        self.all.append(stream)
        return stream

    def on_call_ended(self, event: Event) -> None:
        if stream := self._latest.get(_key(event)):
            _end(stream.caller, event)

    def on_handler_ended(self, event: Event) -> None:
        if stream := self._latest.get(_key(event)):
            _end(stream.handler, event)


def _key(event: Event) -> tuple[str, int]:
    return str(event.fields.get("connection", "")), int(event.fields.get("stream") or 0)


def _end(end: StreamEnd | None, event: Event) -> None:
    if end is not None and end.end == math.inf:
        end.end, end.end_line, end.status = event.time, event.line, event.fields.get("status")
