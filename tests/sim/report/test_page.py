"""sim.report.page: the page, and what lies beside it."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sim.report import render, tabulate, write_report
from sim.report.view import view
from sim.trace import Event, Trace, TraceError, read
from sim.trace.cause import brief, chain

VOID = {"meta", "br", "link", "img", "path", "use", "rect", "stop", "input"}


class Checker(HTMLParser):
    """Whether elements close in order, ids are unique, and nothing is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        self.handle_attributes(attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_attributes(attrs)

    def handle_attributes(self, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "action"):
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def check(text: str) -> Checker:
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert {link for link in checker.links if not link.startswith("#")} <= {"result.json", "trace.msgpack"}
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    return checker


def text_of(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    check(text)
    return text


def test_the_report_is_a_page_a_result_and_a_trace(tmp_path: Path, result: dict[str, Any], trace: Path) -> None:
    page = write_report(tmp_path / "deep" / "report", result, trace)
    assert page == tmp_path / "deep" / "report" / "index.html"
    assert json.loads((page.parent / "result.json").read_text()) == result
    kept = page.parent / "trace.msgpack"
    assert kept.stat().st_size < trace.stat().st_size / 2
    assert list(read(kept)) == list(read(trace))
    text = text_of(page)
    assert '<html lang="en">' in text
    assert 'class="verdict holds"' in text
    for words in ("2 of 2 hold", "seed", "9f8b1c0d", "rpcnet-sim run scenarios/worker_death.toml --seed 7", "4 of 4"):
        assert words in text
    assert {m[1] for m in re.finditer('class="curve" id="([^"]+)"', text)} == {
        "curve-messages",
        "curve-latency",
        "curve-calls",
    }


def test_a_trace_that_lies_in_the_directory_stays(tmp_path: Path, result: dict[str, Any], trace: Path) -> None:
    kept = tmp_path / "trace.msgpack"
    trace.rename(kept)
    before = list(read(kept))
    write_report(tmp_path, result, kept)
    assert list(read(kept)) == before


def test_the_same_result_and_trace_give_the_same_bytes(tmp_path: Path, result: dict[str, Any], trace: Path) -> None:
    first = write_report(tmp_path / "a", result, trace).read_bytes()
    assert write_report(tmp_path / "b", result, trace).read_bytes() == first


def test_a_failing_run_shows_what_was_seen_and_where(tmp_path: Path, result: dict[str, Any], trace: Path) -> None:
    line = next(e.line for e in read(trace) if e.name == "member_failed")
    result["verdict"] = "fails"
    result["error"] = "client: ValueError: <b>no tokens</b>"
    result["expectations"][0] |= {"verdict": "fails", "saw": "3 of 4 did", "trace_line": line}
    text = text_of(write_report(tmp_path, result, trace))
    assert 'class="verdict fails"' in text
    assert "ValueError: &lt;b&gt;no tokens&lt;/b&gt;" in text
    looked_at = text.partition("The trace line that it looked at")[2].partition("</details>")[0]
    assert f'<a href="#line-{line}">' in looked_at and "recorded worker-2 as failed" in looked_at


def test_an_application_that_raised_is_named_with_its_traceback(
    tmp_path: Path, result: dict[str, Any], story: Callable[..., Any]
) -> None:
    tale = story()
    for node in ("worker-1", "worker-3"):
        tale.at(20.0, node, "node_failed", error="KeyError: 'x'", traceback="Traceback …\nKeyError: 'x'")
    result["error"] = "worker-3: Traceback …\nKeyError: 'x'"
    text = text_of(write_report(tmp_path, result, tale.write()))
    assert "The application of 2 nodes raised KeyError: &#39;x&#39;" in text
    answer = text.partition('<section id="answers">')[2].partition("</section>")[0]
    assert "at 20.000 s" in answer and "#node-worker-1" in answer and "#node-worker-3" in answer
    assert answer.count("Traceback …") == 1


def test_defects_overrides_and_warnings_are_said_at_the_top(
    tmp_path: Path, result: dict[str, Any], trace: Path
) -> None:
    result |= {
        "defects": ["no_idle_timeout"],
        "overrides": ["network.loss=<5%>", "node.worker.count=50"],
        "warnings": ['fault "heal" touched nobody'],
    }
    head = text_of(write_report(tmp_path, result, trace)).partition("</header>")[0]
    assert "no_idle_timeout" in head
    assert "<code>network.loss=&lt;5%&gt;</code>, <code>node.worker.count=50</code>" in head
    assert "touched nobody" in head


def test_over_sockets_a_sentence_stands_for_the_plots_of_messages(
    tmp_path: Path, result: dict[str, Any], story: Callable[..., Any]
) -> None:
    result |= {"backend": "sockets", "digest": None}
    text = text_of(write_report(tmp_path, result, story(backend="sockets").write()))
    assert "only the simulator can record each message" in text
    assert {m[1] for m in re.finditer('class="curve" id="([^"]+)"', text)} == {"curve-calls"}
    assert "virtual" not in text.partition("<script")[0]
    assert '"unit":"s"' in text


def test_a_hundred_nodes_fit(tmp_path: Path, result: dict[str, Any], story: Callable[..., Any]) -> None:
    page = write_report(tmp_path, result, story(workers=98).write())
    text = text_of(page)
    assert 'id="density"' in text and "All 100 nodes, one row for 1 node" in text
    assert page.stat().st_size < 300_000


def test_of_one_node_and_one_cause_the_page_speaks_in_the_singular() -> None:
    cause = {"line": 1, "time": 0.0, "node": "a", "event": "node_ready", "cause": 0, "text": ""}
    expectation = {"name": "logged", "verdict": "fails", "causes": [cause]}
    text = render({"expectations": [expectation]}, tabulate([Event(1, 0.0, "a", "node_ready", 0, {})]))
    assert "<summary>1 node</summary>" in text
    assert "the last 1 causal event<" in text


def test_an_empty_trace_says_so(tmp_path: Path, result: dict[str, Any]) -> None:
    empty = tmp_path / "empty.msgpack"
    Trace(empty).close()
    text = text_of(write_report(tmp_path / "report", result, empty))
    assert "The trace is empty" in text
    assert "<script" not in text


def test_a_file_that_is_no_trace_is_refused_with_the_result_already_written(
    tmp_path: Path, result: dict[str, Any]
) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"no trace")
    with pytest.raises(TraceError):
        write_report(tmp_path / "report", result, other)
    assert (tmp_path / "report" / "result.json").exists()


def test_a_trace_alone_gives_a_page_without_a_verdict(trace: Path) -> None:
    text = render({}, tabulate(read(trace)))
    check(text)
    assert "not judged" in text
    assert "worker-death" in text


def test_figures_that_are_no_numbers_are_shown_and_written_as_null(
    tmp_path: Path, result: dict[str, Any], trace: Path
) -> None:
    result["expectations"][0]["measured"] = {"p99": float("nan"), "worst": float("inf"), "who": ["a"]}
    page = write_report(tmp_path, result, trace)
    assert '<span class="soft">p99</span> none' in text_of(page)
    written = json.loads((tmp_path / "result.json").read_text())
    assert written["expectations"][0]["measured"] == {"p99": None, "worst": None, "who": ["a"]}


def test_what_applications_wrote_is_never_markup(tmp_path: Path, result: dict[str, Any]) -> None:
    evil = "</pre><script>alert(1)</script>"
    path = tmp_path / "evil.msgpack"
    with Trace(path) as trace:
        trace.record(0.0, evil, "node_started", 0, address=evil, labels={evil: evil}, app=evil)
        trace.record(0.1, evil, "log", 0, level="WARNING", logger=evil, text=evil)
        trace.record(0.2, "", "fault", 0, name=evil, verb="crash", targets=[evil], detail={"x": evil}, line=1)
        trace.record(
            0.3, evil, "call_started", 0, connection="c", stream=1, method=evil, shape="bidirectional", peer=evil
        )
        trace.record(
            0.4,
            evil,
            "call_ended",
            0,
            connection="c",
            stream=1,
            method=evil,
            shape="bidirectional",
            status=evil,
            seconds=0.1,
        )
        trace.record(0.5, evil, evil, 0, text=evil)
    result["expectations"][0] |= {"saw": evil, "trace_line": 6}
    more = {
        "summary": evil,
        "error": evil,
        "text": evil,
        "settings": {evil: {evil: evil}},
        "waiting": [[evil, evil, evil]],
    }
    text = text_of(write_report(tmp_path / "report", result | more, path))
    assert re.findall("<script[^>]*>", text) == ['<script type="application/json" id="data">', "<script>"]
    assert "alert(1)</script>" not in text


def test_leaks_warnings_and_idle_faults_are_listed(tmp_path: Path, result: dict[str, Any]) -> None:
    def event(line: int, node: str, event: str, /, **fields: Any) -> Event:
        return Event(line, float(line), node, event, 0, fields)

    events = [
        event(1, "a", "log", level="WARNING", logger="rpcnet", text="too slow"),
        event(2, "a", "leak", kind="task", what="<Task pending>", where="app.py:3"),
        event(3, "", "fault_idle", name="late", why="worker-9 was not up"),
    ]
    text = render(result, tabulate(events))
    check(text)
    for words in ("too slow", "&lt;Task pending&gt;", "app.py:3", "had no effect", "worker-9 was not up"):
        assert words in text


def test_what_led_to_a_failure_stands_beside_its_evidence(tmp_path: Path, result: dict[str, Any], trace: Path) -> None:
    event = chain(list(read(trace)), next(e.line for e in read(trace) if e.name == "member_failed"))
    result["expectations"][0] |= {"verdict": "fails", "causes": [brief(e) for e in event]}
    text = text_of(write_report(tmp_path, result, trace))
    assert f"What led to it: the last {len(event)} causal events" in text
    told = text.partition("What led to it")[2].partition("</details>")[0]
    assert "as suspected" in told and "as failed" in told


def test_the_scenario_and_its_settings_stand_on_the_page(tmp_path: Path, result: dict[str, Any], trace: Path) -> None:
    result["expectations"][0] |= {"line": 2, "verdict": "fails"}
    result |= {
        "file": "worker_death.toml",
        "text": 'name = "worker-death"\n[[expect]]\nmember_failed = "<b>"',
        "settings": {"network": {"preset": "lan", "latency": "uniform(0.1ms, 0.5ms)"}, "cluster": {"preset": "lan"}},
    }
    text = text_of(write_report(tmp_path, result, trace))
    assert '<span id="source-2" class="fails">' in text and "member_failed = &#34;&lt;b&gt;&#34;" in text
    assert '<a href="#source-2">line 2 of the scenario</a>' in text
    assert "uniform(0.1ms, 0.5ms)" in text.partition("<h3>network</h3>")[2]


def test_what_happens_at_the_end_is_drawn_as_no_failure(
    tmp_path: Path, result: dict[str, Any], story: Callable[..., Any]
) -> None:
    tale = story()
    for node in ("director", "worker-1", "client"):
        tale.at(39.6, node, "member_failed", member="worker-3", run=1, incarnation=0)
    path = tale.write()
    drawn = [view(tabulate(read(path), duration=duration), []) for duration in (39.5, float("inf"))]
    steps = [next(node for node in each["nodes"] if node[0] == "worker-3")[5] for each in drawn]
    assert steps[0] == [] and steps[1] != []
    assert [each["ending"] for each in drawn] == [39.5, None]
