"""The module `select` on a node: `select`, `poll` and `epoll`, and so `selectors`, know the node's sockets.

What is ready is answered at once, as Linux answers it. To wait would stop the node, which gets nothing meanwhile: it is
refused where nothing is ready and the caller would wait. Descriptors of the real machine are asked beside. Knows of a
node its sockets by descriptor. Tests: tests/sim/twins/test_polling.py, test_descriptor_calls.py.
"""

import errno
import os
import select
from collections.abc import Callable, Iterable
from operator import index
from typing import Any, Self

from sim.kernel.errors import NotSimulated
from sim.kernel.patches import rebind
from sim.kernel.patches.descriptors import socket_with
from sim.kernel.running import on_a_node, running

__all__ = ["install"]

READS = select.POLLIN | select.POLLHUP | select.POLLERR
WRITES = select.POLLOUT | select.POLLERR
"""What select() takes for readable, and for writable (Linux: POLLIN_SET, POLLOUT_SET)."""
ALWAYS = select.POLLERR | select.POLLHUP
"""What poll() tells of unasked."""

Ready = list[tuple[int, int]]
"""(descriptor, events)."""


def install() -> None:
    """sim.kernel.patches calls it."""
    real_select, real_poll = select.select, select.poll
    rebind.replace(select, "select", on_a_node(real_select, lambda node, *args: _select(real_select, node, *args)))
    rebind.replace(select, "poll", on_a_node(real_poll, lambda _: Poll(real_poll())))
    epoll = _epoll()
    rebind.instead(select.epoll, epoll)
    rebind.put(select, "epoll", epoll)


class _Real:
    """It has slots so that sim.kernel.patches.rebind leaves it alone."""

    __slots__ = ("epoll",)

    def __init__(self) -> None:
        self.epoll: Any = select.epoll


REAL = _Real()


class _Made(type):
    """Of a class that makes a real one where no node runs, of which isinstance says yes as well."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        real = REAL.epoll(*args, **options)
        return real if running() is None else super().__call__(real)

    def __instancecheck__(cls, instance: object) -> bool:
        return super().__instancecheck__(instance) or isinstance(instance, REAL.epoll)


def _epoll() -> Any:
    """Made anew each time, as `rebind.undo` swaps it for the real one wherever it stands."""

    class epoll(Epoll, metaclass=_Made):  # noqa: N801 - its name
        """select.epoll."""

        __slots__ = ()
        fromfd = REAL.epoll.fromfd

    return epoll


def _would_wait(what: str) -> NotSimulated:
    return NotSimulated(
        f"{what} would wait, and nothing reaches a simulated node meanwhile; give it a timeout of 0, or use "
        "loop.add_reader, loop.sock_* or streams"
    )


def _number(file: Any) -> int:
    """The descriptor that an object has, or is."""
    if isinstance(file, int):
        number = file
    else:
        fileno = getattr(file, "fileno", None)
        if fileno is None:
            raise TypeError("argument must be an int, or have a fileno() method.")
        number = fileno()
    if number < 0:
        raise ValueError(f"file descriptor cannot be a negative integer ({number})")
    return number


def _select(
    real: Callable[..., Any],
    node: Any,
    reads: Iterable[Any],
    writes: Iterable[Any],
    exceptions: Iterable[Any],
    timeout: float | None = None,
) -> tuple[list[Any], list[Any], list[Any]]:
    lists = list(reads), list(writes), list(exceptions)
    if not any(lists) and timeout is not None and timeout > 0:
        node.sleep(timeout)  # what programs without usleep() do
    sockets = [[(each, socket_with(node, _number(each))) for each in files] for files in lists]
    if not any(found for files in sockets for _, found in files):
        return real(*lists, 0 if not any(lists) and timeout is not None and timeout > 0 else timeout)  # type: ignore[no-any-return]
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    ready = real(*([each for each, found in files if found is None] for files in sockets), 0)
    for files, is_ready, wanted in zip(sockets, ready, (READS, WRITES, 0), strict=True):
        is_ready += [each for each, found in files if found is not None and found.events() & wanted]
    if not any(ready) and timeout != 0:
        raise _would_wait("select()")
    return ready  # type: ignore[no-any-return]


class _Polled:
    """What `Poll` and `Epoll` have in common: the node's sockets, beside a real one that has the other descriptors."""

    __slots__ = ("_events", "_real")

    def __init__(self, real: Any) -> None:
        self._real = real
        self._events: dict[int, int] = {}
        """What is asked of each simulated socket, by its descriptor."""

    def _is_ours(self, file: Any) -> int | None:
        """The descriptor, where it is a simulated socket's, or was registered as one."""
        number = _number(file)
        node: Any = running()
        known = number in self._events or (node is not None and socket_with(node, number) is not None)
        return number if known else None

    def _set(self, descriptor: int, events: int) -> None:
        self._events[descriptor] = events

    def modify(self, file: Any, events: int) -> None:
        descriptor = self._is_ours(file)
        if descriptor is None:
            self._real.modify(file, events)
        elif descriptor not in self._events:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        else:
            self._set(descriptor, events)

    def _ready(self, closed: int) -> Ready:
        """`closed` is what is told of a descriptor that is closed; 0 = it is forgotten."""
        node: Any = running()
        ready: Ready = []
        for descriptor, wanted in list(self._events.items()):
            found = None if node is None else socket_with(node, descriptor)
            if found is None and not closed:
                del self._events[descriptor]
            events = closed if found is None else found.events() & (wanted | ALWAYS)
            if events:
                ready.append((descriptor, events))
        return ready

    def _ask(self, what: str, closed: int, timeout: float | None, *most: int) -> Ready:
        waits = timeout is None or timeout != 0
        ready = self._ready(closed)
        ready += self._real.poll(0 if self._events else timeout, *most)
        if not ready and self._events and waits:
            raise _would_wait(what)
        return ready


