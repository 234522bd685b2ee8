"""Which simulated node runs in this thread: who answers clocks, randomness, sockets and signals there.

It is the node whose event loop is the thread's running loop. Knows of a node only what is asked of it (Source); knows
no simulation and swaps nothing. Tests: tests/sim/kernel/patches, tests/sim/kernel/test_threads.py.
"""

from asyncio.events import _get_running_loop, _set_running_loop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from threading import get_ident
from typing import Any, Protocol

__all__ = ["Source", "as_thread_of", "on_a_node", "outside", "running"]


class Source(Protocol):
    """What a node answers from."""

    @property
    def random(self) -> Random: ...

    def monotonic(self) -> float: ...
    def wall_clock(self) -> float: ...
    def processor_time(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


def running() -> Source | None:
    """The node whose event loop is the running one of this thread, or whose thread it is (sim.kernel.threads)."""
    loop = _get_running_loop()
    if loop is None:
        return _threads_of_nodes.get(get_ident()) if _threads_of_nodes else None
    return getattr(loop, "node", None)


_threads_of_nodes: dict[int, Source] = {}
"""By thread: the node whose thread it is."""


@contextmanager
def as_thread_of(source: Source) -> Iterator[None]:
    """Within, that node runs in this thread, beside its event loop: clocks and the rest are the node's."""
    thread = get_ident()
    _threads_of_nodes[thread] = source
    try:
        yield
    finally:
        del _threads_of_nodes[thread]


@contextmanager
def outside() -> Iterator[None]:
    """Within, no node runs in this thread, though its code may have asked: clocks and the rest are the real ones."""
    thread, loop = get_ident(), _get_running_loop()
    source = _threads_of_nodes.pop(thread, None)
    _set_running_loop(None)
    try:
        yield
    finally:
        _set_running_loop(loop)
        if source is not None:
            _threads_of_nodes[thread] = source


def on_a_node(real: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is `simulated(node, …)` where a node runs, and `real(…)` elsewhere."""

    def function(*args: Any, **kwargs: Any) -> Any:
        source = running()
        return real(*args, **kwargs) if source is None else simulated(source, *args, **kwargs)

    return function
