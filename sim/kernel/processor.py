"""How long a machine's processor takes for each step of a program: no time, unless somebody says so.

On a real machine a callback takes some ten microseconds, now and then much more, and meanwhile datagrams arrive and
timers become due. Which of them come before the next turn decides what the program does; where steps take no time,
that is the same in nearly every run. So this finds races that no order of ready tasks shows, and with `factor` what a
program does on a machine that is too slow for it.

Knows no loop and no node. Tests: tests/sim/kernel/test_processor.py.
"""

import math
from collections.abc import Callable
from random import Random

from sim.network.latency import Distribution, parse_latency

__all__ = ["USUAL_CPU", "Processor"]

USUAL_CPU = parse_latency("lognormal(50us, 1)")
"""What a slow machine's steps take, times its factor, where nobody has said what they take."""


class Processor:
    """Of one machine, over its restarts. `seed` decides what is drawn."""

    __slots__ = ("_cpu", "_factor", "_random", "draw")

    def __init__(self, seed: str) -> None:
        self._random: Random | str = seed
        self._cpu: Distribution | None = None
        self._factor = 1.0
        self.draw: Callable[[], float] | None = None
        """Seconds that the next step takes; None = steps take no time."""

    @property
    def cpu(self) -> Distribution | None:
        return self._cpu

    @cpu.setter
    def cpu(self, cpu: Distribution | None) -> None:
        self._cpu = cpu if cpu is not None and cpu.mean > 0 else None
        self._decide()

    @property
    def factor(self) -> float:
        """How many times as long as usual each step takes."""
        return self._factor

    @factor.setter
    def factor(self, factor: float) -> None:
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1 <= factor < math.inf:
            raise ValueError(f"a machine is slow by a factor of at least 1, not {factor!r}")
        self._factor = float(factor)
        self._decide()

    def _decide(self) -> None:
        factor, cpu = self._factor, self._cpu
        if cpu is None and factor == 1.0:
            self.draw = None
            return
        if isinstance(self._random, str):
            self._random = Random(self._random)
        draw = (cpu or USUAL_CPU).sampler(self._random)
        self.draw = draw if factor == 1.0 else lambda: factor * draw()
