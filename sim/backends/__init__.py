"""A `Program` run in one of two worlds. Both offer fault scripts the same `World` and write the same trace.

Knows no scenario and no expectation. The contract is sim.backends.program; a world is imported when it is asked for.

Tests: tests/sim/backends/test_both_worlds.py.
"""

from importlib import import_module
from types import ModuleType

from sim.backends.program import ProgramError, Runner, World

__all__ = ["BACKENDS", "runner", "words"]

BACKENDS = {"sim": "sim.backends.simulated", "sockets": "sim.backends.sockets"}


def runner(backend: str) -> Runner:
    """What runs a program in that world. Raises ProgramError for one that does not exist."""
    run: Runner = _module(backend).run
    return run


def words(backend: str) -> frozenset[str]:
    """What its World can do to nodes and to what lies between them, of all that a World may be able to."""
    return frozenset(name for name in vars(World) if name[0] != "_" and hasattr(_module(backend).World, name))


def _module(backend: str) -> ModuleType:
    if backend not in BACKENDS:
        raise ProgramError(f"there is no backend {backend!r}; allowed: {', '.join(BACKENDS)}")
    return import_module(BACKENDS[backend])
