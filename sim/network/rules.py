"""What is done to a network on purpose, each under a name, until it is healed: cuts, changed links, kept packets.

Says who cannot hear whom and what a link is now. Knows no routes, no packets and no clock: the fabric works out its
ways anew after each change, and an inbox keeps the packets. Tests: tests/sim/network/test_network.py, test_inbox.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from msgspec import Struct

from sim.network.link import Link

if TYPE_CHECKING:
    from sim.network.inbox import Inbox

__all__ = ["Cut", "Rules"]


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


class Rules:
    """All that are in force, by name. A name may have a cut, changed links and kept packets at once."""

    __slots__ = ("_changes", "_cuts", "_kept")

    def __init__(self) -> None:
        self._cuts: dict[str, Cut] = {}
        self._changes: dict[str, dict[tuple[str, str], Mapping[str, Any]]] = {}
        """Edge data by (from, to)."""
        self._kept: dict[str, dict[Inbox, None]] = {}
        """Where packets are kept or delayed."""

    @property
    def shape_links(self) -> bool:
        """Whether anything is cut or changed: what is kept is kept at its target, and changes no way."""
        return bool(self._cuts or self._changes)

    def cut(self, name: str, cut: Cut) -> None:
        self._cuts[name] = cut

    def change(self, name: str, source: str, target: str, edge: Mapping[str, Any], *, one_way: bool) -> None:
        changes = self._changes.setdefault(name, {})
        changes[source, target] = edge
        if not one_way:
            changes[target, source] = edge

    def keep(self, name: str, inbox: Inbox) -> None:
        """An inbox keeps or delays packets under that name."""
        self._kept.setdefault(name, {})[inbox] = None

    def blocks(self, sender: str, receiver: str) -> bool:
        return any(cut.blocks(sender, receiver) for cut in self._cuts.values())

    def changes(self, source: str, target: str) -> Iterator[Mapping[str, Any]]:
        """What changes the link from one to the other, in the order in which it was asked for."""
        return (edges[source, target] for edges in self._changes.values() if (source, target) in edges)

    def changed(self, link: Link, source: str, target: str) -> Link:
        """A link as those make it."""
        for edge in self.changes(source, target):
            link = Link.of(edge, link)
        return link

    def end(self, name: str | None) -> bool:
        """Forget the cut and the changed links of that name, or all. False where there were none."""
        if name is None:
            found = self.shape_links
            self._cuts.clear()
            self._changes.clear()
            return found
        cut, changes = self._cuts.pop(name, None), self._changes.pop(name, None)
        return cut is not None or changes is not None

    def let_go(self, name: str | None) -> list[tuple[Inbox, str]]:
        """Forget where packets are kept under that name, or any: these inboxes have to hand over what they kept."""
        names = list(self._kept) if name is None else [name]
        return [(inbox, each) for each in names for inbox in self._kept.pop(each, ())]
