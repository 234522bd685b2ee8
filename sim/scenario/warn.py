"""Faults that had no effect: a crash of what was down, a cut that no packet met. Most likely mistakes in the file.

Reads the trace. Whether a packet met a fault shows only in the simulator, whose network tells of every one.

Tests: tests/sim/scenario/test_warn.py.
"""

from collections.abc import Iterator

from sim.history import FaultSeen
from sim.history.reach import Way
from sim.scenario.faults import kind_of
from sim.scenario.verdict import Context
from sim.trace import Event

__all__ = ["idle_faults"]

PACKETS = frozenset({"sent", "tcp_connected", "tcp_refused"})
"""What tells that something went from a node to another; of the latter two, both ways."""


def idle_faults(context: Context) -> Iterator[str]:
    """A sentence for each; for those that differ in their times alone, one that counts them."""
    times: dict[tuple[str, str, str], list[float]] = {}
    for subject, what, why, time in _idle(context):
        times.setdefault((subject, what, why), []).append(time)
    for (subject, what, why), found in times.items():
        when = (
            f"at {found[0]:g} s" if len(found) == 1 else f"{len(found)} times, from {found[0]:g} s to {found[-1]:g} s"
        )
        yield f"{subject} {what} {when}{why}"


def _idle(context: Context) -> Iterator[tuple[str, str, str, float]]:
    """`fault "x"`, what it did, why it had no effect, and when it struck."""
    waiting = _on_the_way(context) if context.backend == "sim" else {}
    for event in context.events():
        if event.name == "fault_idle":
            struck = event.fields.get("struck", event.time)
            yield f'fault "{event.fields["name"]}"', "touched nobody", f": {event.fields['why']}", struck
        elif waiting and event.name in PACKETS:
            met = [line for line, (fault, way) in waiting.items() if _meets(fault, way, event)]
            for line in met:
                del waiting[line]
    for fault, _ in waiting.values():
        what = f"{kind_of(fault.verb).did} {', '.join(fault.targets)}"
        yield f'fault "{fault.name}"', what, ", and no packet met it", fault.time


def _on_the_way(context: Context) -> dict[int, tuple[FaultSeen, Way]]:
    """Trace line of each fault between nodes → the fault, and whose packets it changes."""
    found: dict[int, tuple[FaultSeen, Way]] = {}
    for fault in context.faults:
        way = kind_of(fault.verb).meets(fault)
        if way is not None:
            found[fault.line] = fault, way
    return found


def _meets(fault: FaultSeen, way: Way, event: Event) -> bool:
    if event.time < fault.time:
        return False
    one, other = event.node, event.fields["to"]
    if event.name == "sent":
        return (fault.undone is None or event.time <= fault.undone) and way(one, other)
    # A connection may have waited for the end of the fault.
    return way(one, other) or way(other, one)
