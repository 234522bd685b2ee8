"""CPython's own asyncio tests, on simulated loops, in one process of their own (worker.py)."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.gate

# fmt: off
MODULES = [
    "test_locks", "test_queues", "test_taskgroups", "test_timeouts", "test_waitfor", "test_futures", "test_futures2",
    "test_protocols", "test_transports", "test_pep492", "test_runners", "test_context", "test_streams", "test_tasks",
    "test_buffered_proto", "test_events", "test_sock_lowlevel",
]
# fmt: on
AT_LEAST = 1000
"""… tests run on our loop, whatever else changes; 3.11 has more."""
MISSING = (
    "this Python comes without its `test` package, which holds CPython's own asyncio tests; on Debian it is "
    "libpython3.11-testsuite, python.org's and pyenv's have it"
)


@pytest.fixture(scope="module")
def outcome():
    if find_spec("test") is None or find_spec("test.test_asyncio") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    modules = [name for name in MODULES if find_spec(f"test.test_asyncio.{name}")]
    worker = Path(__file__).with_name("worker.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(worker), *modules],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_every_test_that_is_not_excluded_passes(outcome):
    assert outcome["failed"] == {}


def test_more_than_a_thousand_tests_really_ran_on_simulated_loops(outcome):
    assert len(outcome["ran"]) >= AT_LEAST


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the list is that of CPython 3.11's tests")
def test_every_exclusion_still_excludes_something(outcome):
    assert outcome["unused"] == []
