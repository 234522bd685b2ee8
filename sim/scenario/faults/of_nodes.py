"""Faults whose value is a selector: they strike nodes, all at once or (`each`) one after the other.

Knows no verb.

Tests: tests/sim/scenario/test_inject.py (rolling ones), tests/sim/scenario/faults/test_of_nodes.py.
"""

import re
from random import Random
from typing import ClassVar

from sim.backends.program import World
from sim.scenario.faults.effect import Effect, Strike
from sim.scenario.faults.fault import Checking, Fault
from sim.scenario.schema import Each, parse_duration
from sim.scenario.select import Labels, select

__all__ = ["OfNodes", "parse_next"]

_NEXT = re.compile(r"[ \t]*ready[ \t]*(?:\+(.+))?")


class OfNodes(Fault, frozen=True, kw_only=True):
    """`verb = "worker-*"`, or `verb = { each = "worker-*", next = "2s" }`."""

    idle: ClassVar[str] = "not running"
    """What a node is that it finds nothing to do at."""

    def check(self, checking: Checking) -> bool:
        each = self.value
        if isinstance(each, Each):
            try:
                until_ready, _ = parse_next(each.next)
            except ValueError as error:
                checking.blame(str(error), "next")
            else:
                if until_ready and self.for_ is None and self.downs:
                    why = f'next = "{each.next}" waits for nodes that nothing starts again: give for'
                    checking.blame(why, key=True)
        return True

    def targets(self, nodes: Labels, random: Random) -> list[str]:
        value = self.value
        return select(value.each if isinstance(value, Each) else value, nodes, random)

    def strike(self, now: Strike) -> Effect:
        return self.touch(now, select(self.value, now.nodes, now.random))

    def touch(self, now: Strike, nodes: list[str]) -> Effect:
        """Do it to each of these."""
        word = getattr(now.world, self.verb)
        return Effect([node for node in nodes if word(node)], idle=self.why_idle(nodes, now.world))

    def why_idle(self, nodes: list[str], world: World) -> str:
        return f"{', '.join(nodes)}: {self.idle} at that time"


def parse_next(text: str) -> tuple[bool, float]:
    """`ready`, `ready + 2s` or `2s` → whether to wait until the node is ready, and seconds. Raises ValueError."""
    match = _NEXT.fullmatch(text)
    if match:
        return True, parse_duration(match[1]) if match[1] else 0.0
    try:
        return False, parse_duration(text)
    except ValueError:
        raise ValueError(f'next is "ready", "ready + 2s" or a duration like "2s", not "{text}"') from None
