"""Runs CPython's own asyncio tests with simulated loops; prints what became of each as JSON.

A process of its own, as it replaces what asyncio takes for its default. A test counts only where a simulated loop ran
during it: the tests of pure functions pass here too, and say nothing about us.
"""

import argparse
import asyncio
import asyncio.unix_events
import contextlib
import faulthandler
import gc
import importlib
import io
import json
import logging
import sys
import unittest
from collections.abc import Iterator
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any
from unittest import mock

from excluded import EXCLUDED

import sim
from sim.kernel.loop.loop import NodeLoop
from sim.kernel.patches import socket_module

SECONDS_A_TEST = 30

loops: list[NodeLoop] = []
"""Those that tests have made, the latest last."""
turned: set[NodeLoop] = set()
"""Those that have run since the test began."""


def new_event_loop(*_: Any) -> NodeLoop:
    loop = sim.new_event_loop()
    loops.append(loop)
    return loop


class SimulatedPolicy(asyncio.DefaultEventLoopPolicy):
    _loop_factory = staticmethod(new_event_loop)  # type: ignore[assignment]


def count_what_runs() -> None:
    """Note each loop that is run."""
    run_forever = NodeLoop.run_forever

    def noted(self: NodeLoop) -> None:
        turned.add(self)
        run_forever(self)

    NodeLoop.run_forever = noted  # type: ignore[method-assign]


# -- what the tests take from test_asyncio.utils -------------------------------------------------------------------


class HttpServer:
    """The test package's web server in a thread, as tasks of the loop under test."""

    def __init__(self, loop: NodeLoop) -> None:
        self.loop = loop
        self.address: Any = None
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    def start(self, path: str | None, context: Any) -> None:
        if path is None:
            started = asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=context)
        else:
            started = asyncio.start_unix_server(self._answer, path, ssl=context)
        self._server = self.loop.run_until_complete(started)
        self.address = self._server.sockets[0].getsockname()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError):
            if await reader.readline():
                writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nTest message")
        writer.close()
        self._writers.discard(writer)

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()


@contextlib.contextmanager
def http_server(path: str | None = None, use_ssl: bool = False) -> Iterator[HttpServer]:
    utils = importlib.import_module("test.test_asyncio.utils")
    server = HttpServer(loops[-1])
    server.start(path, utils.simple_server_sslcontext() if use_ssl else None)
    try:
        yield server
    finally:
        server.stop()


def new_test_loop(self: Any, gen: Any = None) -> NodeLoop:
    """TestLoop takes the time from a generator; ours has a virtual one anyway."""
    loop: Any = new_event_loop()
    loop.advance_time = lambda seconds: None
    self.set_event_loop(loop)
    return loop  # type: ignore[no-any-return]


# -- the modules whose tests ask for another class of loops by name ------------------------------------------------


def adapt_test_pep492(module: Any) -> None:
    def set_up(self: Any) -> None:
        super(module.BaseTest, self).setUp()
        self.loop = new_event_loop()
        self.set_event_loop(self.loop)

    module.BaseTest.setUp = set_up


def adapt_test_runners(module: Any) -> None:
    def new_loop(self: Any) -> NodeLoop:
        loop: Any = new_event_loop()
        loop.shutdown_ag_run = False

        async def shutdown_asyncgens() -> None:
            loop.shutdown_ag_run = True

        loop.shutdown_asyncgens = shutdown_asyncgens
        return loop  # type: ignore[no-any-return]

    module.BaseTest.new_loop = new_loop


def adapt_test_buffered_proto(module: Any) -> None:
    module.BufferedProtocolSelectorTests.new_loop = new_event_loop


def adapt_test_server(module: Any) -> None:
    module.SelectorStartServerTests.new_loop = new_event_loop


def _of_mixin(module: Any, mixin: Any, *, own: type = unittest.TestCase) -> None:
    """Only the mixin's tests, on our loop: the classes beside it are those of the real selectors."""
    for name in [name for name, value in vars(module).items() if isinstance(value, type)]:
        found = vars(module)[name]
        if issubclass(found, mixin) and found is not mixin:
            delattr(module, name)
    module.SimulatedTests = type(
        "SimulatedTests", (mixin, own), {"create_event_loop": new_event_loop, "__module__": module.__name__}
    )


