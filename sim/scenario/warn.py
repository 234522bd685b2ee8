"""Faults that had no effect: a crash of what was down, a cut that no packet met. Most likely mistakes in the file.

Reads the trace. Whether a cut was noticed shows only in the simulator, whose network tells of every drop.
"""

from collections.abc import Iterator

from sim.scenario.history import FaultSeen
from sim.scenario.verdict import Context

__all__ = ["idle_faults"]

CUTS = frozenset({"partition", "isolate"})


def idle_faults(context: Context) -> Iterator[str]:
    """A sentence for each."""
    cuts = [fault for fault in context.faults if fault.verb in CUTS and context.backend == "sim"]
    noticed: set[int] = set()
    for event in context.events():
        if event.name == "fault_idle":
            yield f'fault "{event.fields["name"]}" touched nobody at {event.time:g} s: {event.fields["why"]}'
        elif event.name == "dropped" and event.fields.get("reason") == "cut":
            noticed.update(cut.line for cut in cuts if _touches(cut, event.time, {event.node, event.fields["to"]}))
    for cut in cuts:
        if cut.line not in noticed:
            yield f'fault "{cut.name}" cut {", ".join(cut.targets)} at {cut.time:g} s, and no packet met the cut'


def _touches(cut: FaultSeen, time: float, ends: set[str]) -> bool:
    return cut.time <= time and (cut.undone is None or time <= cut.undone) and not ends.isdisjoint(cut.targets)
