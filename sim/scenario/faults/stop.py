"""`stop`: a process is asked to end.

Tests: tests/sim/scenario/faults/test_stop.py.
"""

from typing import ClassVar

from sim.scenario.faults.fault import Kind
from sim.scenario.faults.of_nodes import OfNodes
from sim.scenario.schema import Each, Selector

__all__ = ["Stop"]


class Stop(OfNodes, frozen=True, kw_only=True):
    """SIGTERM: the application may say good-bye. `for`: then it starts again."""

    verb: ClassVar[str] = "stop"
    kind: ClassVar[Kind | None] = Kind.LEAVE
    downs: ClassVar[bool] = True
    idle: ClassVar[str] = "not running, or stopping already"

    stop: Selector | Each
    """Whom."""
