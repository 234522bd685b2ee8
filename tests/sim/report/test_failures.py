"""The page of a planted failure answers what, when, who and why in its visible text."""

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import sim
from sim.report import write_report
from sim.scenario.run import run
from tests.sim.report.failures import FAILURES
from tests.sim.report.test_page import check


class Visible(HTMLParser):
    """The text of a page that a reader sees without a click: scripts and styles aside."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def visible(markup: str) -> str:
    parser = Visible()
    parser.feed(markup)
    return " ".join("".join(parser.parts).split())


def page_of(name: str, directory: Path) -> Path:
    failure = FAILURES[name]
    file = directory / "planted.toml"
    file.write_text(failure.text, encoding="utf-8")
    found = run(sim.Scenario.load(file), trace=directory / "trace.msgpack", defects=failure.defects)
    assert found.verdict != "holds"
    return write_report(directory, found.result(), found.trace.path)


@pytest.mark.parametrize("name", FAILURES)
def test_the_page_of_a_planted_failure_answers(name: str, tmp_path: Path) -> None:
    text = page_of(name, tmp_path).read_text(encoding="utf-8")
    check(text)
    failure = FAILURES[name]
    answers = text.partition('<section id="answers">')[2].partition("</section>")[0]
    assert answers, "no card"
    first = answers.partition("</dl>")[0]
    what, when, who, why = (
        visible(first.partition(f"<dt>{key}</dt>")[2].partition("<dt>")[0]) for key in ("what", "when", "who", "why")
    )
    assert visible(failure.what) in what
    assert visible(failure.when) in when
    assert failure.who in who
    for words in failure.why:
        assert visible(words) in why
    seen = visible(text)
    assert "Run it again" in seen and "planted.toml --seed 3" in seen
    assert 'name = "planted"' in seen and "preset lan" in seen, "the scenario's text and its network"
    assert not re.search(r"<details>\s*<summary>What led to it", text), "what led to it is open"


if __name__ == "__main__":
    # python -m tests.sim.report.test_failures DIR: the ten pages, to look at.
    import sys

    for name in FAILURES:
        directory = Path(sys.argv[1]) / re.sub(r"\W+", "-", name)
        os.makedirs(directory, exist_ok=True)
        print(page_of(name, directory))
