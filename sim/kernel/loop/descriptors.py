"""Descriptors of an open socket: what they are ready for, and which objects share one.

Several objects of a program may be one open socket, as after `dup()` and `socket(fileno=…)`. As on Linux, what
a socket is (its connection, name, options) is one thing, and has any number of descriptors; it is closed with the last
of them. Each object of a program has one descriptor, and each descriptor is watched through one object, its holder.
Knows the network's endpoints and the selector; sends and receives nothing.

Tests: tests/sim/twins/test_descriptors.py.
"""

import errno
import os
import socket
from asyncio import Handle
from collections.abc import Callable
from operator import index
from select import POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any
from weakref import ref

from sim.kernel.errors import NotSimulated
from sim.kernel.loop.bare import BareSocket
from sim.kernel.loop.options import resets_at_close, seconds_to_wait
from sim.kernel.loop.selector import Selector
from sim.kernel.threads import current
from sim.network.fabric import Network
from sim.network.host import Host
from sim.network.tcp.connect import Connecting, Listener
from sim.network.tcp.endpoint import Endpoint
from sim.network.udp import DatagramSocket

__all__ = ["OpenSocket", "wait_for_any", "with_descriptor", "would_stop"]

_WAYS = ("send_now", "send_to_now", "receive_now")
_SHARED = (
    *("_network", "_host", "_selector", "_holder", "_shared", "_waits", "_waiting", "family", "proto", "type", "made"),
    *("_bound", "_options", "_endpoint", "_listener", "_datagrams", "_connecting", "_error", "_peer_path"),
    *("_refused", "_inode"),
)
"""What all objects of an open socket have in common."""