class Poll(_Polled):
    """select.poll()."""

    __slots__ = ()

    def register(self, file: Any, events: int = select.POLLIN | select.POLLPRI | select.POLLOUT) -> None:
        descriptor = self._is_ours(file)
        if descriptor is None:
            self._real.register(file, events)
        else:
            self._set(descriptor, index(events))

    def unregister(self, file: Any) -> None:
        descriptor = self._is_ours(file)
        if descriptor is None:
            self._real.unregister(file)
        else:
            del self._events[descriptor]  # raises KeyError, as the real one

    def poll(self, timeout: float | None = None) -> Ready:
        """`timeout` in milliseconds; below zero = for ever, as None."""
        return self._ask("poll()", select.POLLNVAL, timeout)


class Epoll(_Polled):
    """select.epoll()."""

    __slots__ = ()

    @property
    def closed(self) -> bool:
        return bool(self._real.closed)

    def fileno(self) -> int:
        number: int = self._real.fileno()
        return number

    def close(self) -> None:
        self._real.close()
        self._events.clear()

    def __enter__(self) -> Self:
        self._real.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _set(self, descriptor: int, events: int) -> None:
        events = index(events)
        if events & (select.EPOLLET | select.EPOLLONESHOT):
            raise NotSimulated(
                "epoll() of a simulated socket is level-triggered; leave out EPOLLET and EPOLLONESHOT, or use "
                "loop.add_reader"
            )
        super()._set(descriptor, events)

    def register(self, file: Any, eventmask: int = select.EPOLLIN | select.EPOLLPRI | select.EPOLLOUT) -> None:
        descriptor = self._is_ours(file)
        if descriptor is None or self.closed:
            self._real.register(file, eventmask)
        elif descriptor in self._events:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        else:
            self._set(descriptor, eventmask)

    def unregister(self, file: Any) -> None:
        descriptor = self._is_ours(file)
        if descriptor is None:
            self._real.unregister(file)
        elif self._events.pop(descriptor, None) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> Ready:
        """`timeout` in seconds; below zero = for ever, as None."""
        ready = self._ask("epoll()", 0, timeout, maxevents)
        return ready if maxevents < 0 else ready[:maxevents]
