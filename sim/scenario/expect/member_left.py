"""`member_left`: each observer recorded each selected member as left, not as failed, in time.

Tests: tests/sim/scenario/expect/test_member_left.py.
"""

from typing import ClassVar

from sim.scenario.expect.recorded import Recorded
from sim.scenario.faults import Kind, verbs_of
from sim.scenario.schema import Selector

__all__ = ["MemberLeft"]


class MemberLeft(Recorded, frozen=True, kw_only=True):
    """A leave that was flushed. Measures notice_first, notice_p50, notice_p99 and notice_last, in seconds."""

    KEY: ClassVar[str] = "member_left"
    SELECTORS: ClassVar[tuple[str, ...]] = ("member_left", "by")
    MEASURES: ClassVar[tuple[str, ...] | None] = ("notice_first", "notice_p50", "notice_p99", "notice_last")
    SUBJECT: ClassVar[str | None] = "member_left"
    FITS: ClassVar[tuple[frozenset[str], ...]] = (verbs_of(Kind.LEAVE),)
    STATE: ClassVar[str] = "left"
    FIGURE: ClassVar[str] = "notice"

    member_left: Selector
    """The members of which it is expected."""
