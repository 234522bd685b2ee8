"""What a server refuses because a limit of its own is reached: counted, and told in the log at most so often.

Knows no limit and no connection: whoever refuses says which limit it was.

Tests: tests/rpcnet/server/test_refusals.py.
"""

import logging
from typing import Final

__all__ = ["LOG_SECONDS", "Refusals"]

_log = logging.getLogger("rpcnet")

LOG_SECONDS: Final = 10.0
"""Between two lines about the same limit: an overloaded server refuses thousands a second."""


class Refusals:
    """The refusals of one server since it was started."""

    __slots__ = ("_told", "calls", "connections")

    def __init__(self) -> None:
        self.calls = 0
        self.connections = 0
        self._told: dict[str, tuple[float, int]] = {}
        """By limit: when the last line was written, and the refusals since. As many as there are limits."""

    def call(self, limit: str, peer: str, now: float) -> None:
        self.calls += 1
        self._tell("a call", limit, peer, now)

    def connection(self, limit: str, peer: str, now: float) -> None:
        self.connections += 1
        self._tell("a connection", limit, peer, now)

    def _tell(self, what: str, limit: str, peer: str, now: float) -> None:
        last, since = self._told.get(limit, (now - LOG_SECONDS, 0))
        if now < last + LOG_SECONDS:
            self._told[limit] = last, since + 1
            return
        self._told[limit] = now, 0
        more = f" ({since} more were refused since the last such line)" if since else ""
        _log.warning("server refused %s of %s: %s%s", what, peer or "(unknown peer)", limit, more)
