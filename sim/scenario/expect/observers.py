"""Which observers owe what an expectation asks for: one rule for all of them.

* Asked are the nodes that run a cluster at the deadline, as far as `by` selects them.
* A node is judged by all its runs: what it recorded before it restarted counts.
* It owes a record of a member where its present run was up before the strike and until the deadline. A run that began
  later, or at that moment, owes it only if it listed the member as it was when it was struck: what happened before it
  joined is not in its first table as news.
* A node that the same fault took down again within the window owes nobody a list, and nobody owes it in theirs: that
  strike has a window of its own.

Tests: tests/sim/scenario/expect/test_observers.py.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from sim.history import History, Membership, Sighting
from sim.scenario.expect.timed import Window

__all__ = ["LISTS", "Observer", "observers", "restarted", "struck"]

LISTS = frozenset({"member_joined", "member_recovered", "member_suspected"})
"""What an observer records of a member that it lists from then on."""


@dataclass(frozen=True, slots=True)
class Observer:
    """A node that is asked."""

    node: str
    run: Membership
    """The one that it has at the deadline."""

    def owes(self, history: History, window: Window, seen: Iterable[Sighting]) -> bool:
        """Whether a record of a member is due from it; `seen` is what all its runs recorded of that member."""
        # Who starts at the very moment of a strike has nobody in its list yet; the start of the run is no strike.
        there = self.run.start < window.start if window.line is not None else self.run.start <= window.start
        return there or any(
            self.run.start <= s.time <= window.deadline and s.name in LISTS and struck(history, window, s) for s in seen
        )


def observers(history: History, window: Window, among: Collection[str] | None = None) -> list[Observer]:
    """The nodes that are asked; `among` = None: all that run a cluster at the deadline."""
    asked = (node for node in history.lives if among is None or node in among)
    return [Observer(node, run) for node in asked if (run := history.membership(node, window.deadline)) is not None]


def struck(history: History, window: Window, sighting: Sighting) -> bool:
    """Whether the run of the member that a record is of may be the one that was struck in this window."""
    run = history.run_of(sighting.member, sighting.run)
    return run is None or not window.since or run.start <= window.start or run.end <= window.deadline


def restarted(history: History, window: Window) -> frozenset[str]:
    """The nodes that the same fault took down again before the deadline."""
    return frozenset(
        node
        for node, strike in window.again.items()
        if any(strike <= moment <= window.deadline for moment in _changes_of(history, node))
    )


def _changes_of(history: History, node: str) -> Sequence[float]:
    return [moment for life in history.lives.get(node, ()) for m in life.memberships for moment in (m.start, m.end)]
