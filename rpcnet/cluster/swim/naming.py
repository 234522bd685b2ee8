"""Coming by a name: a newcomer learns whether a living process has its name already, before anybody knows the newcomer.

With its first question to a seed a newcomer says whom it has asked in vain so far. A seed that holds another process of
that name, at another address and not failed, answers with that holder alone. The newcomer asks the holder itself, on
two streams at once, as a lost segment delays an answer by a second: if it answers, the name is in use; if not, the
newcomer says so to the seed, and is taken. A process that starts again at the same address is never asked for. Knows no
table and no packet.

Tests: tests/rpcnet/cluster/swim/test_naming.py.
"""

from dataclasses import dataclass, field

from rpcnet.cluster.swim.message import Holder

__all__ = ["NOBODY", "Naming"]

NOBODY = Holder(0, "")


@dataclass(slots=True)
class Naming:
    """What a newcomer knows of those who have its name."""

    in_vain: Holder = NOBODY
    """The last one that did not answer."""
    sequence: int = -1
    """Of the ping to the holder that is being asked: one that reaches ourselves proves nothing."""
    is_myself: bool = False
    _asked: dict[int, tuple[str, Holder]] = field(default_factory=dict)
    """Open questions to holders, by exchange: the seed that named it."""

    def begin(self, number: int, sequence: int, seed: str, holder: Holder) -> None:
        self._asked[number] = seed, holder
        self.sequence, self.is_myself = sequence, False

    def is_asking(self, holder: Holder) -> bool:
        """Whether a question to this one is open: seeds name it again and again meanwhile."""
        return any(asked == holder for _, asked in self._asked.values())

    def end(self, number: int) -> tuple[str, Holder] | None:
        """That question is over: who was asked, and the seed that named it."""
        return self._asked.pop(number, None)

    def answered(self) -> None:
        """What is still open is asked for nothing."""
        self._asked.clear()

    def was_pinged(self, sequence: int) -> None:
        """We got a ping. If it is our own, the holder's address leads to ourselves."""
        self.is_myself = self.is_myself or sequence == self.sequence
