"""Which packets of each sender have come: a sliding window of counters (RFC 4303, section 3.4.3; RFC 6479).

A sender numbers all its packets, to whomever, so each receiver sees some of the numbers, nearly in order. Here is kept,
for each session of a sender, the highest number and which of the WINDOW - 1 below it came: two numbers in one integer,
as a large cluster has many, and a short one where those below are far below. Older ones count as repeated. Knows no key
and no clock.

Tests: tests/rpcnet/cluster/seal/test_window.py.
"""

from typing import Final

__all__ = ["WINDOW", "Windows"]

WINDOW: Final = 256
"""Packets of one sender that may overtake another one of it. It sends some 20 a second at most: ten seconds."""
MASK: Final = (1 << WINDOW) - 1
BITS: Final = 32
"""Of a counter. It is the lower part, those that came before it are above, one bit each."""
COUNTER: Final = (1 << BITS) - 1


class Windows:
    """The windows of at most two times `limit` sessions; those that were silent longest are forgotten first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._young: dict[bytes, int] = {}
        self._old: dict[bytes, int] = {}
        """All that were young when there were too many of them; what is heard of again is young again."""

    def after(self, session: bytes, counter: int) -> int | None:
        """The session's window once this counter has come; None where it came before, or may have."""
        window = self._young.get(session)
        if window is None:
            window = self._old.get(session)
            if window is None:
                return 1 << BITS | counter
        ahead = counter - (window & COUNTER)
        if ahead >= WINDOW:
            return 1 << BITS | counter
        came = window >> BITS
        if ahead > 0:
            return ((came << ahead | 1) & MASK) << BITS | counter
        if ahead <= -WINDOW or came >> -ahead & 1:
            return None
        return window | 1 << (BITS - ahead)

    def keep(self, session: bytes, window: int) -> None:
        if len(self._young) >= self._limit and session not in self._young:
            self._young, self._old = {}, self._young
        self._young[session] = window

    def __len__(self) -> int:
        return len(self._young | self._old)
