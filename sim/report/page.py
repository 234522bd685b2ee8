"""The page of a run: one HTML file with everything in it, no network, the same bytes for the same result and trace.

Reads a result and a trace, never a live simulation. What it says is in index.html.j2, what it looks like in page.css,
what it draws in page.js. Everything that answers a question is text of the page, also without the script.

Tests: tests/sim/report/test_page.py, tests/sim/report/test_failures.py, tests/sim/report/test_browser.py.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup

from sim.history import FaultSeen
from sim.report.answers import Answer, answers, lasted, lines_of
from sim.report.bins import percentile
from sim.report.rows import Calls, Node
from sim.report.tables import Tables, tabulate
from sim.report.view import view
from sim.report.words import at, counted, dropped, fault_label, fields, figure, number, seconds, value
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
    last = _Last(read(kept))
    tables = tabulate(last, lines_of(result), result.get("duration") or math.inf)
    # A trace whose last event is the run's is whole: it need not be read again to know that.
    torn = None if last.name == "run_ended" else torn_end(kept)
    page.write_text(render(result, tables, torn), encoding="utf-8")
    return page


def render(result: Mapping[str, Any], tables: Tables, torn: TornEnd | None = None) -> str:
    """The page as text. Whatever `result` lacks (a trace alone has none) is left out or taken from the trace.

    `torn` is for a trace that is cut off.
    """
    expectations = list(result.get("expectations") or ())
    tables.nodes = _in_order(result, tables)
    sign, word = VERDICTS.get(str(result.get("verdict")), ("–", "not judged"))
    told = answers(result, tables)
    drawn = view(tables, told)
    doubted = [o for o in tables.opinions.values() if set(o.first) != {"left"}]
    return (
        _environment(tables)
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
            bad=[answer for answer in told if answer.bad],
            good=[answer for answer in told if not answer.bad],
            held=sum(e.get("verdict") == "holds" for e in expectations),
            on_page={int(event[0]) for event in drawn["events"]},
            drawn=drawn,
            data=_json(drawn),
            source=_source(result, told),
            limits={"rows": MAX_ROWS},
            calls=sorted(tables.calls.values(), key=lambda c: (-c.started, c.method, c.shape)),
            opinions=sorted(doubted, key=lambda o: min(t for t, _ in o.first.values())),
            left=len(tables.opinions) - len(doubted),
            down=sum(1 for n in tables.nodes.values() if n.ends and n.state.startswith(("crash", "kill", "fail"))),
        )
    )


class _Last:
    """Events as they pass, and the name of the last one."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._events, self.name = events, ""

    def __iter__(self) -> Iterator[Event]:
        event = None
        for event in self._events:
            yield event
        self.name = event.name if event else ""


def _in_order(result: Mapping[str, Any], tables: Tables) -> dict[str, Node]:
    """The nodes in the order of the scenario, which knows best; those that it does not name stand last."""
    named = [name for name in result.get("nodes") or () if name in tables.nodes]
    return {name: tables.nodes[name] for name in dict.fromkeys([*named, *tables.nodes])}


def _json(drawn: Any) -> Markup:
    """For a script element, in which nothing but its end tag is markup."""
    text = json.dumps(drawn, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))


def _source(result: Mapping[str, Any], told: list[Answer]) -> list[tuple[int, str, str]]:
    """The scenario's text: number of the line, the line, the verdict of the expectation that begins there."""
    verdicts = {answer.wanted["line"]: answer.verdict for answer in told if answer.wanted.get("line")}
    lines = str(result.get("text") or "").splitlines()
    return [(index, line, verdicts.get(index, "")) for index, line in enumerate(lines, 1)]


def _environment(tables: Tables) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number, "counted": counted, "dropped": dropped, "at": at, "value": value, "fields": fields,
        "label": fault_label, "detail": _detail, "p": _percentile, "seconds": seconds, "problems": _problems,
        "sentence": tables.say,
    }  # fmt: skip
    environment.globals |= {"figure": figure, "lasted": lasted}
    return environment


def _detail(fault: FaultSeen) -> str:
    return ", ".join(f"{k} = {value(v)}" if k else value(v) for k, v in fault.detail.items())


def _percentile(calls: Calls, share: float) -> str:
    return seconds(percentile(calls.seconds, share))


def _problems(calls: Calls) -> str:
    """Every status but OK, the most frequent first."""
    bad = sorted(((n, s) for s, n in calls.statuses.items() if s != "OK"), key=lambda x: (-x[0], x[1]))
    return ", ".join(f"{s} {n}" for n, s in bad)
