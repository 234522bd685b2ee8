"""What a notebook shows: a run with its verdict and its timeline, pictures, and how far a long run is.

Knows how things are shown, not how they are made. The report is loaded when a picture is asked for.

Tests: tests/sim/test_api.py, tests/sim/test_notebook.py.
"""

import base64
import html
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from threading import Event, Thread
from typing import Any, Protocol, Self

from sim.extras import told
from sim.scenario import run

__all__ = ["Picture", "Run", "clock", "count"]

SHOWN_AFTER = 1.0
"""Real seconds that something may take before it says how far it is."""
SHOWN_EVERY = 0.5


class Picture:
    """A drawing, which a notebook shows."""

    def __init__(self, png: bytes) -> None:
        self._png = png

    def _repr_png_(self) -> bytes:
        return self._png

    def save(self, path: str | Path) -> Path:
        """Write it as a PNG; returns where."""
        path = Path(path)
        path.write_bytes(self._png)
        return path

    def __repr__(self) -> str:
        return f"<Picture, {len(self._png)} bytes of PNG>"


class Run(run.Run):
    """One run and its verdict. In a notebook it shows its timeline."""

    @classmethod
    def of(cls, found: run.Run) -> Self:
        """The same run, as one that shows itself."""
        return cls(**{field.name: getattr(found, field.name) for field in fields(found)})

    def timeline(self) -> Picture:
        """One lane a node: its life, what the others thought of it, its streams, the faults."""
        with told("sim.report.timeline_png"):
            from sim.report import timeline_png  # matplotlib takes its time
        return Picture(timeline_png(self.trace))

    def report(self, path: str | Path) -> Path:
        """Write the page of the run, its result and its trace into a directory; returns the page, for a browser."""
        with told("sim.report.write_report"):
            from sim.report import write_report
        return write_report(Path(path), self.result() | {"report": "index.html"}, self.trace.path)

    def _repr_png_(self) -> bytes:
        return self.timeline()._repr_png_()

    def _repr_html_(self) -> str:
        picture = base64.b64encode(self._repr_png_()).decode()
        rows = "".join(
            f"<li><b>{j.verdict}</b> <code>{html.escape(j.name)}</code>: {html.escape(j.saw)}</li>"
            for j in self.expectations
        )
        error = f"<pre>{html.escape(self.error)}</pre>" if self.error else ""
        return (
            f"<p><b>{html.escape(self.scenario.name)}</b>, seed {self.seed}, {self.backend}: <b>{self.verdict}</b></p>"
            f"{error}<ul>{rows}</ul><img alt='timeline of the run' src='data:image/png;base64,{picture}'/>"
        )


# --- how far it is ----------------------------------------------------------------------------------------------------


class _Timed(Protocol):
    @property
    def now(self) -> float: ...


@contextmanager
def clock(title: str, seconds: float) -> Iterator[Callable[[_Timed], None] | None]:
    """Below the cell, while a run goes on: how much of its time is over. Call what it yields with what knows that.

    None where no notebook's kernel runs this.
    """
    followed: list[_Timed] = []
    with _shown(lambda: f"{title}: {min(followed[0].now, seconds) if followed else 0:.1f} of {seconds:g} s") as shown:
        yield followed.append if shown else None


@contextmanager
def count(title: str, total: int) -> Iterator[Callable[[], None] | None]:
    """Such a line while many runs go on; call what it yields after each."""
    done: list[None] = []
    with _shown(lambda: f"{title}: {len(done)} of {total} runs") as shown:
        yield (lambda: done.append(None)) if shown else None


@contextmanager
def _shown(text: Callable[[], str]) -> Iterator[bool]:
    """A line below the cell that is written anew while it holds; in the end it goes."""
    if not _in_kernel():
        yield False
        return
    over = Event()
    watching = Thread(target=copy_context().run, args=(_watch, over, text), name="progress of a run", daemon=True)
    watching.start()
    try:
        yield True
    finally:
        over.set()
        watching.join()


def _watch(over: Event, text: Callable[[], str]) -> None:
    if over.wait(SHOWN_AFTER):
        return
    shown: Any = import_module("IPython.display")  # it has no types
    line = shown.display(shown.HTML(f"<i>{html.escape(text())}</i>"), display_id=True)
    while not over.wait(SHOWN_EVERY):
        line.update(shown.HTML(f"<i>{html.escape(text())}</i>"))
    line.update(shown.HTML(""))


def _in_kernel() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return hasattr(shell, "kernel")