class OpenSocket(BareSocket):
    """Base of SimulatedSocket: its descriptor, and what it has in common with other objects of the same open socket."""

    __slots__ = (
        "__weakref__",
        "_connecting",
        "_datagrams",
        "_endpoint",
        "_error",
        "_holder",
        "_inode",
        "_listener",
        "_peer_path",
        "_refused",
        "_selector",
        "_shared",
        "_waiting",
        "_when_connected",
        "made",
        "reader",
        "receive_now",
        "send_now",
        "send_to_now",
        "transport",
        "writer",
    )

    send_now: Callable[[bytes], int]
    """What sends bytes of a stream with the fewest calls between …"""
    send_to_now: Callable[[bytes, Any], None]
    """… and a datagram."""
    receive_now: Callable[[], tuple[bytes, Any]]
    """The next datagram; raises IndexError where there is none."""

    def __init__(self, network: Network, host: Host, selector: Any, family: int, kind: int) -> None:
        super().__init__(network, host, family, kind)
        self._selector = selector
        self._descriptor: int = selector.add(self)
        self.made = ("", 0, "")
        """Where in the program a server's was made, see sim.kernel.leaks."""
        self.reader: Handle | None = None
        """What the loop runs when there is something to read, where it wants to know."""
        self.writer: Handle | None = None
        self._shared: list[Any] | None = None
        """The objects of this open socket that are not closed; None = there never was another one."""
        self._holder: Any = None
        """Under whose name its port is reserved; of a Unix socket its abstract place, which goes with it."""
        self._waiting: list[Any] | None = None
        """Threads that wait for it (`wait_for`); None = none ever has."""
        self._when_connected: Handle | None = None
        self._endpoint: Endpoint | None = None
        self._listener: Listener | None = None
        self._datagrams: DatagramSocket | None = None
        self._connecting: Connecting | None = None
        self._error = 0
        self._peer_path = ""
        self._refused = False
        """Whether the next connect finds one that was refused behind the back of a call that did not wait for it."""
        self._inode = 0
        self.transport: ref[Any] | None = None
        if kind != socket.SOCK_STREAM:
            self.start_with_datagrams()

    def start_with_datagrams(self) -> None:
        """Nothing is bound yet: the network's socket is made with the first."""
        raise NotImplementedError

    # -- readiness -------------------------------------------------------------------------------------------------

    def poll(self) -> int:
        """EVENT_READ | EVENT_WRITE, as far as they would not block."""
        endpoint = self._endpoint
        if endpoint is not None:
            return (EVENT_READ if endpoint.readable else 0) | (EVENT_WRITE if endpoint.writable else 0)
        if self._datagrams is not None:
            return EVENT_WRITE | (EVENT_READ if self._datagrams.queue else 0)
        if self._listener is not None:
            return EVENT_READ if self._listener.queue else 0
        if self.type != socket.SOCK_STREAM:
            return EVENT_WRITE
        return 0 if self._connecting is not None else EVENT_WRITE | EVENT_READ  # Linux: POLLHUP, nothing will come

    def events(self) -> int:
        """What Linux's poll() answers (tcp_poll, udp_poll): as `poll`, with errors and the end of the stream added."""
        stands = self.poll()
        found = (POLLIN if stands & EVENT_READ else 0) | (POLLOUT if stands & EVENT_WRITE else 0)
        endpoint = self._endpoint
        if endpoint is not None:
            if endpoint.eof or endpoint.reads_no_more or endpoint.error is not None:
                found |= POLLRDHUP
            if endpoint.has_ended:
                found |= POLLHUP
        elif self.type == socket.SOCK_STREAM and self._listener is None and self._connecting is None:
            found = POLLOUT | POLLHUP
        if self._error or (endpoint is not None and endpoint.has_error):
            found |= POLLERR
        elif self._datagrams is not None and self._datagrams.has_error:
            found = POLLOUT | POLLERR | (POLLIN if len(self._datagrams.queue) > 1 else 0)
        return found

    def watch(self, reader: Handle | None, writer: Handle | None) -> None:
        """From now on the loop runs these when there is something to read, or room to write."""
        self.reader, self.writer = reader, writer
        source = self._endpoint or self._datagrams
        if source is not None:
            source.sink = None if reader is None else self._sink()
        if (reader or writer) and self.poll() & ((EVENT_READ if reader else 0) | (EVENT_WRITE if writer else 0)):
            self._selector.marked[self._descriptor] = self

    def _sink(self) -> Any:
        """The transport that takes data as it arrives, while it reads, so that the data need not wait in a queue."""
        if self._shared is not None:
            return None  # what arrives is not one reader's alone
        reads: Any = getattr(self.reader and self.reader._callback, "__self__", None)  # type: ignore[attr-defined]
        transport = None if self.transport is None else self.transport()
        # asyncio's own, under TLS, has none.
        return getattr(reads, "sink", None) if reads is transport else None

    @property
    def to_accept(self) -> int:
        """Connections that can be accepted."""
        return 0 if self._listener is None else len(self._listener.queue)

    @property
    def listens(self) -> bool:
        return self._listener is not None

    def wait_for(self, event: int, what: str, flags: int = 0) -> None:
        """`wait_within` the socket's own time-out. Raises BlockingIOError where the call does not wait.

        MSG_DONTWAIT is for a call that Linux has wait: with a time-out it is CPython that waits, before it.
        """
        if not self.blocks or (flags & socket.MSG_DONTWAIT and self._timeout is None):
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        limit = None if self._timeout is not None else seconds_to_wait(self._options, sends=event == EVENT_WRITE)
        if limit is None:
            self.wait_within(self._timeout, event, what)
            return
        try:
            self.wait_within(limit, event, what)
        except TimeoutError:
            number = errno.EINPROGRESS if what == "connect" else errno.EAGAIN
            raise BlockingIOError(number, os.strerror(number)) from None

    def wait_within(self, seconds: float | None, event: int, what: str) -> None:
        """Return when a call may be tried again that cannot be answered now: a thread of the node waits, others go on.

        None = without a limit. Raises TimeoutError after so many seconds, and NotSimulated on the loop's own thread,
        but where a thread of the node has the other end.
        """
        loop = self._selector.loop
        if current() is None and not (self._endpoint and self._endpoint.peer.host is self._host and loop.has_threads):
            raise would_stop(what)
        if not loop.threads.wait_for(lambda: self.poll() & event, self.waiting_threads(), seconds):
            raise TimeoutError("timed out")

    def waiting_threads(self) -> list[Any]:
        """What is woken when there may be something to read, or room to write."""
        if self._waiting is None:
            self._waiting = []
        return self._waiting

    def mark(self) -> None:
        """Have the loop look what there is to read, or to write to, and threads that wait for it."""
        if self._waiting:
            for each in tuple(self._waiting):
                each.wake()
        selector = self._selector
        if self._shared is None:
            selector.marked[self._descriptor] = self
        else:
            holders = {each._descriptor: selector.sockets[each._descriptor] for each in self._shared}
            selector.marked.update(holders)
        selector.loop.run_ready()

    # -- descriptors -----------------------------------------------------------------------------------------------

    def another(self, descriptor: int) -> Any:
        """Another object of this open socket; a descriptor below 0 = one of its own."""
        other = object.__new__(type(self))
        if self._shared is None:
            self._shared = [self]
            self._waiting = self._waiting or []  # one for all, also for one that gives its descriptor away
        self._shared.append(other)
        other.reader = other.writer = other.transport = other._when_connected = None
        other._io_refs, other._closed = 0, False
        other.take_over(self)
        other._descriptor = self._selector.add(other) if descriptor < 0 else descriptor
        other._timeout = socket.getdefaulttimeout()
        source = self._endpoint or self._datagrams
        if source is not None:
            source.sink = None  # what arrives is not one reader's alone
        return other

    def take_over(self, changed: "OpenSocket") -> None:
        """Be what that one, of the same open socket, has become."""
        for name in _SHARED:
            setattr(self, name, getattr(changed, name))
        for name in _WAYS:
            way = getattr(changed, name, None)
            if way is not None:
                setattr(self, name, getattr(self, way.__name__) if getattr(way, "__self__", 0) is changed else way)

    def share(self) -> None:
        """Let the other objects of this open socket have what this one has become."""
        for each in self._shared or ():
            if each is not self:
                each.take_over(self)

    def hold(self) -> None:
        """From now on this object is watched for its descriptor, in the place of the one that was."""
        sockets, descriptor = self._selector.sockets, self._descriptor
        before = sockets.get(descriptor)
        if before is not None and before is not self:
            self.reader, self.writer, self.transport = before.reader, before.writer, before.transport
            before.reader = before.writer = before.transport = None
            sockets[descriptor] = self
            if self._selector.marked.pop(descriptor, None) is not None:
                self._selector.marked[descriptor] = self

    def settimeout(self, value: float | None) -> None:
        self._check_open()
        if value is not None:
            value = float(index(value)) if not isinstance(value, float) else value
            if not value >= 0:
                raise ValueError("Timeout value out of range")
        self._timeout, self._waits = value, value is None
        if self._shared is not None:
            self.share()

    @property
    def file_blocks(self) -> bool:
        """Whether calls on its file wait (no O_NONBLOCK), whatever its objects do about that by themselves."""
        return self._waits

    @file_blocks.setter
    def file_blocks(self, blocks: bool) -> None:
        self._waits = blocks
        self.share()

    def get_inheritable(self) -> bool:
        self._check_open()
        return self._descriptor in self._selector.inheritable

    def set_inheritable(self, inheritable: bool) -> None:
        """It is noted: there are no child processes to inherit it."""
        self._check_open()
        others = self._selector.inheritable - {self._descriptor}
        self._selector.inheritable = others | {self._descriptor} if inheritable else others

    def take_number(self, descriptor: int) -> None:
        """Have a real descriptor, for the program may have noted its number; closed with this one."""
        self._selector.renumber(self, descriptor)
        self._descriptor = descriptor

    def inode(self) -> int:
        """The number of its file; 0 = nobody has asked for it."""
        if not self._inode:
            self._selector.inodes += 1
            self._inode = self._selector.inodes
            self.share()
        return self._inode

    def dup(self) -> Any:
        self._check_open()
        other = self.another(-1)
        other.settimeout(self._timeout)
        return other

    def detach(self) -> int:
        """Give the descriptor away: the object is closed, and the open socket is not."""
        descriptor = self._descriptor
        if descriptor >= 0:
            same = [each for each in self._shared or () if each._descriptor == descriptor and each is not self]
            if not same:
                same = [self.another(descriptor)]
                self._selector.detached |= {descriptor}
            if self._selector.sockets[descriptor] is self:
                same[0].hold()
            self._forget()
        return descriptor

    def close(self) -> None:
        self._closed = True
        if self._io_refs <= 0:
            self.close_descriptor()

    def close_descriptor(self) -> None:
        """As os.close: whatever files there are above it."""
        descriptor = self._descriptor
        if descriptor < 0:
            return
        self._selector.remove(descriptor)
        if self._shared is not None:
            for each in list(self._shared):
                if each._descriptor == descriptor and each is not self:
                    each._forget()
        connecting, endpoint, listener, datagrams = self._connecting, self._endpoint, self._listener, self._datagrams
        self._forget()
        if self._shared:
            return  # it has other descriptors
        if connecting is not None:
            connecting.cancel()
        if endpoint is not None:
            if self._options is not None and resets_at_close(self._options):
                endpoint.abandon()
            endpoint.close()
        if listener is not None:
            listener.close()
        if datagrams is not None:
            datagrams.close()
        if self._holder is None:
            return
        if self.family == socket.AF_UNIX:
            self._host.unlink(self._holder)
        else:
            self._host.release(self._holder, self._bound[1])

    def _forget(self) -> None:
        self._descriptor = -1
        if self._shared is not None:
            self._shared.remove(self)
        self._endpoint = self._listener = self._datagrams = self._connecting = None
        # It goes at once, not when garbage is collected: these are methods of its own.
        self.send_now = self.send_to_now = self.receive_now = _closed


