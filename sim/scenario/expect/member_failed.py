"""`member_failed`: each observer recorded each selected member as failed, in time.

Tests: tests/sim/scenario/expect/test_member_failed.py.
"""

from typing import ClassVar

from sim.scenario.expect.recorded import Recorded
from sim.scenario.expect.timed import DELAYS, HARM
from sim.scenario.schema import Selector

__all__ = ["MemberFailed"]


class MemberFailed(Recorded, frozen=True, kw_only=True):
    """Detection. Measures detection_first, detection_p50, detection_p99 and detection_last, in seconds."""

    KEY: ClassVar[str] = "member_failed"
    SELECTORS: ClassVar[tuple[str, ...]] = ("member_failed", "by")
    MEASURES: ClassVar[tuple[str, ...] | None] = ("detection_first", "detection_p50", "detection_p99", "detection_last")
    SUBJECT: ClassVar[str | None] = "member_failed"
    FITS: ClassVar[tuple[frozenset[str], ...]] = (HARM, DELAYS)
    STATE: ClassVar[str] = "failed"
    FIGURE: ClassVar[str] = "detection"

    member_failed: Selector
    """The members of which it is expected."""
