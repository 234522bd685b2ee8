"""`member_recovered`: each observer that had lost a selected member recorded it as back, in time.

Counted from the end of the fault, where it was undone (a partition healed, a node restarted). An observer that never
recorded the member as failed or left, in any of its runs, has nothing to recover from and is not asked.

Tests: tests/sim/scenario/expect/test_member_recovered.py.
"""

from collections.abc import Sequence
from typing import ClassVar

from sim.history import Sighting
from sim.scenario.expect.recorded import Recorded
from sim.scenario.expect.timed import DELAYS, HARM
from sim.scenario.faults import Kind, verbs_of
from sim.scenario.schema import Selector

__all__ = ["MemberRecovered"]

_LOST = frozenset({"member_failed", "member_left"})
_BACK = frozenset({"member_recovered", "member_joined"})


class MemberRecovered(Recorded, frozen=True, kw_only=True):
    """Return. Measures recovery_first, recovery_p50, recovery_p99 and recovery_last, in seconds."""

    KEY: ClassVar[str] = "member_recovered"
    SELECTORS: ClassVar[tuple[str, ...]] = ("member_recovered", "by")
    MEASURES: ClassVar[tuple[str, ...] | None] = ("recovery_first", "recovery_p50", "recovery_p99", "recovery_last")
    SUBJECT: ClassVar[str | None] = "member_recovered"
    FITS: ClassVar[tuple[frozenset[str], ...]] = (
        verbs_of(Kind.RETURN),
        HARM,
        DELAYS,
    )
    OF_UNDOING: ClassVar[bool] = True
    OF_THE_RUN: ClassVar[bool] = False
    STATE: ClassVar[str] = "recovered"
    FIGURE: ClassVar[str] = "recovery"

    member_recovered: Selector
    """The members of which it is expected."""

    def recorded(self, seen: Sequence[Sighting], start: float) -> Sighting | None:
        lost, back = False, None
        for sighting in seen:
            if sighting.name in _LOST:
                lost, back = True, None
            elif sighting.name in _BACK and lost and back is None:
                back = sighting
        return back

    def asked(self, seen: Sequence[Sighting]) -> bool:
        return any(sighting.name in _LOST for sighting in seen)

    def nobody_asked(self, victim: str) -> str:
        return f"nobody had recorded {victim} as failed or left, so there was nothing to recover from"
