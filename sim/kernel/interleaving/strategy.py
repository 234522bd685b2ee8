"""What a strategy is asked, and the simplest one. Tests: tests/sim/kernel/interleaving/test_strategies.py."""

from collections.abc import Sequence
from random import Random

from sim.kernel.interleaving.steps import Step, Thread

__all__ = ["RandomWalk", "Strategy"]


class Strategy:
    """Chooses for one node. All of its chance comes from `random`."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def begin(self, origin: str) -> Thread:
        """A task was seen for the first time."""
        return Thread(origin, self.random.random())

    def add(self, step: Step) -> None:
        """A step has become ready."""

    def choose(self, ready: Sequence[Step]) -> Step:
        """One of these: one or more, those that are ready longest first."""
        raise NotImplementedError

    def ran(self, step: Step) -> None:
        """The chosen step has run."""

    def overdue(self, step: Step) -> None:
        """This step was passed over too often and goes next: its thread must not be starved for ever."""


class RandomWalk(Strategy):
    """Each ready step with the same chance.

    The naive walk of P. Thomson, A. Donaldson, A. Betts, Concurrency Testing Using Controlled Schedulers, ACM TOPC
    2(4), 2016. Finds what a few switches at any place bring about. A long delay of one task, in which others take many
    steps, is as good as impossible.
    """

    def choose(self, ready: Sequence[Step]) -> Step:
        return ready[int(self.random.random() * len(ready))]
