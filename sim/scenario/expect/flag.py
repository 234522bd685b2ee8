"""Expectations whose value is `true`: there is nothing else that it could be.

Tests: tests/sim/scenario/expect/test_no_leaks.py.
"""

from collections.abc import Iterator, Sequence

from sim.scenario.verdict import DeclaredFault, Expectation, ExpectationError, Select

__all__ = ["Flag"]


class Flag(Expectation, frozen=True, kw_only=True):
    """`key = true`."""

    def mistakes(self, faults: Sequence[DeclaredFault], select: Select) -> Iterator[ExpectationError]:
        yield from super().mistakes(faults, select)
        if getattr(self, self.KEY) is not True:
            yield ExpectationError(f"{self.KEY} = false expects nothing: leave it out", key=self.KEY, allowed=["true"])
