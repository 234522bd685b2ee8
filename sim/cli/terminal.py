"""The two streams of a command: data on stdout, talk and a progress bar on stderr. Knows no runs.

The bar is off the screen while data is printed: both streams are the same terminal, most of the time.

Tests: tests/sim/cli/test_terminal.py.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["data", "err", "help_", "object_", "out", "progress", "unread"]

_bar: "Progress | None" = None


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
    global _bar
    console = err()
    if not console.is_terminal:
        yield lambda: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,  # it would print data to stderr
    )
    with bar:
        task = bar.add_task(description, total=total)
        _bar = bar
        try:
            yield lambda: bar.advance(task)
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
