"""Texts of errors and log records as they go into a trace: the same on every machine and in every run.

Tests: tests/sim/backends/test_both_worlds.py.
"""

import logging
import traceback
from collections.abc import Callable

from rpcnet import observe
from sim.kernel.normalize import plain

__all__ = ["LogEvents", "error_text", "plain", "traceback_text"]

MACHINERY = frozenset({"__main__", "rpcnet.app", "sim.backends.child", "sim.backends.simulated"})
"""Modules that only pass on what an application raised."""


def error_text(error: BaseException) -> str:
    """One line: the type and what it says."""
    return plain("".join(traceback.format_exception_only(error)).strip())


def traceback_text(error: BaseException) -> str:
    """As Python prints it, from the application's first frame on."""
    first = error.__traceback__
    while first is not None and first.tb_next is not None and first.tb_frame.f_globals.get("__name__") in MACHINERY:
        first = first.tb_next
    return plain("".join(traceback.format_exception(type(error), error, first)))


class LogEvents(logging.Handler):
    """Records of logging at WARNING and above become `log` events of whose they are; None = nobody's."""

    def __init__(self, whose: Callable[[], observe.Observer | None]) -> None:
        super().__init__(logging.WARNING)
        self._whose = whose

    def emit(self, record: logging.LogRecord) -> None:
        observer = self._whose()
        if observer is None:
            return
        try:
            text = plain(self.format(record))
        except Exception:  # Arguments that do not fit the text: logging's own way to say so.
            self.handleError(record)
        else:
            observer.record("log", level=record.levelname, logger=record.name, text=text)
