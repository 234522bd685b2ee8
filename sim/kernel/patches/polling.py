"""The module `select` on a node: `select`, `poll` and `epoll`, and so `selectors`, know the node's sockets.

What is ready is answered at once, as Linux answers it. Where nothing is, a thread of the node waits in virtual time.
On the thread of an event loop that is refused: nothing reaches the node meanwhile. Descriptors of the real machine are
asked beside, and nobody waits for those and for sockets at once. Knows of a node its sockets by descriptor. Tests:
tests/sim/twins/test_polling.py, test_descriptor_calls.py.
"""

import errno
import os
import select
from collections.abc import Callable, Iterable
from operator import index
from typing import Any, Self

from sim.kernel.errors import NotSimulated
from sim.kernel.loop.descriptors import wait_for_any
from sim.kernel.patches import rebind
from sim.kernel.patches.descriptors import socket_with
from sim.kernel.running import on_a_node, running
from sim.kernel.threads import current

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


def _until(
    node: Any, what: str, sockets: list[Any], others: object, ready: Callable[[], list[Any]], seconds: float | None
) -> list[Any]:
    """What `ready()` gives as soon as it holds something, or after so many seconds; None = without a limit.

    It looks at `sockets`, and at the `others` of the real machine.
    """
    found = ready()
    if any(found) or seconds == 0:
        return found
    if current() is not None and not others:
        wait_for_any(node.loop, sockets, lambda: any(ready()), seconds)
    elif seconds is not None and not (sockets or others):
        node.sleep(seconds)  # what programs without usleep() do
    else:
        also = f", and for descriptors of the real machine ({others})" if others else ""
        raise NotSimulated(
            f"{what} would wait{also}, and nothing reaches a simulated node meanwhile; give it a timeout of 0, use "
            "loop.add_reader, loop.sock_* or streams, or wait for sockets alone in a thread (asyncio.to_thread)"
        )
    return ready()


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
    sockets = [[(each, socket_with(node, _number(each))) for each in files] for files in lists]
    ours = [found for files in sockets for _, found in files if found is not None]
    others = [[each for each, found in files if found is None] for files in sockets]
    if not ours and any(others):
        return real(*lists, timeout)  # type: ignore[no-any-return]
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")

    def ready() -> list[list[Any]]:
        found: tuple[list[Any], ...] = real(*others, 0)
        for files, is_ready, wanted in zip(sockets, found, (READS, WRITES, 0), strict=True):
            is_ready += [each for each, sock in files if sock is not None and sock.events() & wanted]
        return list(found)

    found = _until(node, "select()", ours, [each for files in others for each in files], ready, timeout)
    return found[0], found[1], found[2]


class _Polled:
    """What `Poll` and `Epoll` have in common: the node's sockets, beside a real one that has the other descriptors."""

    __slots__ = ("_events", "_others", "_real")

    def __init__(self, real: Any) -> None:
        self._real = real
        self._events: dict[int, int] = {}
        """What is asked of each simulated socket, by its descriptor."""
        self._others: dict[int, None] = {}
        """Descriptors that the real one has."""

    def _is_ours(self, file: Any) -> int | None:
        """The descriptor, where it is a simulated socket's, or was registered as one."""
        number = _number(file)
        node: Any = running()
        known = number in self._events or (node is not None and socket_with(node, number) is not None)
        return number if known else None

    def _set(self, descriptor: int, events: int) -> None:
        self._events[descriptor] = events

    def _add_other(self, file: Any, events: int) -> None:
        self._real.register(file, events)
        self._others[_number(file)] = None

    def _remove_other(self, file: Any) -> None:
        self._others.pop(_number(file), None)
        self._real.unregister(file)

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

    def _ask(self, what: str, closed: int, timeout: float | None, second: float, *most: int) -> Ready:
        """`timeout` is in units of which a `second` has so many; below zero = for ever, as None."""
        node: Any = running()
        if node is None or (self._others and not self._events):
            return self._ready(closed) + self._real.poll(timeout, *most)  # type: ignore[no-any-return]

        def ready() -> Ready:
            return self._ready(closed) + self._real.poll(0, *most)  # type: ignore[no-any-return]

        seconds = None if timeout is None or timeout < 0 else timeout / second
        sockets = [sock for each in self._events if (sock := socket_with(node, each)) is not None]
        return _until(node, what, sockets, list(self._others), ready, seconds)


class Poll(_Polled):
    """select.poll()."""

    __slots__ = ()

    def register(self, file: Any, events: int = select.POLLIN | select.POLLPRI | select.POLLOUT) -> None:
        descriptor = self._is_ours(file)
        if descriptor is None:
            self._add_other(file, events)
        else:
            self._set(descriptor, index(events))

    def unregister(self, file: Any) -> None:
        descriptor = self._is_ours(file)
        if descriptor is None:
            self._remove_other(file)
        else:
            del self._events[descriptor]  # raises KeyError, as the real one

    def poll(self, timeout: float | None = None) -> Ready:
        """`timeout` in milliseconds."""
        return self._ask("poll()", select.POLLNVAL, timeout, 1000)


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
            self._add_other(file, eventmask)
        elif descriptor in self._events:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        else:
            self._set(descriptor, eventmask)

    def unregister(self, file: Any) -> None:
        descriptor = self._is_ours(file)
        if descriptor is None:
            self._remove_other(file)
        elif self._events.pop(descriptor, None) is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> Ready:
        """`timeout` in seconds."""
        ready = self._ask("epoll()", 0, timeout, 1, maxevents)
        return ready if maxevents < 0 else ready[:maxevents]
