"""Expectations whose value is `true`: there is nothing else that it could be.

Tests: tests/sim/scenario/expect/test_no_leaks.py.
"""

from collections.abc import Sequence

from sim.scenario.verdict import DeclaredFault, Expectation, ExpectationError, Select

__all__ = ["Flag"]


class Flag(Expectation, frozen=True, kw_only=True):
    """`key = true`."""

    def check(self, faults: Sequence[DeclaredFault], select: Select) -> None:
        super().check(faults, select)
        if getattr(self, self.KEY) is not True:
            raise ExpectationError(f"{self.KEY} = false expects nothing: leave it out", key=self.KEY, allowed=["true"])
