"""`tags_converged`: as `converged`, and all observers hold the latest tags of each member, as its owner set them.

Tests: tests/sim/scenario/expect/test_tags_converged.py.
"""

from typing import ClassVar

from sim.scenario.expect.converged import Agreed

__all__ = ["TagsConverged"]


class TagsConverged(Agreed, frozen=True, kw_only=True):
    """All observers hold the owner's latest tags of every member that is up."""

    KEY: ClassVar[str] = "tags_converged"
    TAGS: ClassVar[bool] = True
    WHAT: ClassVar[str] = "who is alive and on everybody's tags"

    tags_converged: bool
    """true"""
