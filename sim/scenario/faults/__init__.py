"""The faults by their verb: one class a file. A new verb is a new file here; no list names it.

A class holds all that is known of its verb: the keys of its table, what is checked before a run, whom it strikes, what
it does to a World, what undoes it, what its record in a trace says of who could reach whom, and how a report shows it.
Tables of verbs elsewhere are made from FAULTS. What the verbs do in either world: docs/faults.md.

Tests: tests/sim/scenario/faults, a file a verb; tests/sim/scenario/test_faults_page.py.
"""

from importlib import import_module
from pkgutil import iter_modules

from sim.history.facts import FaultSeen
from sim.history.reach import Way
from sim.scenario.faults.fault import Fault, Kind

__all__ = ["FAULTS", "STANDSTILLS", "Fault", "Kind", "kind_of", "severs", "verbs_of"]


def _found() -> dict[str, type[Fault]]:
    modules = (import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
    kinds = (kind for module in modules for kind in vars(module).values() if kind.__class__ is Fault.__class__)
    return dict(sorted((kind.verb, kind) for kind in set(kinds) if "verb" in vars(kind)))


FAULTS: dict[str, type[Fault]] = _found()
"""The verb that a fault's table holds → its class; in the order of the alphabet."""

STANDSTILLS = tuple(kind.standstill for kind in FAULTS.values() if kind.standstill is not None)
"""How nodes stand still, each way with how it is shown."""


def kind_of(verb: str) -> type[Fault]:
    """The class of a verb. A trace may name one that is none: an application records what it likes."""
    return FAULTS.get(verb, Fault)


def verbs_of(*kinds: Kind) -> frozenset[str]:
    """The verbs of these kinds."""
    return frozenset(verb for verb, fault in FAULTS.items() if fault.kind in kinds)


def severs(seen: FaultSeen) -> Way | None:
    """Whether a recorded fault keeps what one node sends from another; None where it cuts nothing."""
    return kind_of(seen.verb).severs(seen)
