"""The page of a run: one HTML file with everything in it, no network, the same bytes for the same result and trace.

Reads a result and a trace, never a live simulation. What it says is in index.html.j2, what it looks like in page.css.

Tests: tests/sim/report/test_page.py.
"""

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from sim.history import FaultSeen
from sim.report import figure
from sim.report.bins import percentile
from sim.report.faults import fault_label
from sim.report.plots import draw_calls, draw_latency, draw_messages
from sim.report.rows import Calls, Node
from sim.report.tables import Tables, tabulate
from sim.report.timeline import MAX_LANES, draw_timeline, pick_lanes
from sim.trace import Event, read
from sim.trace.keep import keep
from sim.trace.reader import TornEnd, torn_end

__all__ = ["render", "write_report"]

MAX_ROWS = 200
"""Rows of a table; how many more there are is said below it."""

VERDICTS = {"holds": ("✔", "holds"), "fails": ("✘", "fails"), "inconclusive": ("?", "inconclusive")}


def write_report(directory: Path, result: Mapping[str, Any], trace: Path) -> Path:
    """Write result.json, trace.msgpack and index.html into `directory` (made where missing); returns the page's path.

    Result and trace are written first. Raises OSError where that is not possible, TraceError where `trace` is none.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "result.json").write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    kept = directory / "trace.msgpack"
    keep(trace, kept)
    page = directory / "index.html"
    lines = {e["trace_line"] for e in result.get("expectations") or () if e.get("trace_line")}
    page.write_text(render(result, tabulate(read(kept), lines), torn_end(kept)), encoding="utf-8")
    return page


def render(result: Mapping[str, Any], tables: Tables, torn: TornEnd | None = None) -> str:
    """The page as text. Whatever `result` lacks (a trace alone has none) is left out or taken from the trace.

    `torn` is for a trace that is cut off.
    """
    expectations = list(result.get("expectations") or ())
    verdict = result.get("verdict")
    tables.nodes = _in_order(result, tables)
    sign, word = VERDICTS.get(str(verdict), ("–", "not judged"))
    lanes, others = pick_lanes(tables)
    doubted = [o for o in tables.opinions.values() if set(o.first) != {"left"}]
    return (
        _environment()
        .get_template("index.html.j2")
        .render(
            result=result,
            tables=tables,
            torn=torn,
            scenario=result.get("scenario") or tables.scenario or "run",
            seed=result.get("seed", tables.seed),
            backend=result.get("backend") or tables.backend,
            verdict=word,
            sign=sign,
            expectations=expectations,
            error=_error(result, tables),
            failures=_failures(tables),
            held=sum(e.get("verdict") == "holds" for e in expectations),
            figures=_figures(tables),
            lanes=len(lanes),
            others=len(others),
            limits={"lanes": MAX_LANES, "rows": MAX_ROWS},
            calls=sorted(tables.calls.values(), key=lambda c: (-c.started, c.method, c.shape)),
            opinions=sorted(doubted, key=lambda o: min(t for t, _ in o.first.values())),
            left=len(tables.opinions) - len(doubted),
            down=sum(
                1 for n in tables.nodes.values() if n.ends and n.state.startswith(("crashed", "killed", "failed"))
            ),
        )
    )


def _in_order(result: Mapping[str, Any], tables: Tables) -> dict[str, Node]:
    """The nodes in the order of the scenario, which knows best; those that it does not name stand last."""
    named = [name for name in result.get("nodes") or () if name in tables.nodes]
    return {name: tables.nodes[name] for name in dict.fromkeys([*named, *tables.nodes])}


def _error(result: Mapping[str, Any], tables: Tables) -> str:
    """What the result says beyond the failures that the trace holds, which are shown by themselves."""
    error = str(result.get("error") or "")
    return "" if any(text and text in error for text, _ in _failures(tables)) else error


def _failures(tables: Tables) -> list[tuple[str, list[Event]]]:
    """The applications that raised, those that raised the same together: a hundred nodes may fail in one way."""
    same: dict[str, list[Event]] = {}
    for event in tables.failures:
        text = str(event.fields.get("traceback") or event.fields.get("error") or "").strip()
        same.setdefault(text, []).append(event)
    return list(same.items())


def _figures(tables: Tables) -> dict[str, Markup]:
    """SVG by name; a figure that would be empty is left out."""
    drawn = {}
    if tables.nodes:
        drawn["timeline"] = (
            draw_timeline,
            "Timeline: one lane a node, with its life, what others think of it, its streams",
        )
    if tables.has_network:
        drawn["messages"] = (draw_messages, "Messages sent, received and dropped a second")
        drawn["latency"] = (draw_latency, "Median and 99th percentile of message latency over time")
    if tables.ended_calls.total():
        drawn["calls"] = (draw_calls, "Calls that ended a second, by status")
    # Made by matplotlib, which escapes what stands in it.
    return {name: Markup(figure.to_svg(partial(draw, tables), name, title)) for name, (draw, title) in drawn.items()}


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": _number, "counted": _counted, "at": _at, "value": _value, "fields": _fields, "label": fault_label,
        "detail": _detail, "p": _percentile, "seconds": _seconds, "problems": _problems,
    }  # fmt: skip
    return environment


def _number(value: Any) -> str:
    """A figure as people read it; one that is no number is null in JSON, and reads alike from there."""
    if value is None:
        return "none"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _value(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if math.isfinite(value) else "none"


def _counted(count: int, noun: str) -> str:
    """So many of them, in words that fit one as well."""
    return f"{_number(count)} {noun}{'s' if count != 1 else ''}"


def _at(time: float | None) -> str:
    return "" if time is None else f"{time:.3f} s"


def _seconds(value: float | None) -> str:
    """A duration in the unit that suits it."""
    if value is None:
        return ""
    if value >= 1:
        return f"{value:.3g} s"
    return f"{value * 1e3:.3g} ms" if value >= 1e-6 else "0 ms"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(
        value,
        ensure_ascii=False,
        default=lambda v: v.decode("utf-8", "backslashreplace") if isinstance(v, bytes) else str(v),
    )


def _fields(event: Event, longest: int = 160) -> str:
    """The fields of an event on one line, values that are too long cut."""
    return "  ".join(
        f"{k}={text if len(text := _value(v)) <= longest else text[:longest] + '…'}" for k, v in event.fields.items()
    )


def _detail(fault: FaultSeen) -> str:
    return ", ".join(f"{k} = {_value(v)}" if k else _value(v) for k, v in fault.detail.items())


def _percentile(calls: Calls, share: float) -> str:
    return _seconds(percentile(calls.seconds, share))


def _problems(calls: Calls) -> str:
    """Every status but OK, the most frequent first."""
    bad = sorted(((n, s) for s, n in calls.statuses.items() if s != "OK"), key=lambda x: (-x[0], x[1]))
    return ", ".join(f"{s} {n}" for n, s in bad)
