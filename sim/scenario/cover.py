"""Which of several faults that overlap does something: a cut of what is cut already waits for the end of the other.

Knows what strikes change between nodes, in the order in which they struck; knows no world, and no graph: of a link it
sees the link's own data, not where else packets go.

Tests: tests/sim/scenario/test_inject.py, tests/sim/scenario/test_run.py.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

from sim.network.link import Link
from sim.network.rules import Cut

__all__ = ["Change", "does_something"]

Way = tuple[str, str]


class Change(NamedTuple):
    """What one strike changes between nodes: one of these."""

    cuts: Sequence[Cut] = ()
    held: Collection[Way] = ()
    linked: Collection[Way] = ()
    edge: Mapping[str, Any] = {}
    """Of `linked`."""

    def ways(self, nodes: Iterable[str]) -> Iterable[Way]:
        """Every (from, to) that it changes."""
        return self.held or self.linked or (way for way in permutations(nodes, 2) if self.severs(way))

    def severs(self, way: Way) -> bool:
        return any(cut.blocks(*way) for cut in self.cuts)


def does_something(
    change: Change, before: Sequence[Change], after: Sequence[Change], base: Link, nodes: list[str]
) -> bool:
    """True if `change` has an effect of its own: without it, some pair of nodes would have another link."""
    without, with_ = [*before, *after], [*before, change, *after]
    return any(_between(way, with_, base) != _between(way, without, base) for way in change.ways(nodes))


def _between(way: Way, changes: Sequence[Change], base: Link) -> tuple[bool, Link | None]:
    """Whether packets are held, and the link; None = they are lost."""
    held = any(way in change.held for change in changes)
    if any(change.severs(way) for change in changes):
        return held, None
    link = base
    for change in changes:
        if way in change.linked:
            link = Link.of(change.edge, link)
    return held, None if link.loss >= 1 else link