def adapt_test_events(module: Any) -> None:
    _of_mixin(module, module.EventLoopTestsMixin, own=module.test_utils.TestCase)


def adapt_test_sock_lowlevel(module: Any) -> None:
    """Sockets that the tests make before they run the loop are of its node too."""
    on_a_node = socket_module.running
    socket_module.running = lambda: on_a_node() or (loops[-1].node if loops else None)  # type: ignore[attr-defined]
    _of_mixin(module, module.BaseSockTestsMixin, own=module.test_utils.TestCase)


# -- running them --------------------------------------------------------------------------------------------------


class Outcome(unittest.TestResult):
    """Which test passed, failed, was skipped, and whether our loop ran in it."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []
        self.passed_without: list[str] = []
        self.failed: dict[str, str] = {}
        self.skips: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        super().startTest(test)
        turned.clear()
        faulthandler.dump_traceback_later(SECONDS_A_TEST, exit=True, file=sys.__stderr__)

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)
        name = short(test)
        if name not in self.failed and name not in self.skips:
            (self.ran if turned else self.passed_without).append(name)
        loops.clear()
        gc.collect()  # else what it left unclosed is heard in a test that counts warnings

    def addError(self, test: unittest.TestCase, err: Any) -> None:  # noqa: N802
        self.failed[short(test)] = self._exc_info_to_string(err, test)  # type: ignore[attr-defined]

    addFailure = addError  # noqa: N815

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:  # noqa: N802
        if err is not None:
            self.addError(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:  # noqa: N802
        self.skips[short(test)] = reason


def short(test: unittest.TestCase) -> str:
    """test_locks.LockTests.test_repr"""
    return test.id().removeprefix("test.test_asyncio.")


def tests_of(suite: Any) -> Iterator[unittest.TestCase]:
    for each in suite:
        if isinstance(each, unittest.TestSuite):
            yield from tests_of(each)
        else:
            yield each


def run(module: ModuleType, outcome: Outcome, used: set[str], excluded: list[str]) -> None:
    suite = unittest.TestSuite()
    for test in tests_of(unittest.defaultTestLoader.loadTestsFromModule(module)):
        found = [pattern for pattern in EXCLUDED if fnmatchcase(short(test), pattern)]
        used.update(found)
        if found:
            excluded.append(EXCLUDED[found[0]])
        else:
            suite.addTest(test)
    with mock.patch.object(sys, "stdout", io.StringIO()), mock.patch.object(sys, "stderr", io.StringIO()):
        suite.run(outcome)
        if hasattr(module, "tearDownModule"):
            module.tearDownModule()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("modules", nargs="+")
    arguments = parser.parse_args()
    faulthandler.enable()
    logging.lastResort = None
    asyncio.DefaultEventLoopPolicy = SimulatedPolicy  # type: ignore[misc]
    asyncio.set_event_loop_policy(None)
    count_what_runs()
    # A simulation undoes what is frozen below when it ends: each of two thousand collections would look at all modules.
    gc.unfreeze = lambda: None
    utils: Any = importlib.import_module("test.test_asyncio.utils")
    utils.TestCase.new_test_loop = new_test_loop
    utils.run_test_server = lambda *, use_ssl=False, **_: http_server(None, use_ssl)
    utils.run_test_unix_server = lambda *, use_ssl=False, **_: http_server("/run/test", use_ssl)
    outcome, used, excluded = Outcome(), set[str](), list[str]()
    for name in arguments.modules:
        module = importlib.import_module(f"test.test_asyncio.{name}")
        adapt = globals().get(f"adapt_{name}")
        if adapt is not None:
            adapt(module)
        gc.collect()
        gc.freeze()  # some tests collect garbage a hundred times
        run(module, outcome, used, excluded)
    json.dump(
        {
            "ran": outcome.ran,
            "passed_without": outcome.passed_without,
            "failed": outcome.failed,
            "skipped": outcome.skips,
            "reasons": excluded,
            "unused": sorted(set(EXCLUDED) - used),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
