"""Partial order sampling: a random priority for each step, drawn again where the step races with one that ran.

X. Yuan, J. Yang, R. Gu, Partial Order Aware Concurrency Sampling, CAV 2018, section 3. Two steps race if both touch the
same object; the order of those that do not race does not matter, and the walk does not spend its chance on it.

The paper is told what a thread's next instruction touches. Of a task's next step we know what the task can reach
without asking anybody: the mutable objects that its suspended coroutines hold in local variables, closures and
arguments (`self`, a queue, a dictionary), and the functions themselves, for their globals. Two that hold the same one
are taken to race, which is too often rather than too seldom. Tests: tests/sim/kernel/interleaving/test_pos.py.
"""

import asyncio
import gc
from collections.abc import Iterator, Sequence
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

from sim.kernel.interleaving.steps import Step
from sim.kernel.interleaving.strategy import Strategy
from sim.kernel.waiting import chain

__all__ = ["PartialOrder", "races"]

_UNSHARED = (
    *(int, str, bytes, float, complex, tuple, frozenset, range, slice, type(None), type(...), type(NotImplemented)),
    *(type, CodeType, ModuleType, BuiltinFunctionType, asyncio.AbstractEventLoop),
)
"""Nobody changes these, or everybody holds them."""


class PartialOrder(Strategy):
    """The ready step of the highest priority goes next; all that race with it get new ones."""

    def add(self, step: Step) -> None:
        step.priority = self.random.random()

    def choose(self, ready: Sequence[Step]) -> Step:
        step = max(ready, key=_priority)
        if len(ready) > 1:
            for other in ready:
                if other is not step and races(step, other):
                    other.priority = self.random.random()
        return step


def _priority(step: Step) -> float:
    return step.priority


def races(one: Step, other: Step) -> bool:
    """Whether both hold the same object, that one of them may change."""
    return not _shared(one).isdisjoint(_shared(other))


def _shared(step: Step) -> frozenset[int]:
    """Identities of what it holds: true until it runs, as its coroutines are suspended and hold all of it."""
    if step.shared is None:
        step.shared = frozenset(id(held) for held in _held(step) if not isinstance(held, _UNSHARED) and _is_own(held))
    return step.shared


def _held(step: Step) -> Iterator[Any]:
    if step.task is None:
        handle = step.handle
        yield getattr(handle._callback, "__self__", None)
        yield from handle._args or ()
    else:
        for coroutine in chain(step.task.get_coro()):
            yield from gc.get_referents(coroutine)


def _is_own(held: Any) -> bool:
    """False for a function of asyncio's, as `sleep`, in which any two tasks may be."""
    return not (isinstance(held, FunctionType) and held.__module__.startswith("asyncio."))
