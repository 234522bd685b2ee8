"""Writes a test file and runs pytest over it, within this process or in one of its own."""

import pytest

# A run within this process leaves the modules that it found here as they are.
import sim.simulated_test  # noqa: F401
from tests.sim.pytest_plugin.inner_runs import ALONE

# These fixtures need pytester, which each module asks for: pytest lets the topmost conftest.py alone do it for all.


@pytest.fixture
def write(pytester: pytest.Pytester):
    """Write the test file."""
    return lambda text: pytester.makepyfile(test_it=f"import asyncio\nimport pytest\n\n{text}")


@pytest.fixture
def run(pytester: pytest.Pytester, write):
    """Write a test file and run it."""

    def run(text: str, *arguments: str) -> pytest.RunResult:
        write(text)
        return pytester.runpytest_inprocess(*ALONE, "-W", "error", *arguments)

    return run


@pytest.fixture
def run_apart(pytester: pytest.Pytester, write):
    """Write a test file and run it in a process of its own, with these plugins."""

    def run(text: str, *arguments: str) -> pytest.RunResult:
        write(text)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", *arguments, timeout=100)

    return run
