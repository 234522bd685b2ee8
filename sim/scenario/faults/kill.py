"""`kill`: a process dies, its machine lives.

Tests: tests/sim/scenario/faults/test_kill.py.
"""

from typing import ClassVar

from sim.scenario.faults.fault import Kind
from sim.scenario.faults.of_nodes import OfNodes
from sim.scenario.schema import Each, Selector

__all__ = ["Kill"]


class Kill(OfNodes, frozen=True, kw_only=True):
    """The process dies, its host answers for it (connections are reset). `for`: then it starts again."""

    verb: ClassVar[str] = "kill"
    kind: ClassVar[Kind | None] = Kind.DEATH
    downs: ClassVar[bool] = True

    kill: Selector | Each
    """Whom."""
