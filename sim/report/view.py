"""What the script of a page (page.js) draws, as one value that becomes JSON: lanes, faults, events, series.

Times are seconds, rounded to what can be seen; nodes and texts stand once and are referred to by their number. Every
node has its life here, so that the filter finds any of a thousand; streams, calls and records are kept of some.

Tests: tests/sim/report/test_view.py.
"""

import math
from collections.abc import Sequence
from typing import Any

from sim.report.answers import Answer
from sim.report.bins import percentile
from sim.report.rows import Node, Step
from sim.report.tables import Tables
from sim.report.timeline import MAX_LANES, pick_lanes
from sim.report.words import fault_label

__all__ = ["view"]

MAX_STREAMS = 600
MAX_STEPS = 60
"""Changes of what others think of a node."""
MAX_TARGETS = 200
"""Targets of a fault; of one that struck more, it is said that it struck everywhere."""
MAX_FAULTS = 200
MAX_MARKED = 24
"""Nodes whose calls and records are drawn, beside those that have a lane."""
ROWS = 150
"""Rows of the picture of all nodes, at most."""
LONGEST = 300
"""Letters of an event."""
STATES = ("starting", "up", "paused", "blocked", "stopping", "other")
BEFORE, UP, SUSPECTED, STALLED, HELD_FAILED, DOWN, ENDED = range(7)
"""How a node does in a column of the picture of all; of several nodes in a row the worst is shown."""


def view(tables: Tables, answers: Sequence[Answer]) -> dict[str, Any]:
    """All that is drawn."""
    names = list(tables.nodes)
    number = {name: index for index, name in enumerate(names)}
    lanes = _lanes(tables, answers)
    shown = {names[index] for index in lanes}
    start = min(tables.start or 0.0, 0.0)
    drawn: dict[str, Any] = {
        "start": _r(start),
        "end": _r(tables.end),
        "ending": None if tables.ending is None else _r(tables.ending),
        "unit": "s" if tables.backend == "sockets" else "virtual s",
        "states": STATES,
        "nodes": [
            [node.name, " ".join(f"{key}={value}" for key, value in node.labels.items()), node.state, _life(node),
             [[_r(time), how] for time, how in node.ends], _steps(node.steps)]
            for node in tables.nodes.values()
        ],
        "lanes": lanes,
        "marks": [
            [number[name], _r(answer.time), answer.letter, answer.what]
            for answer in answers if answer.bad and answer.time is not None
            for name, _ in answer.who[:3] if name in number
        ],
        "streams": [
            [number[s.node], _r(s.start), None if s.end is None else _r(s.end), s.status, f"{s.method} → {s.peer}"]
            for s in sorted(tables.streams, key=lambda s: s.node not in shown)[:MAX_STREAMS] if s.node in number
        ],
        "unary": {number[n.name]: [[_r(t), int(ok)] for t, ok in n.unary] for n in _marked(tables, shown) if n.unary},
        "records": _records(tables, shown, number),
        "faults": [
            [f.number, fault_label(f), _r(f.time), None if f.undone is None else _r(f.undone),
             None if len(f.targets) > MAX_TARGETS else [number[t] for t in f.targets if t in number]]
            for f in [f for f in tables.faults if not f.idle][:MAX_FAULTS]
        ],
        "density": _density(tables, start) if len(names) > len(lanes) else None,
        "series": _series(tables),
    }  # fmt: skip
    return drawn | _events(tables, lanes, names, number)


def _r(time: float | None) -> float:
    rounded = round(time or 0.0, 4)
    return int(rounded) if rounded == int(rounded) else rounded


def _lanes(tables: Tables, answers: Sequence[Answer]) -> list[int]:
    """The nodes that have a lane at first: those in question, then those that most happened to."""
    asked = dict.fromkeys(name for answer in answers if answer.bad for name, _ in answer.who)
    picked = {node.name for node in pick_lanes(tables)[0]}
    chosen = [*[name for name in asked if name in tables.nodes], *[n for n in tables.nodes if n in picked]]
    few = set(list(dict.fromkeys(chosen))[:MAX_LANES])
    return [index for index, name in enumerate(tables.nodes) if name in few]


def _life(node: Node) -> list[list[float | None]]:
    known = {state: index for index, state in enumerate(STATES)}
    return [
        [_r(span.start), None if span.end is None else _r(span.end), known.get(span.state, len(STATES) - 1)]
        for span in node.spans
    ]


def _steps(steps: Sequence[Step]) -> list[list[float]]:
    """Of many changes the last one in each short while."""
    if len(steps) > MAX_STEPS:
        width = max(steps[-1].time - steps[0].time, 1e-3) / MAX_STEPS
        steps = list({int((step.time - steps[0].time) / width): step for step in steps}.values())
    return [[_r(s.time), s.suspected, s.failed, s.left, s.others] for s in steps]


def _marked(tables: Tables, shown: set[str]) -> list[Node]:
    others = [node for node in tables.nodes.values() if node.name not in shown][:MAX_MARKED]
    return [node for node in tables.nodes.values() if node.name in shown] + others


