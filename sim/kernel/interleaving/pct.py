"""Probabilistic concurrency testing: priorities, and a few points at which one changes.

S. Burckhardt, P. Kothari, M. Musuvathi, S. Nagarakatte, A Randomized Scheduler with Probabilistic Guarantees of Finding
Bugs, ASPLOS 2010, sections 2 and 3. A bug of depth d (so many orderings that must all hold) among n threads of k steps
is found with a probability of at least 1 / (n k^(d-1)). Tests: tests/sim/kernel/interleaving/test_strategies.py.
"""

from collections.abc import Sequence
from random import Random

from sim.kernel.interleaving.steps import Step
from sim.kernel.interleaving.strategy import Strategy

__all__ = ["PriorityChanges"]

MAX_DEPTH = 4
SHORTEST, LONGEST = 4, 2**12
"""Steps of a node among which the change points lie."""


class PriorityChanges(Strategy):
    """The ready thread of the highest priority goes on, until it waits or comes to a change point.

    The paper is given d and k. Neither is known here before a run, so the seed draws them: d from 1 to MAX_DEPTH, k
    between SHORTEST and LONGEST, each order of magnitude with the same chance. A program that polls with `sleep(0)`
    would starve all others for ever: whoever was passed over too often gets the highest priority.
    """

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        steps = int(SHORTEST * (LONGEST / SHORTEST) ** random.random())
        self._changes = {random.randrange(steps): -depth for depth in range(random.randrange(MAX_DEPTH))}
        """By the number of steps before: the priority, below all drawn ones, that the next thread gets."""
        self._taken = 0
        self._highest = 1.0

    def choose(self, ready: Sequence[Step]) -> Step:
        step = max(ready, key=_priority)
        change = self._changes.pop(self._taken, None)
        if change is not None:
            step.thread.priority = float(change) - 1.0
            step = max(ready, key=_priority)
        return step

    def ran(self, step: Step) -> None:
        self._taken += 1

    def overdue(self, step: Step) -> None:
        self._highest += 1.0
        step.thread.priority = self._highest


def _priority(step: Step) -> float:
    return step.thread.priority
