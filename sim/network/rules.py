"""Cuts: which pairs of machines cannot hear each other. A value; knows names only."""

from collections.abc import Sequence
from typing import Self

from msgspec import Struct

__all__ = ["Cut"]


class Cut(Struct, frozen=True):
    """Nothing that one of `senders[i]` sends reaches one of `receivers[i]`; None stands for everybody else."""

    senders: tuple[frozenset[str] | None, ...]
    receivers: tuple[frozenset[str] | None, ...]

    @classmethod
    def between(cls, groups: Sequence[frozenset[str]], *, one_way: bool = False) -> Self:
        if len(groups) < 2:
            raise ValueError("a partition needs at least two groups")
        for i, group in enumerate(groups):
            for other in groups[i + 1 :]:
                if both := group & other:
                    raise ValueError(f"{min(both)!r} is in two groups of one partition")
        pairs = [(a, b) for i, a in enumerate(groups) for j, b in enumerate(groups) if i != j and not (one_way and i)]
        return cls(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))

    @classmethod
    def around(cls, node: str) -> Self:
        return cls((frozenset([node]), None), (None, frozenset([node])))

    def blocks(self, sender: str, receiver: str) -> bool:
        return any(
            (a is None or sender in a) and (b is None or receiver in b)
            for a, b in zip(self.senders, self.receivers, strict=True)
        )
