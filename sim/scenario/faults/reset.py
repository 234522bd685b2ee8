"""`reset`: a node's connections are broken, its process lives.

Tests: tests/sim/scenario/faults/test_reset.py.
"""

from typing import ClassVar

from sim.scenario.faults.of_nodes import OfNodes
from sim.scenario.schema import Each, Selector

__all__ = ["Reset"]


class Reset(OfNodes, frozen=True, kw_only=True):
    """All connections with other nodes are reset, at both ends, as a firewall does that forgot them."""

    verb: ClassVar[str] = "reset"
    undoable: ClassVar[bool] = False
    idle: ClassVar[str] = "no connections"

    reset: Selector | Each
    """Whose."""
