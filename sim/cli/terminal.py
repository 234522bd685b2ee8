"""The two streams of a command: data on stdout, talk and a progress bar on stderr. Knows no runs.

The bar is off the screen while data is printed: both streams are the same terminal, most of the time.

Tests: tests/sim/cli/test_terminal.py.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn, Task
    from rich.progress_bar import ProgressBar

__all__ = ["clock", "data", "err", "help_", "object_", "out", "progress", "unread"]

_bar: "Progress | None" = None


class Timed(Protocol):
    """Something that goes on in a time of its own."""

    @property
    def now(self) -> float:
        """Seconds; read from another thread."""
        ...


class _Out(Console):
    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - rich calls it where it was caught, to exit with 1, which says that something fails


def out(width: int | None = None) -> Console:
    """Made anew each time: tests and pipes exchange sys.stdout. While there is a bar use `data`."""
    return _Out(soft_wrap=True, highlight=False, width=width)


def help_() -> Console:
    """For --help, whose lines are broken where the terminal ends."""
    return _Out()


def err() -> Console:
    """For talk."""
    return Console(stderr=True, soft_wrap=True, highlight=False)


def data(*what: Any, plain: bool = False) -> None:
    """Print to stdout; `plain` text as it is, at once."""
    with _aside():
        if plain:
            sys.stdout.write("".join(f"{text}\n" for text in what))
            sys.stdout.flush()
        else:
            out().print(*what)


def object_(value: Any) -> None:
    """Print it as JSON in a line of its own, at once. A figure that is no number is null, which JSON knows."""
    import msgspec

    data(msgspec.json.encode(value).decode(), plain=True)


def unread() -> None:
    """Whoever read our output has seen enough: what is still to come goes nowhere, also at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar on stderr while work goes on, where stderr is a terminal; call what it yields after each piece."""
    if not err().is_terminal:
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn

    with _shown(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()) as bar:
        task = bar.add_task(description, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def clock(description: str, seconds: float) -> Iterator[Callable[["Timed"], None]]:
    """Such a bar for one run of so many seconds of its own time: how far it is, and how long it will still take.

    Call what it yields with whatever knows the run's time.
    """
    if not err().is_terminal:
        yield lambda timed: None
        return
    from rich.progress import BarColumn, TextColumn

    followed: list[Timed] = []

    class Progressing(BarColumn):
        def render(self, task: "Task") -> "ProgressBar":
            bar = super().render(task)
            bar.update(min(followed[0].now, seconds) if followed else 0.0)
            return bar

    class Reached(TextColumn):
        def render(self, task: "Task") -> Text:
            now = min(followed[0].now, seconds) if followed else 0.0
            left = f", some {(task.elapsed or 0.0) * (seconds / now - 1):.0f} s left" if 0 < now < seconds else ""
            return Text(f"{now:.1f} of {seconds:g} s{left}")

    with _shown(Progressing(), Reached("")) as bar:
        bar.add_task(description, total=seconds)
        yield followed.append


@contextmanager
def _shown(*columns: "ProgressColumn") -> Iterator["Progress"]:
    """The bar of the moment."""
    global _bar
    from rich.progress import Progress, SpinnerColumn, TextColumn

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        *columns,
        console=err(),
        transient=True,
        redirect_stdout=False,  # it would print data to stderr
    )
    with bar:
        _bar = bar
        try:
            yield bar
        finally:
            _bar = None


@contextmanager
def _aside() -> Iterator[None]:
    if _bar is None or not sys.stdout.isatty():
        yield
        return
    _bar.stop()
    try:
        yield
    finally:
        _bar.start()
