"""The page in a browser: filter, zoom, links to events and their causes, narrow and dark, and no error in the console.

Skipped where no Chromium is found; the reason says so.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sim.report import write_report
from sim.trace import read
from tests.sim.report.browser import Browser, chromium
from tests.sim.report.conftest import Story

PROGRAM = chromium()
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="NO CHROMIUM FOUND: the page was not tried in a browser")

NAMES = "[...document.querySelectorAll('.lane')].map((lane) => lane.dataset.node)"
RANGE = "document.getElementById('range').textContent"
CHOSEN = "document.querySelector('#events tr.chosen')?.textContent"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert PROGRAM is not None
    with Browser(PROGRAM, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the story's worker that dies, told as a failure."""
    directory = tmp_path_factory.mktemp("page")
    trace = Story(directory / "story.msgpack").write()
    failed = [event for event in read(trace) if event.name == "member_failed"]
    expectation = {
        "name": "member_failed worker-2", "verdict": "fails", "saw": "client recorded worker-2 as failed too late",
        "time": failed[-1].time, "trace_line": failed[-1].line, "looked_at": [event.line for event in failed],
        "line": 2, "measured": {"detection_last": 5.9},
    }  # fmt: skip
    result: dict[str, Any] = {
        "scenario": "worker-death", "seed": 7, "backend": "sim", "verdict": "fails", "duration": 39.5,
        "text": 'name = "worker-death"\n[[expect]]\nmember_failed = "worker-2"\n', "expectations": [expectation],
    }  # fmt: skip
    return write_report(directory / "report", result, trace)


@pytest.fixture
def opened(browser: Browser, page: Path) -> Iterator[Browser]:
    browser.open(page)
    yield browser
    assert browser.errors == []


def test_every_node_has_a_lane_and_the_answer_a_letter_on_it(opened: Browser) -> None:
    assert opened.ask(NAMES) == ["director", "worker-1", "worker-2", "worker-3", "client"]
    assert opened.ask("document.querySelector('.lane[data-node=\"worker-2\"] .badge-text').textContent") == "1"
    assert opened.ask("document.querySelectorAll('.answer-mark').length") > 0


def test_the_filter_leaves_the_nodes_that_match(opened: Browser) -> None:
    opened.write("#filter", "worker-*")
    assert opened.ask(NAMES) == ["worker-1", "worker-2", "worker-3"]
    opened.write("#filter", "role=client")
    assert opened.ask(NAMES) == ["client"]
    opened.write("#filter", "nobody")
    assert opened.ask(NAMES) == []
    assert "no node matches" in opened.ask("document.getElementById('lanes').textContent")


def test_buttons_and_a_drag_over_the_lanes_zoom(opened: Browser) -> None:
    whole = opened.ask(RANGE)
    opened.click("#in")
    zoomed = opened.ask(RANGE)
    assert zoomed != whole
    opened.click("#later")
    assert opened.ask(RANGE) not in (whole, zoomed)
    opened.click("#whole")
    assert opened.ask(RANGE) == whole
    opened.drag("#lanes", 0.4, 0.6)
    start, end = (float(part.split()[0]) for part in opened.ask(RANGE).split(" to "))
    assert 0 < start < end < 30


def test_a_lane_leads_to_the_events_of_its_node(opened: Browser) -> None:
    opened.click(".lane[data-node='worker-2'] a")
    assert opened.ask("document.getElementById('events-title').textContent").startswith("Events of worker-2,")
    nodes = opened.ask(
        "[...new Set([...document.querySelectorAll('#events tr')].map((r) => r.children[2].textContent))]"
    )
    assert nodes == ["worker-2"]


def test_evidence_leads_to_its_event(opened: Browser) -> None:
    opened.click("#answer-A ol.events a")
    line = opened.ask("location.hash")
    assert line.startswith("#line-")
    chosen = opened.ask(CHOSEN)
    assert "recorded worker-2 as failed" in chosen and line.removeprefix("#line-") in chosen
    assert opened.ask("document.querySelectorAll('#lanes circle.chosen').length") == 1


def test_a_message_leads_to_its_cause(opened: Browser) -> None:
    opened.click("#in")
    opened.click("#events td[data-l='because of'] a")
    assert "sent 120 bytes" in opened.ask(CHOSEN)


def test_a_line_of_the_scenario_is_marked(opened: Browser) -> None:
    opened.click("#answer-A .name a")
    assert opened.ask("document.querySelector(':target').textContent").strip().startswith("2 [[expect]]")


@pytest.mark.parametrize("width", [1400, 500])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_at_this_width_and_in_this_colour(
    browser: Browser, page: Path, width: int, scheme: str
) -> None:
    browser.open(page, width, scheme)
    assert browser.ask("document.documentElement.scrollWidth") <= width
    ground = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(18, 22, 28)" if scheme == "dark" else "rgb(246, 247, 249)")
    outside = (
        "[...document.querySelectorAll('#lanes text')].filter((t) => { const r = t.getBoundingClientRect();"
        " return r.width && (r.left < 0 || r.right > innerWidth) }).map((t) => t.textContent)"
    )
    assert browser.ask(outside) == []
    assert browser.errors == []
