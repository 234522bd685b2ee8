"""`no_leaks`: what ended in order left nothing behind: no task, stream, credit, timer, transport or handler.

Looked at are the nodes that ended in order: their leak check, and what their servers and clients held when they were
closed. A node that was asked to stop and never ended leaks itself. Crashed and killed nodes are not looked at.

Tests: tests/sim/scenario/expect/test_no_leaks.py.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from sim.scenario.expect.flag import Flag
from sim.scenario.expect.words import count, names, seconds
from sim.scenario.verdict import Context, Judgement, Verdict
from sim.trace import Event

__all__ = ["NoLeaks"]

_HELD = ("handlers", "streams", "queued_bytes", "connections")
_ENDED = frozenset({"node_exited", "node_failed", "node_crashed", "node_killed"})


@dataclass(slots=True)
class _Found:
    checked: set[str] = field(default_factory=set)
    """Nodes that said what they leave behind."""
    stopping: dict[str, Event] = field(default_factory=dict)
    """Asked to stop, not ended yet."""
    leaks: list[tuple[Event, str]] = field(default_factory=list)
    counted: int = 0


class NoLeaks(Flag, frozen=True, kw_only=True):
    """Measures leaks and nodes: how many nodes were looked at."""

    KEY: ClassVar[str] = "no_leaks"
    MEASURES: ClassVar[tuple[str, ...] | None] = ("leaks", "nodes")

    no_leaks: bool
    """true"""

    def examine(self, context: Context) -> Judgement:
        found = _Found()
        for event in context.events():
            _take(found, event)
        for node, event in found.stopping.items():
            found.checked.add(node)
            found.leaks.append((event, f"{node} was asked to stop at {seconds(event.time)} and never ended"))
        measured = {"leaks": float(max(found.counted, len(found.leaks))), "nodes": float(len(found.checked))}
        if not found.checked:
            return self.answer(Verdict.INCONCLUSIVE, "no node was stopped in order", measured=measured)
        if found.leaks:
            event, text = found.leaks[0]
            others = len(found.leaks) - 1
            text += f"; {count(others, 'more leak')}" if others else ""
            lines = [leak.line for leak, _ in found.leaks]
            return self.answer(
                Verdict.FAILS, text, time=event.time, line=event.line, measured=measured, looked_at=lines
            )
        text = f"{names(sorted(found.checked))} ended and left nothing behind"
        return self.answer(Verdict.HOLDS, text, measured=measured)


def _take(found: _Found, event: Event) -> None:
    get = event.fields.get
    if event.name == "leak":
        where = f" ({get('where')})" if get("where") else ""
        found.leaks.append((event, f"{event.node} left a {get('kind')} behind: {get('what')}{where}"))
    elif event.name == "leaks_checked":
        found.checked.add(event.node)
        found.counted += int(get("found") or 0)
        if get("found") and not any(leak.node == event.node for leak, _ in found.leaks):
            found.leaks.append((event, f"{event.node} left {count(int(get('found') or 0), 'thing')} behind"))
    elif event.name == "rpc_closed":
        found.checked.add(event.node)
        held = [f"{get(what)} {what.replace('_', ' ')}" for what in _HELD if get(what)]
        if held:
            found.leaks.append((event, f"a {get('side')} of {event.node} held {names(held)} when it was closed"))
    elif event.name == "node_stopping":
        found.stopping[event.node] = event
    elif event.name in _ENDED:
        found.stopping.pop(event.node, None)
