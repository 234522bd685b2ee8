"""docs/howto/restart.md and slow-reader.md: what they show stands in the scenario that they speak of."""

import re
from pathlib import Path

import pytest

from sim.scenario.load import load

ROOT = Path(__file__).parents[3]
PAGES = {"restart": "restart_under_loss", "slow-reader": "slow_chain"}


@pytest.fixture(params=PAGES)
def page(request):
    """A page's text, and the scenario that it is about."""
    return (ROOT / f"docs/howto/{request.param}.md").read_text(), ROOT / f"scenarios/{PAGES[request.param]}.toml"


def test_every_table_of_the_page_stands_in_the_file(page):
    text, file = page
    blocks = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        assert block.strip() in file.read_text()


def test_every_command_of_the_page_is_of_that_file(page):
    text, file = page
    commands = re.findall(r"^rpcnet-sim run (\S+)(.*)$", text, re.MULTILINE)
    assert len(commands) == 4
    assert {ROOT / name for name, _ in commands} == {file}


def test_the_page_names_what_turns_it_red(page):
    text, file = page
    assert set(load(file).catches) <= set(re.findall(r"`(\w+)`", text.partition("## Seen to fail")[2]))


def test_no_judge_is_written_in_python(page):
    _, file = page
    assert "python" not in {expectation.KEY for expectation in load(file).expect}
