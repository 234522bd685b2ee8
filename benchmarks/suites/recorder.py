"""A pytest plugin for the suites of other projects: makes their loops simulated ones, and writes down what became of
each test (see __main__.py).

Every policy of asyncio's makes its loops with `_loop_factory`, so that all ways to a new loop are reached but the
constructors of loop classes. A test that takes too long is broken off by a signal.
"""

import asyncio
import json
import logging
import os
import signal
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

SIMULATED = os.environ["SUITES_WORLD"] == "sim"
TOLD = Path(os.environ["SUITES_TOLD"])
LIMIT = float(os.environ["SUITES_LIMIT"])
REFUSALS = ("NotSimulated", "SimulationError", "RealThread", "Stuck")
"""Errors of the simulator that say what to do instead."""


class Hung(BaseException):
    """The test ran into the time limit."""


def _hung(*_: Any) -> None:
    raise Hung("the time limit")


class Recorder:
    """Writes a line when a test begins, and one when it has ended."""

    def __init__(self) -> None:
        self.ran = 0
        self.entry: dict[str, Any] = {}
        self.done = {entry["test"] for line in TOLD.read_text().splitlines() if "test" in (entry := json.loads(line))}

    def count(self, kind: Any) -> None:
        """Notice when a loop of that class runs."""
        run = kind.run_forever

        def run_forever(loop: Any) -> Any:
            self.ran += 1
            return run(loop)

        kind.run_forever = run_forever

    def write(self, entry: dict[str, Any]) -> None:
        with TOLD.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [each for each in items if each.nodeid not in self.done]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        self.write({"begins": item.nodeid})
        before = self.ran
        start_clock()
        self.entry = {"test": item.nodeid, "outcome": "passed", "refused": False, "text": ""}
        signal.signal(signal.SIGALRM, _hung)
        signal.setitimer(signal.ITIMER_REAL, LIMIT, LIMIT)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            asyncio.events._set_running_loop(None)  # of a test that was broken off
            self.write(self.entry | {"ran": self.ran > before})

    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """What a thread was refused does not reach the test, which fails as it waits for the thread."""
        if "PytestUnhandledThread" in warning_message.category.__name__:
            text = str(warning_message.message)
            self.entry["refused"] |= any(each in text for each in REFUSALS)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Any:
        report = yield
        entry = self.entry
        if report.skipped and entry["outcome"] == "passed":
            entry["outcome"] = "skipped"
        elif report.failed and entry["outcome"] != "hung":
            error = None if call.excinfo is None else call.excinfo.value
            entry["outcome"] = "hung" if isinstance(error, Hung) or "Hung" in str(report.longrepr) else "failed"
            entry["refused"] = any(each in str(report.longrepr) for each in REFUSALS)
            entry["text"] = f"{report.when}: {type(error).__name__}: {error}"[:500]
        return report


def start_clock() -> None:
    """Nodes begin at the present: tests compare what they see with the real clock, which runs between them."""
    if SIMULATED:
        clock.EPOCH = time.time()


recorder = Recorder()
recorder.count(asyncio.BaseEventLoop)
if SIMULATED:
    import sim
    from sim.kernel import clock
    from sim.kernel.loop.loop import NodeLoop

    start_clock()  # fixtures make certificates off the nodes, by the real clock
    recorder.count(NodeLoop)
    asyncio.DefaultEventLoopPolicy._loop_factory = staticmethod(sim.new_event_loop)  # type: ignore[attr-defined]


for _name in os.environ.get("SUITES_SILENT", "").split():
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(recorder)
