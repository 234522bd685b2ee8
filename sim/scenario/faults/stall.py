"""Faults in which a node stands still for the time of `for`, and goes on by itself: no world undoes them.

Tests: tests/sim/scenario/faults/test_pause.py, tests/sim/scenario/faults/test_block.py.
"""

from typing import ClassVar

from sim.scenario.faults.effect import Effect, Strike, by_itself
from sim.scenario.faults.fault import Kind
from sim.scenario.faults.of_nodes import OfNodes

__all__ = ["Stall"]


class Stall(OfNodes, frozen=True, kw_only=True):
    """A World's word of that name takes a node and seconds."""

    kind: ClassVar[Kind | None] = Kind.STALL
    needs_end: ClassVar[bool] = True
    idle: ClassVar[str] = "not running, or standing still already"

    def touch(self, now: Strike, nodes: list[str]) -> Effect:
        assert isinstance(self.for_, int | float), "checked when the file was read, and drawn before the strike"
        word, seconds = getattr(now.world, self.verb), min(float(self.for_), max(0.0, now.left))
        touched = [node for node in nodes if word(node, seconds)]
        return Effect(touched, undo=by_itself, idle=self.why_idle(nodes, now.world))
