"""CPython's own asyncio tests, on simulated loops, in one process of their own (worker.py)."""

import ast
import os
import sys
from difflib import unified_diff
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.sim.compatibility.page import COMMAND, PAGE, conformance, render
from tests.sim.conformance.modules import MODULES

pytestmark = pytest.mark.gate

AT_LEAST = 1000
"""… tests run on our loop, whatever else changes; 3.11 has more."""
MISSING = (
    "this Python comes without its `test` package, which holds CPython's own asyncio tests; on Debian it is "
    "libpython3.11-testsuite, python.org's and pyenv's have it"
)
only_on_3_11 = pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="written for the tests of CPython 3.11")


@pytest.fixture(scope="module")
def outcome():
    if find_spec("test") is None or find_spec("test.test_asyncio") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    return conformance([name for name in MODULES if find_spec(f"test.test_asyncio.{name}")])


def test_every_test_that_is_not_excluded_passes(outcome):
    assert outcome["failed"] == {}


def test_more_than_a_thousand_tests_really_ran_on_simulated_loops(outcome):
    assert len(outcome["ran"]) >= AT_LEAST


@only_on_3_11
def test_every_exclusion_still_excludes_something(outcome):
    assert outcome["unused"] == []


def written_in(folder):
    """The tests of a folder by module, in order: those that ran, where all pass."""
    found = {}
    for path in sorted((Path(__file__).parents[1] / folder).glob("test_*.py")):
        body = ast.parse(path.read_text()).body
        tests = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        found[path.stem] = [name for name in tests if name.startswith("test_")]
    return found


@only_on_3_11
def test_the_page_of_the_documentation_says_what_runs(outcome):
    written = PAGE.read_text(encoding="utf-8").splitlines()
    now = render(outcome, written_in("twins"), written_in("compatibility")).splitlines()
    if written != now:
        difference = "\n".join(unified_diff(written, now, "docs/compatibility.md", "what the tests say", "", "", 0, ""))
        pytest.fail(f"docs/compatibility.md is not what the tests say; write it anew: {COMMAND}\n{difference}")
