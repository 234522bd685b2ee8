"""Local health awareness: how much we mistrust ourselves (Lifeguard §IV.A).

Probes that fail without a helper's nack, suspicions that we had to refute and timers that fired late raise the score;
answered probes lower it. The worse it is, the longer we wait before we accuse others: score + 1 times as long.
"""

__all__ = ["Awareness"]


class Awareness:
    """A score from 0 (well) to `most` - 1; `most` 0 switches it off."""

    def __init__(self, most: int) -> None:
        self._most = max(0, most - 1)
        self.score = 0

    def change(self, by: int) -> None:
        score = self.score + by
        self.score = 0 if score < 0 else min(score, self._most)