def _records(tables: Tables, shown: set[str], number: dict[str, int]) -> dict[str, Any]:
    names = {name: index for index, name in enumerate(tables.records)}
    of = {
        number[node.name]: [[_r(time), names[name]] for time, name in node.records]
        for node in _marked(tables, shown)
        if node.records
    }
    return {"names": list(names), "of": of}


def _events(tables: Tables, lanes: Sequence[int], names: Sequence[str], number: dict[str, int]) -> dict[str, Any]:
    texts: dict[str, int] = {}
    events: list[list[float]] = []
    first = [names[index] for index in lanes]
    chosen = tables.keeper.chosen([*first, *names])
    for event in chosen:
        text = tables.say(event)
        text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
        index = texts.setdefault(text, len(texts))
        events.append([event.line, round(event.time, 6), number.get(event.node, -1), event.cause, index])
    return {"texts": list(texts), "events": events, "whole": len(chosen) == tables.lines}


def _series(tables: Tables) -> dict[str, Any]:
    """The curves over time; each with the width of its bins in seconds."""
    series: dict[str, Any] = {}
    if tables.has_network:
        bins = tables.messages
        points = {key: bins.series(key) for key in ("sent", "received", "dropped")}
        series["messages"] = {
            "width": bins.width,
            "start": _r(points["sent"][0][0]) if points["sent"] else 0,
            "rates": {key: [round(count / bins.width, 3) for _, count in of] for key, of in points.items()},
        }
        width, curves = tables.latency.width, {}
        for protocol in ("udp", "tcp"):
            for share in (0.5, 0.99):
                found: list[list[float]] = []
                for start, cell in tables.latency.cells():
                    counts = {key[1]: n for key, n in cell.items() if isinstance(key, tuple) and key[0] == protocol}
                    value = percentile(counts, share) if counts else None
                    if value is not None:
                        found.append([_r(start + width / 2), float(f"{value:.3g}")])
                if found:
                    curves[f"{protocol} {'median' if share == 0.5 else '99 %'}"] = found
        series["latency"] = {"width": width, "curves": curves}
    if total := tables.ended_calls.total():
        bins = tables.ended_calls
        order = sorted(total, key=lambda status: (status != "OK", -total[status], str(status)))
        kinds = [str(status) for status in order[:4]]
        cells = [[_r(start), *(cell.get(kind, 0) for kind in kinds)] for start, cell in bins.cells()]
        series["calls"] = {"width": bins.width, "kinds": kinds, "cells": cells}
    return series


def _density(tables: Tables, start: float) -> dict[str, Any]:
    """All nodes: rows of nodes, columns of time; a digit for the worst state and one for how much was recorded."""
    bins = tables.activity
    nodes = list(tables.nodes.values())
    each = -(-len(nodes) // ROWS)
    first = math.floor(start / bins.width)
    columns = math.floor(tables.end / bins.width) - first + 1
    counts: dict[str, list[int]] = {node.name: [0] * columns for node in nodes}
    for when, cell in bins.cells():
        column = round(when / bins.width) - first
        for name, count in cell.items():
            if 0 <= column < columns:
                counts[str(name)][column] += count
    states: list[str] = []
    levels: list[str] = []
    sums = [
        [sum(counts[node.name][column] for node in nodes[row : row + each]) for column in range(columns)]
        for row in range(0, len(nodes), each)
    ]
    most = max((count for row in sums for count in row), default=1) or 1
    for index, row in enumerate(range(0, len(nodes), each)):
        of = [_columns(node, first, columns, bins.width, tables) for node in nodes[row : row + each]]
        states.append("".join(str(max(worst)) for worst in zip(*of, strict=True)))
        levels.append("".join(str(min(9, math.ceil(9 * math.log1p(n) / math.log1p(most)))) for n in sums[index]))
    return {"each": each, "start": _r(first * bins.width), "width": bins.width, "states": states, "levels": levels}


def _columns(node: Node, first: int, columns: int, width: float, tables: Tables) -> list[int]:
    """How one node does in each column of time."""
    row = [BEFORE] * columns

    def paint(begin: float, end: float, value: int) -> None:
        for column in range(max(0, math.floor(begin / width) - first), min(columns, math.ceil(end / width) - first)):
            row[column] = max(row[column], value)

    end = tables.end if tables.ending is None else tables.ending
    for span in node.spans:
        state = STALLED if span.state in ("paused", "blocked") else UP
        paint(span.start, min(end, tables.end if span.end is None else span.end), state)
    for step, following in zip(node.steps, [*(s.time for s in node.steps[1:]), end], strict=False):
        if step.failed or step.suspected:
            paint(step.time, following, HELD_FAILED if step.failed else SUSPECTED)
    starts = [span.start for span in node.spans if span.state == "starting"]
    for time, how in node.ends:
        if how != "exited" and time < end:
            paint(time, min((s for s in starts if s > time), default=end), DOWN)
    if tables.ending is not None:
        for column in range(max(0, math.ceil(tables.ending / width) - first), columns):
            row[column] = ENDED if row[column] == BEFORE else row[column]
    return row
