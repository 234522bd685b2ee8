"""What runs in each process of `check-determinism`: one scenario, seed by seed, in surroundings that may be odd.

`python -m sim.study.twin` reads its order from stdin and answers on stdout, one JSON object a line and seed. It can
give the heap another shape and have directories listed the other way round, so that what depends on them shows; and it
notes which calls of the application reach outside of the simulation, and where. The hash seed is the environment's.

Tests: tests/sim/study/test_determinism.py.
"""

import faulthandler
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self

import msgspec

from rpcnet.app import add_working_directory
from sim.backends import runner
from sim.kernel import patches
from sim.scenario.load import load
from sim.scenario.run import program_of
from sim.trace import TraceWriteError

__all__ = ["ESCAPES", "Answer", "Escape", "Order", "main"]

ESCAPES = {
    "builtins.id": "id(), an address in memory",
    "os.listdir": "the order in which a directory is listed",
    "os.scandir": "the order in which a directory is listed",
    "socket.__new__": "a real socket",
    "subprocess.Popen": "a process of its own",
    "os.fork": "a process of its own",
    "os.system": "a process of its own",
    "thread": "a thread",
}
"""Audit events of CPython (3.11 to 3.13) → what of the world outside they let in."""
MAX_ESCAPES = 100
LIBRARY = os.path.join(os.path.dirname(os.__file__), "")
OURS = tuple(os.path.join(os.path.dirname(sys.modules[name].__file__ or ""), "") for name in ("sim", "rpcnet"))
PATCHES = os.path.join(os.path.dirname(patches.__file__), "")
IMPORTING = "<frozen importlib"


class Order(msgspec.Struct, kw_only=True):
    """What a process is to run, and in which surroundings."""

    file: str
    settings: list[str] = []
    seeds: list[int]
    folder: str
    """Where the traces go, called by their seeds."""
    other_heap: bool = False
    other_listing: bool = False


class Escape(msgspec.Struct, frozen=True, kw_only=True):
    """A call of the application that reaches outside."""

    what: str
    place: str


class Answer(msgspec.Struct, kw_only=True):
    """One run."""

    seed: int
    digest: str
    trace: str
    error: str | None = None
    escapes: list[Escape] = []


class Watch:
    """Notes what the application asks of the world outside. Once a process, as an audit hook cannot be taken back."""

    def __init__(self) -> None:
        self.seen: dict[Escape, None] = {}
        self._busy = False

    def install(self) -> None:
        sys.addaudithook(self._hook)
        start = threading.Thread.start  # a node's own thread begins in sim.kernel, and is none of the real world

        def watched(thread: threading.Thread) -> None:
            self._note("thread")
            start(thread)

        threading.Thread.start = watched  # type: ignore[method-assign,assignment]

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ESCAPES and not self._busy:
            self._note(event)

    def _note(self, event: str) -> None:
        if len(self.seen) >= MAX_ESCAPES:
            return
        self._busy = True
        try:
            frame = _application(sys._getframe(2), direct=event == "builtins.id")
            if frame is not None:
                name = os.path.relpath(frame.f_code.co_filename)
                place = f"{name}:{frame.f_lineno} in {frame.f_code.co_name}"
                self.seen.setdefault(Escape(what=ESCAPES[event], place=place))
        finally:
            self._busy = False


def _application(frame: FrameType | None, *, direct: bool) -> FrameType | None:
    """The frame of the application that asks, itself or by way of the library; None where it is nobody's of its."""
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(PATCHES):  # it only hands on what is of the real world
            frame = frame.f_back
            continue
        if file.startswith(IMPORTING) or file.startswith(OURS):
            return None
        if not file.startswith((LIBRARY, "<")):
            return frame
        frame = None if direct else frame.f_back
    return None


def _shape_heap() -> list[Any]:
    """Objects of all small sizes, every other one freed: what is allocated next lies elsewhere."""
    kept: list[Any] = [bytes(size) for size in range(0, 480, 16) for _ in range(31 + size % 17)]
    del kept[::2]
    return kept


def _list_otherwise() -> None:
    """The order of a directory is the file system's: any order is right, so the other way round is."""

    listdir, scandir = os.listdir, os.scandir
    os.listdir = lambda *arguments: sorted(listdir(*arguments), reverse=True)  # type: ignore[assignment]
    os.scandir = lambda *arguments: _Turned(scandir(*arguments))  # type: ignore[assignment]


class _Turned:
    """What os.scandir gives, the other way round."""

    def __init__(self, entries: Any) -> None:
        self._entries = entries

    def __iter__(self) -> Iterator[os.DirEntry[Any]]:
        return iter(sorted(self._entries, key=lambda entry: entry.name, reverse=True))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._entries.close()


def run_all(order: Order, answer: Callable[[Answer], None]) -> None:
    """Run every seed, in order, and tell of each when it is done."""
    kept = _shape_heap() if order.other_heap else []
    if order.other_listing:
        _list_otherwise()
    run = runner("sim")  # loads the simulator, and what that needs, before anybody watches
    watch = Watch()
    watch.install()
    scenario = load(order.file, order.settings)
    for seed in order.seeds:
        trace = Path(order.folder) / f"{seed}.trace"
        outcome = run(program_of(scenario, seed), trace)
        escapes = list(watch.seen)
        answer(Answer(seed=seed, digest=outcome.digest or "", trace=str(trace), error=outcome.error, escapes=escapes))
    del kept


def main() -> None:
    """Obey the order on stdin."""
    faulthandler.enable()
    add_working_directory()
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # What the application prints is talk.

    def answer(found: Answer) -> None:
        out.write(msgspec.json.encode(found) + b"\n")
        out.flush()

    try:
        run_all(order, answer)
    except TraceWriteError as error:
        why = os.strerror(error.errno or 0)
        sys.exit(
            f"{why}: the traces of two runs, in {order.folder}; free some space, or set TMPDIR to where there is some"
        )


if __name__ == "__main__":
    main()
