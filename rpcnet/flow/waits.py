"""The clocks of a call's waits for its peer: since when somebody waits, and when the first of them has waited too long.

Each wait has a clock of its own, which starts when the wait starts. A reader's, and that of whoever awaits the one
answer, restarts with each item, or part of one, of this call; a writer's with each CREDIT for this stream. Nothing that
is sent from here restarts any, so that a talkative caller of a dead peer is not kept waiting.

Knows no timer and no task; times are given.

Tests: tests/rpcnet/flow/test_waits.py.
"""

from typing import Final

__all__ = ["NEVER", "Waits"]

NEVER: Final = float("inf")
"""Since when somebody waits, where nobody does."""


class Waits:
    """Two clocks of one call. `allowed` is how many seconds a wait may last."""

    __slots__ = ("allowed", "read_since", "write_since")

    def __init__(self, allowed: float) -> None:
        self.allowed = allowed
        self.read_since = NEVER
        self.write_since = NEVER

    def begin_writing(self, now: float) -> None:
        """Credit, or a connection, is awaited; who waits in several steps waits once."""
        if self.write_since == NEVER:
            self.write_since = now

    def item_came(self, now: float) -> None:
        """An item of this call, or a part of one."""
        if self.read_since != NEVER:
            self.read_since = now

    def credit_came(self, now: float) -> None:
        """CREDIT for this stream."""
        if self.write_since != NEVER:
            self.write_since = now

    @property
    def due(self) -> float:
        """When the wait that began first has lasted too long; NEVER where nobody waits."""
        return min(self.read_since, self.write_since) + self.allowed

    @property
    def reader_is_first(self) -> bool:
        """Whether that wait is a reader's."""
        return self.read_since <= self.write_since
