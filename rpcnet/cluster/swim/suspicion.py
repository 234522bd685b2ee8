"""How long a suspect has to refute: Lifeguard's suspicion time (arXiv 1707.00788 §IV.B).

It starts at a maximum and shrinks towards a minimum with each member that independently suspects the same. Pure: times
are numbers, nothing is scheduled here.
"""

from dataclasses import dataclass, field
from math import log, log10

from rpcnet.config import ClusterConfig

__all__ = ["Suspicion", "minimum", "remaining", "wanted"]


def minimum(config: ClusterConfig, members: int) -> float:
    """Seconds that a suspect has at the very least, among so many members."""
    return config.suspicion_multiplier * max(1.0, log10(max(1, members))) * config.probe_interval


def wanted(config: ClusterConfig, members: int) -> int:
    """How many confirmations bring the time down to its minimum.

    Two of the multiplier's periods are the first accuser's (memberlist state.go, suspectNode); where there are too few
    members left to confirm, none are waited for.
    """
    count = max(0, int(config.suspicion_multiplier) - 2)
    return count if members - 2 >= count else 0


def remaining(least: float, most: float, confirmations: int, k: int) -> float:
    """max(Min, Max - (Max - Min) * log(C + 1) / log(K + 1))."""
    if k < 1:
        return least
    return max(least, most - (most - least) * log(confirmations + 1) / log(k + 1))


@dataclass(slots=True, eq=False)
class Suspicion:
    """One suspicion of one member at one incarnation."""

    started: float
    least: float
    most: float
    k: int
    accusers: dict[str, None] = field(default_factory=dict)
    """In the order in which they accused; a dict, for its order."""
    hastened_at: float = float("-inf")
    """When it was last asked because its death was told."""

    @classmethod
    def begin(cls, config: ClusterConfig, members: int, accuser: str, now: float) -> "Suspicion":
        least = minimum(config, members)
        most = least * config.max_suspicion_multiplier
        return cls(now, least, most, wanted(config, members), {accuser: None})

    @property
    def deadline(self) -> float:
        return self.started + remaining(self.least, self.most, len(self.accusers) - 1, self.k)

    def confirm(self, accuser: str) -> bool:
        """Count one more accuser. False where it is not news, or no more are wanted."""
        if accuser in self.accusers or len(self.accusers) - 1 >= self.k:
            return False
        self.accusers[accuser] = None
        return True

    def shift(self, seconds: float) -> None:
        """Time in which we ourselves were stalled is not time that the suspect had."""
        self.started += seconds
