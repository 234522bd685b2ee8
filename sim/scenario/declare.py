"""The faults of a scenario with their names, and whom each means: what checks and scripts have in common.

Knows no world, and of the verbs only `heal`, which undoes others.

Tests: tests/sim/scenario/test_inject.py.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from sim.scenario.faults import Fault
from sim.scenario.faults.heal import Heal
from sim.scenario.places import nodes_of
from sim.scenario.schema import Scenario
from sim.scenario.select import Labels, draws
from sim.scenario.times import extent

__all__ = ["Declared", "chance_of", "declare", "declare_one", "ending", "names_of"]


@dataclass(frozen=True, slots=True)
class Declared:
    """A fault as the file declares it: its name, and whom its first strike means."""

    name: str
    verb: str
    targets: tuple[str, ...]
    fault: Fault
    index: int
    undone: float | None = None
    """When it is undone for the first time, at the earliest; None = it lasts, as far as `ending` has seen."""


def declare(scenario: Scenario, seed: int | None = None, nodes: Labels | None = None) -> list[Declared]:
    """The faults with their names and targets. Raises SelectError."""
    seed = scenario.seed if seed is None else seed
    nodes = nodes_of(scenario, seed) if nodes is None else nodes
    named = zip(names_of(scenario.fault), scenario.fault, strict=True)
    return [declare_one(fault, index, name, nodes, seed) for index, (name, fault) in enumerate(named)]


def declare_one(fault: Fault, index: int, name: str, nodes: Labels, seed: int) -> Declared:
    """One of them, the `index`th of the file. Raises SelectError."""
    return Declared(name, fault.verb, tuple(fault.targets(nodes, chance_of(seed, index))), fault, index)


def ending(declared: Sequence[Declared], duration: float) -> list[Declared]:
    """The same faults, each with when it is undone before the end of the run: after its `for`, or by a `heal`."""
    heals = [each.fault for each in declared if isinstance(each.fault, Heal)]
    return [replace(each, undone=_undone(each, heals, duration)) for each in declared]


def _undone(declared: Declared, heals: Sequence[Heal], duration: float) -> float | None:
    fault = declared.fault
    begin = extent(fault.at).least
    ends = [] if fault.for_ is None else [begin + extent(fault.for_).least]
    if fault.healable:
        ends += [_strike_after(begin, heal) for heal in heals if heal.heal in {"all", declared.name}]
    return min((end for end in ends if end < duration), default=None)


def _strike_after(begin: float, fault: Fault) -> float:
    """A moment after `begin` at which it may strike; inf = it strikes before that only."""
    _, _, latest = extent(fault.at)
    return max(begin, extent(fault.at).least) if latest > begin or fault.every is not None else math.inf


def chance_of(seed: int, index: int) -> Random:
    """What the `index`th fault of the file draws from."""
    return draws(seed, f"fault {index}")


def names_of(faults: Sequence[Fault]) -> list[str]:
    """Given names; unnamed ones are called by their verb, the second of a verb `crash-2`, and so on."""
    seen: dict[str, int] = {}
    names = []
    for fault in faults:
        if fault.name is None:
            seen[fault.verb] = seen.get(fault.verb, 0) + 1
        count = seen.get(fault.verb, 1)
        names.append(fault.name or (fault.verb if count == 1 else f"{fault.verb}-{count}"))
    return names