def with_descriptor(selector: Selector, descriptor: int) -> Any:
    """An object with that descriptor: the one that nobody has since `detach`, or one more. None = there is none."""
    found = selector.sockets.get(descriptor)
    if found is None or descriptor not in selector.detached:
        return None if found is None else found.another(descriptor)
    selector.detached -= {descriptor}
    found._timeout = socket.getdefaulttimeout()
    return found


class _Any:
    """In the place of a thread that waits for one socket: wakes the one that waits for several."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def wake(self) -> None:
        for each in tuple(self.waiting):
            each.wake()


def wait_for_any(loop: Any, sockets: list[OpenSocket], ready: Callable[[], object], seconds: float | None) -> None:
    """A thread of the node waits until `ready()`, which is looked at whenever one of the sockets changes."""
    wakes = _Any()
    lists = [each.waiting_threads() for each in sockets]
    for each in lists:
        each.append(wakes)
    try:
        loop.threads.wait_for(ready, wakes.waiting, seconds)
    finally:
        for each in lists:
            each.remove(wakes)


def would_stop(what: str) -> NotSimulated:
    """What a call raises that would have to wait on the thread of an event loop."""
    return NotSimulated(
        f"{what}() on a blocking socket would stop the whole simulation; call it in a thread (asyncio.to_thread), use "
        "asyncio's streams, or setblocking(False) and loop.sock_*"
    )


def _closed(*_: Any) -> Any:
    raise OSError(errno.EBADF, os.strerror(errno.EBADF))
