"""A `Program` run in one of two worlds. Both offer fault scripts the same `World` and write the same trace.

Knows no scenario and no expectation. The contract is sim.backends.program; a world is imported when it is asked for.
"""

from importlib import import_module
from types import ModuleType

from sim.backends.program import ProgramError, Runner

__all__ = ["BACKENDS", "runner", "verbs"]

BACKENDS = {"sim": "sim.backends.simulated", "sockets": "sim.backends.sockets"}


def runner(backend: str) -> Runner:
    """What runs a program in that world. Raises ProgramError for one that does not exist."""
    run: Runner = _module(backend).run
    return run


def verbs(backend: str) -> frozenset[str]:
    """The fault verbs that this world has."""
    found: frozenset[str] = _module(backend).VERBS
    return found


def _module(backend: str) -> ModuleType:
    if backend not in BACKENDS:
        raise ProgramError(f"there is no backend {backend!r}; allowed: {', '.join(BACKENDS)}")
    return import_module(BACKENDS[backend])
