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
    """Of one machine, over its restarts. `random` is for what is drawn."""

    __slots__ = ("_random", "cpu", "draw", "factor")

    def __init__(self, random: Random) -> None:
        self._random = random
        self.set(None, 1.0)

    def set(self, cpu: Distribution | None, factor: float) -> None:
        """What a step takes, and how many times as long; None = no time, but that of USUAL_CPU on a slow machine."""
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1 <= factor < math.inf:
            raise ValueError(f"a machine is slow by a factor of at least 1, not {factor!r}")
        self.cpu = cpu if cpu is not None and cpu.mean > 0 else None
        self.factor = times = float(factor)
        self.draw: Callable[[], float] | None = None
        """Seconds that the next step takes; None = steps take no time."""
        if self.cpu is not None or times > 1:
            draw = (self.cpu or USUAL_CPU).sampler(self._random)
            self.draw = draw if times == 1 else lambda: times * draw()
