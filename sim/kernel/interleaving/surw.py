"""Selectively uniform random walk: every interleaving of the steps that matter has about the same chance.

H. Zhao, D. Wolff, U. Mathur, A. Roychoudhury, Selectively Uniform Concurrency Testing, ASPLOS 2025, section 3. Where
threads have 2 and 20 steps left, a fair coin nearly always ends the short one first; a choice weighted by the steps
that remain makes all interleavings of the two equally likely (algorithm 1). Which steps matter is drawn, and the others
walk at random in between (algorithm 2). Tests: tests/sim/kernel/interleaving/test_strategies.py.
"""

from collections.abc import Sequence
from random import Random

from sim.kernel.interleaving.steps import Step, Thread
from sim.kernel.interleaving.strategy import Strategy

__all__ = ["UniformWalk"]


class UniformWalk(Strategy):
    """Chooses by an estimate of the steps that remain, so that uniformity is only approached.

    The paper counts each thread's steps in a run beforehand; here a run knows nothing of others, as a seed alone must
    replay it. A task is expected to take as many steps as those of the same origin that have ended in this run took
    (the mean). While none has ended: as many again as it has taken so far, and one.

    The paper draws which objects matter. Here the seed draws, half of the time, that all steps do, else for each origin
    (a coroutine's name) whether the steps of its tasks do.
    """

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self._all = random.random() < 0.5
        self._matters: dict[str, bool] = {}
        self._ended: dict[str, tuple[int, int]] = {}
        """By origin: how many tasks have ended, after how many steps in all."""
        self._intended: Thread | None = None
        """Whose step is the next one of those that matter."""

    def begin(self, origin: str) -> Thread:
        if origin not in self._matters:
            self._matters[origin] = self._all or self.random.random() < 0.5
        return super().begin(origin)

    def choose(self, ready: Sequence[Step]) -> Step:
        if len(ready) == 1:
            return ready[0]
        free = [step for step in ready if not self._matters[step.thread.origin]]
        if len(free) < len(ready):
            free.append(self._next(ready))
        return free[int(self.random.random() * len(free))]

    def _next(self, ready: Sequence[Step]) -> Step:
        """Of those that matter the one that is to go first."""
        held = [step for step in ready if self._matters[step.thread.origin]]
        for step in held:
            if step.thread is self._intended:
                return step
        step = self.random.choices(held, [self._remaining(step.thread) for step in held])[0]
        self._intended = step.thread
        return step

    def _remaining(self, thread: Thread) -> float:
        ended, steps = self._ended.get(thread.origin, (0, 0))
        return max(1.0, steps / ended - thread.steps) if ended else thread.steps + 1.0

    def ran(self, step: Step) -> None:
        thread = step.thread
        if thread is self._intended:
            self._intended = None
        if step.task is not None and step.task.done():
            ended, steps = self._ended.get(thread.origin, (0, 0))
            self._ended[thread.origin] = ended + 1, steps + thread.steps
