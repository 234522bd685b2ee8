"""What a fault is given when it strikes, and what it answers with: whom it touched, and how that is undone.

Knows the words of a World (sim.backends.program), not which world it is, and no verb. What is told to the trace, and
when the effect ends, is decided in sim.scenario.inject.

Tests: tests/sim/scenario/test_inject.py.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from random import Random
from typing import Any

from sim.backends.program import World
from sim.scenario.cover import Change
from sim.scenario.select import Labels

__all__ = ["ALONE", "Effect", "Healing", "Strike", "by_itself", "ends_of"]

ALONE = "both ends were drawn as the same node, which has no link to itself"
"""Why a fault of a link touched nobody."""


@dataclass(slots=True, eq=False)
class Effect:
    """What a strike did, and how it is undone."""

    targets: list[str]
    detail: dict[str, Any] = field(default_factory=dict)
    undo: Callable[[], object] | None = None
    """Called once, when it is over; None = it lasts for good, or until its nodes are started again."""
    idle: str = ""
    """Why nobody was touched, where it is so."""
    covered: bool = False
    """In force, and without effect as long as another one does the same."""
    change: Change | None = None
    """What it does between nodes, as far as others may do the same."""
    heals: Sequence[str] | None = None
    """The names of the faults that it ends; it is over with that."""
    name: str = ""
    verb: str = ""
    struck: float = 0.0
    line: int = 0
    """These four are filled in by who plays the fault."""


@dataclass(frozen=True, slots=True)
class Healing:
    """Undoes what lasts (cuts, changed links, holds, clocks) by the names under which the world knows it."""

    world: World
    rules: list[str]

    def __call__(self) -> None:
        for rule in self.rules:
            self.world.heal(rule)


@dataclass(frozen=True, slots=True)
class Strike:
    """The moment of a strike."""

    world: World
    nodes: Labels
    random: Random
    name: str
    """Of the fault."""
    left: float
    """Seconds until the run's end."""
    routed: bool
    """Whether packets find their way through a graph."""
    in_force: Sequence[Effect]
    numbers: Iterator[int]

    def rule(self) -> str:
        """A name for what is done to the world; a fault that strikes again must not replace its first strike."""
        return f"{self.name}/{next(self.numbers)}"


def ends_of(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Every node that is an end of these."""
    return list(dict.fromkeys(chain.from_iterable(pairs)))


def by_itself() -> None:
    """Undoes what ends on its own: a pause is over when its seconds are."""
