"""What led to an event: from it back to what each event answered, and what its node did before by itself.

Reads a trace twice, up to the event in question: eight bytes an event are kept, then the events of the chain alone.
Knows nothing of worlds and expectations; what a cause is, docs/trace.md says.

Tests: tests/sim/trace/test_cause.py.
"""

from array import array
from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any

from sim.trace.event import Event

__all__ = ["MESSAGES", "brief", "chain", "chains", "shown"]

MESSAGES = frozenset({"sent", "received", "dropped"})
"""What the network records of every packet."""
LIMIT = 8
"""Events of a chain."""
MAX_LETTERS = 100
"""Of an event's fields, where it is shown on one line."""


def chain(events: Iterable[Event], line: int, limit: int = LIMIT) -> list[Event]:
    """The last events that led to that line, in the order of time, itself at the end; empty where there is none such.

    `events` is iterated twice. An event without a cause (a timer fired) follows from what its node recorded last; its
    messages count only where it recorded nothing else, and where there are none either, it was the last fault.
    """
    return chains(events, [line], limit).get(line, [])


def chains(events: Iterable[Event], lines: Collection[int], limit: int = LIMIT) -> dict[int, list[Event]]:
    """The chain of each of these lines, in the same two passes; lines that the trace does not have are left out."""
    last = max(lines, default=0)
    causes, before = array("I", [0]), array("I", [0])
    told: dict[str, int] = {}
    messages: dict[str, int] = {}
    fault = 0
    for line, _, node, name, cause, _ in islice(events, last):
        causes.append(cause)
        before.append(told.get(node) or messages.get(node, fault))
        if name == "fault":
            fault = line
        elif node:
            (messages if name in MESSAGES else told)[node] = line
    walks = {line: _walk(line, causes, before, limit) for line in lines if 0 < line < len(causes)}
    wanted = {line for walk in walks.values() for line in walk}
    found = {event.line: event for event in islice(events, max(wanted, default=0)) if event.line in wanted}
    return {line: [found[one] for one in reversed(walk)] for line, walk in walks.items()}


def _walk(line: int, causes: "array[int]", before: "array[int]", limit: int) -> list[int]:
    walk: list[int] = []
    while line and len(walk) < limit:
        walk.append(line)
        line = causes[line] or before[line]
    return walk


def shown(event: Event) -> str:
    """An event on one line, for people: its line, its time, its node, what happened, what it answered."""
    answers = f"  (answers line {event.cause})" if event.cause else ""
    return f"line {event.line}: {event.time:.6f} s  {event.node or '-'}  {event.name}{_fields(event)}{answers}"


def brief(event: Event) -> dict[str, Any]:
    """The same for machines: as `export` writes it, but the fields as one short text."""
    line, time, node, name, cause, _ = event
    return {"line": line, "time": time, "node": node, "event": name, "cause": cause, "text": _fields(event).strip()}


def _fields(event: Event) -> str:
    text = " ".join(f"{key}={value!r}" for key, value in event.fields.items())
    return " " + (text if len(text) <= MAX_LETTERS else text[: MAX_LETTERS - 1] + "…") if text else ""
