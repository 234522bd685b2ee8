"""Sockets of a simulated machine.

asyncio's own selector transports run on these, unchanged: a SimulatedSocket answers what they (and loop.sock_*) ask of
a `socket.socket`, and tells the selector when it may have something. Knows the network's endpoints; knows no protocol.
Tests: tests/sim/twins, tests/sim/kernel/loop/test_adopt.py.
"""

import contextlib
import errno
import os
import socket
import stat
from asyncio import Handle
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any

from sim.kernel.errors import NotSimulated
from sim.kernel.leaks import made_here
from sim.kernel.loop.calls import SocketCalls
from sim.kernel.loop.descriptors import OpenSocket, would_stop
from sim.kernel.loop.options import HEARS_ERRORS, KEEP_ALIVE, OF_THE_SOCKET, answer, as_asked, keep_alive_times
from sim.kernel.loop.unix_names import file_at, is_real_file, is_served, place_of, real_mode, unix_path
from sim.kernel.threads import current
from sim.network.host import ANY, UnixFile, is_loopback
from sim.network.tcp.connect import Connecting, Listener
from sim.network.tcp.defaults import BACKLOG
from sim.network.tcp.endpoint import Endpoint
from sim.network.udp import MAX_DATAGRAM_BYTES, DatagramSocket

__all__ = ["SimulatedSocket"]


class SimulatedSocket(OpenSocket, SocketCalls):
    """A socket of one node. Where a real one would wait, a thread of the node does (`wait_for`)."""

    __slots__ = ()

    def start_with_datagrams(self) -> None:
        self.send_to_now, self.receive_now = self._send_first_to, self._receive_shown

    # -- stream ----------------------------------------------------------------------------------------------------

    def put_back(self, data: bytes) -> None:
        """What the transport was given by the short way, and its protocol has no room for, is read later."""
        assert self._endpoint is not None
        self._endpoint.put_back(data)

    def connect(self, address: Any) -> None:
        """Start to connect; raises BlockingIOError, as it takes time. A datagram socket only notes its peer."""
        patched = vars(socket.socket).get("connect")
        if patched is not None and getattr(patched, "asks_node", None) is not True:  # a mock has any attribute
            bound = patched.__get__(self) if hasattr(type(patched), "__get__") else patched
            bound(address)
        else:
            self.connect_now(address)

    def connect_now(self, address: Any) -> None:
        """That, whatever has been patched in."""
        self._check_open()
        key: Any
        if self.family == socket.AF_UNIX:
            if not (key := unix_path(address)):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        else:
            key = self._address("connect", address)
            if key[0] in ANY:
                key = ("::1" if key[0] == "::" else "127.0.0.1"), key[1]  # as Linux takes it
        if self.type == socket.SOCK_DGRAM:
            self.datagrams().connect(key)
            if self.family == socket.AF_INET:
                self.send_to_now = self.datagrams().send_connected
            if self._shared is not None:
                self.share()
            return
        if self._endpoint is not None or self._listener is not None:
            raise OSError(errno.EISCONN, os.strerror(errno.EISCONN))
        if self._connecting is not None:
            raise OSError(errno.EALREADY, os.strerror(errno.EALREADY))
        if self._refused:  # Linux: it was connecting until somebody connects again, who hears how that went
            self._refused, error, self._error = False, self._error or errno.ECONNABORTED, 0
            self.share()
            raise OSError(error, os.strerror(error))
        if self.family == socket.AF_UNIX:
            key = self._unix_peer(key)
            self._peer_path = key.bound_to
        elif self.blocks and current() is None and not self._host.owns(key[0]):
            raise would_stop("connect")
        elif is_loopback(key[0]) and self._host.lookup(self._host.listeners, *key) is None:
            self._selector.loop.take_in(key)
        connecting = Connecting(self._network, self._host, key, self._connected, self._bound)
        if not connecting.finished:
            self._connecting = connecting
            if self._shared is not None:
                self.share()
            if self.blocks:
                self.wait_for(EVENT_WRITE, "connect")
        if not (self.blocks or (connecting.finished and self.family == socket.AF_UNIX)):
            raise BlockingIOError(errno.EINPROGRESS, os.strerror(errno.EINPROGRESS))
        error, self._error = self._error, 0
        if error:
            raise OSError(error, os.strerror(error))

    def _unix_peer(self, path: str) -> UnixFile:
        """The file that is connected to. Raises OSError where none is, NotSimulated where it is a real server's."""
        place = file_at(self._host, path) or place_of(path)
        if place not in self._host.files:
            self._selector.loop.take_in(place)
        if place in self._host.files:
            return self._host.files[place]
        mode = real_mode(path, follows=True)
        if stat.S_ISSOCK(mode) and is_served(path):
            raise NotSimulated(
                f"{path!r} is a Unix socket of the real machine, which no simulated node reaches; make its server on "
                "the node"
            )
        number = errno.ECONNREFUSED if mode or place.is_abstract else errno.ENOENT
        raise OSError(number, os.strerror(number))

    def connect_for(self, handle: Handle, address: Any) -> None:
        """Connect; the loop runs `handle` in the turn in which a writer would learn that it did, or could not."""
        self._when_connected = handle
        with contextlib.suppress(BlockingIOError):
            self.connect(address)

    def _connected(self, result: Endpoint | OSError) -> None:
        if self._descriptor < 0 and self._shared:
            self._shared[0]._connected(result)  # this object was closed meanwhile, the open socket was not
            return
        self._connecting = None
        if isinstance(result, Endpoint):
            self._attach(result)
        else:
            self._error = result.errno or errno.EIO
            self._refused = not self._waits and self.family != socket.AF_UNIX
        if self._shared is not None:
            self.share()
        handle, self._when_connected = self._when_connected, None
        if handle is None:
            self.mark()
        else:
            self._selector.loop.run_handle(handle)

    def _attach(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        endpoint.on_readable = endpoint.on_writable = self.mark
        if self.reader is not None:
            endpoint.sink = self._sink()
        self.send_now = endpoint.send if self.family != socket.AF_UNIX else self._send_on_the_machine
        if self._options is not None:
            self._keep_alive()

    def _send_on_the_machine(self, data: bytes) -> int:
        """A Unix socket knows at once that the other end is closed."""
        assert self._endpoint is not None, "only called once it is connected"
        if self._endpoint.peer.closed or self._endpoint.peer.reads_no_more:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        return self._endpoint.send(data)

    def veil(self, tls: Any) -> None:
        """From now on asyncio's TLS writes to it: `SSLProtocol`, of 3.11 to 3.13, whose private names these are."""
        ended = self.encipher()
        if ended is None:
            return
        finish = tls._on_handshake_complete

        def completed(error: Any) -> None:
            del tls._on_handshake_complete
            # A client's last words, a server's tickets: not written yet.
            ended(tls._outgoing.pending)
            finish(error)

        tls._on_handshake_complete = completed

    def encipher(self) -> Callable[[int], None] | None:
        """From now on bytes of TLS are written to it; returns what is told, when the handshake ends, how many of it are
        still to be written. None = it is not connected, or they were already.
        """
        from sim.network.tcp.tls import Veil

        endpoint = self._endpoint
        if endpoint is None or endpoint.veil is not None:
            return None
        veil = endpoint.veil = Veil(endpoint)
        return lambda rest: veil.handshake_ends(endpoint.accepted + rest)

    def listen(self, backlog: int = BACKLOG) -> None:
        self._check_stream()
        if self._endpoint is not None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if self._listener is None:
            unix = self.family == socket.AF_UNIX
            if unix and self._bound is None:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            key = self._bound or self._any
            self._listener = Listener(self._network, self._host, key, backlog, dual=not unix and self._is_dual(key))
            self._listener.on_readable = self.mark
            self.made = made_here()
            if not unix:
                self._bound = self._listener.key
            if self._shared is not None:
                self.share()

    def _check_stream(self) -> None:
        self._check_open()
        if self.type != socket.SOCK_STREAM:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    def accept(self) -> tuple["SimulatedSocket", Any]:
        accepted, address = self.accept_for_loop()
        accepted.settimeout(socket.getdefaulttimeout())
        return accepted, address

    def accept_for_loop(self) -> tuple["SimulatedSocket", Any]:
        """The same, and the socket does not block."""
        self._check_stream()
        if self._listener is None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if not self._listener.queue:
            self.wait_for(EVENT_READ, "accept")
            return self.accept_for_loop()
        endpoint = self._listener.accept()
        accepted = SimulatedSocket(self._network, self._host, self._selector, self.family, self.type)
        accepted.proto = self.proto
        accepted._options = None if self._options is None else self._options.copy()
        accepted._attach(endpoint)
        if self.family == socket.AF_UNIX:
            accepted._bound, accepted._peer_path = self._bound, endpoint.remote[0]
        return accepted, accepted.getpeername() if self.family == socket.AF_UNIX else accepted._shown(endpoint.remote)

    def send(self, data: Any, flags: int = 0) -> int:
        if self._endpoint is None:
            self._check_open()
            if self._datagrams is not None and self._datagrams.remote is not None:
                return self.sendto(data, self._datagrams.remote)
            number = errno.EPIPE if self.type == socket.SOCK_STREAM else errno.EDESTADDRREQ
            raise OSError(number, os.strerror(number))
        data = data if type(data) is bytes else bytes(memoryview(data))
        sent = self.send_now(data)
        if sent < len(data):
            takes_all = self.blocks and self._timeout is None and not flags & socket.MSG_DONTWAIT
            while sent < len(data) and (not sent or takes_all):
                try:
                    self.wait_for(EVENT_WRITE, "send", flags)
                except BlockingIOError:
                    if sent:
                        break  # SO_SNDTIMEO
                    raise
                sent += self.send_now(data[sent:])
        return sent

    def sendall(self, data: Any, flags: int = 0) -> None:
        """As a real one's: its time-out is for all of it."""
        with memoryview(data).cast("B") as view:
            data = bytes(view)
        time = self._selector.loop.time
        end = time() + self._timeout if self._timeout else None
        sent = self.send(data)
        while sent < len(data):
            if end is None:
                self.wait_for(EVENT_WRITE, "send")
            elif (left := end - time()) > 0:
                self.wait_within(left, EVENT_WRITE, "send")
            else:
                raise TimeoutError("timed out")
            sent += self.send_now(data[sent:])

    def recv(self, size: int, flags: int = 0) -> bytes:
        if flags or size <= 0:
            return self._receive_otherwise(size, flags)[0]
        if self._endpoint is None:
            return self.recvfrom(size)[0]
        try:
            return self._endpoint.receive(size)
        except BlockingIOError:
            pass
        self.wait_for(EVENT_READ, "recv")
        return self.recv(size)

    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Any]:
        if flags or size <= 0:
            return self._receive_otherwise(size, flags)
        if self.type == socket.SOCK_STREAM:
            self._check_open()
            if self._endpoint is None:
                raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
            return self.recv(size), None
        try:
            data, source = self.datagrams().receive()
        except IndexError:
            self.wait_for(EVENT_READ, "recvfrom")
            return self.recvfrom(size)
        return data[:size], self._shown(source)

    def _receive_otherwise(self, size: int, flags: int) -> tuple[bytes, Any]:
        """Where not just some bytes are wanted: MSG_PEEK leaves them, MSG_WAITALL waits for all, MSG_DONTWAIT for none.

        Of the other flags none changes anything here.
        """
        self._check_open()
        if size < 0:
            raise ValueError("negative buffersize in recv")
        if flags & socket.MSG_ERRQUEUE:  # it never waits, and is always empty
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        if flags & socket.MSG_OOB:
            raise NotSimulated("a simulated connection has no urgent data")
        if size == 0 and self._endpoint is not None:
            return b"", None
        if self._endpoint is None and self.type == socket.SOCK_STREAM:
            return self.recvfrom(max(size, 1))  # raises
        if not self.poll() & EVENT_READ:
            self.wait_for(EVENT_READ, "recv", flags)
        if not flags & socket.MSG_PEEK:
            data, source = self.recvfrom(max(size, 1) if self._endpoint is not None else MAX_DATAGRAM_BYTES)
            if flags & socket.MSG_WAITALL and self._endpoint is not None:
                data += self._receive_rest(size - len(data))
        elif self._endpoint is not None:
            return self._endpoint.peek(size), None
        else:
            data, address = self.datagrams().peek()
            source = self._shown(address)
        cut = data[:size]
        # CPython's bytes are as long as the datagram was, and nobody has written the rest of them.
        return cut.ljust(len(data), b"\0") if flags & socket.MSG_TRUNC and self._endpoint is None else cut, source

    def _receive_rest(self, size: int) -> bytes:
        """So many bytes of a stream, fewer where it ends before; none where its file does not block."""
        rest = b""
        while self._timeout is None and self.blocks and len(rest) < size:
            if not self.poll() & EVENT_READ:
                try:
                    self.wait_for(EVENT_READ, "recv")
                except BlockingIOError:
                    break  # SO_RCVTIMEO
            if self._endpoint is None or self._endpoint.has_error:
                break  # which the next call is told of
            if not (data := self._endpoint.receive(size - len(rest))):
                break
            rest += data
        return rest

    def shutdown(self, how: int) -> None:
        self._check_open()
        if how not in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if self.type == socket.SOCK_DGRAM:
            self._shut_datagrams(how)
        elif self._listener is not None:
            if how != socket.SHUT_WR:
                self._listener.close()
                self._listener = None
                self.share()
                self.mark()
        elif self._endpoint is not None and (self.family == socket.AF_UNIX or not self._endpoint.over):
            if how != socket.SHUT_WR:
                self._endpoint.stop_reading()
            if how != socket.SHUT_RD:
                self._endpoint.shutdown()
        elif self.family != socket.AF_UNIX:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    def _shut_datagrams(self, how: int) -> None:
        """Reading goes on as before: nothing of it can be seen without waiting."""
        if how != socket.SHUT_RD:
            self.send_to_now = _shut
            self.share()
        if self._datagrams is None or self._datagrams.remote is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    # -- datagrams -------------------------------------------------------------------------------------------------

    def sendto(self, data: Any, *arguments: Any) -> int:
        if self.type == socket.SOCK_STREAM:
            return self.send(data)
        self.send_to_now(data if type(data) is bytes else bytes(memoryview(data)), arguments[-1])
        return len(data)

    def _send_first_to(self, data: bytes, to: Any) -> None:
        self.datagrams()
        self.send_to_now(data, to)

    def _send_over_any(self, data: bytes, to: Any) -> None:
        datagrams = self.datagrams()
        if to is not datagrams.remote:
            to = self._address("sendto", to)
        datagrams.send_over_any(data, to)

    def _receive_shown(self) -> tuple[bytes, Any]:
        data, source = self.datagrams().receive()
        return data, self._shown(source)

    def datagrams(self) -> DatagramSocket:
        """The network's socket, bound to any port where it was not bound."""
        if self._datagrams is None:
            self._check_open()
            ip, port = self._bound or self._any
            dual = self._is_dual((ip, port))
            self._datagrams = DatagramSocket(self._network, self._host, ip, port, dual)
            self._heed_options(self._datagrams)
            self._datagrams.on_readable = self.mark
            self._datagrams.sink = self._sink()
            if self.family == socket.AF_INET:
                self.send_to_now, self.receive_now = self._datagrams.send, self._datagrams.receive
            else:
                self.send_to_now = self._send_over_any
            if self._shared is not None:
                self.share()
        return self._datagrams

    def _heed_options(self, datagrams: DatagramSocket) -> None:
        datagrams.may_broadcast = self._option(socket.SOL_SOCKET, socket.SO_BROADCAST)
        datagrams.hears_errors = self._option(*HEARS_ERRORS[self.family])

    # -- names and options -----------------------------------------------------------------------------------------

    def bind(self, address: Any) -> None:
        self._check_open()
        if self.family == socket.AF_UNIX:
            self._bind_unix(unix_path(address))
            return
        ip, port = self._address("bind", address)
        if self._bound is not None or self._endpoint is not None or self._connecting is not None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        try:
            if self.type == socket.SOCK_DGRAM:
                self._bound = (ip, port)
                self.datagrams()
            else:
                bound = self._host.bind(self._host.listeners, ip, port)
                holder = object()
                self._host.reserve(holder, *bound, self._option(socket.SOL_SOCKET, socket.SO_REUSEADDR))
                self._bound, self._holder = bound, holder
            if self._shared is not None:
                self.share()
        except OSError as error:
            self._bound = None
            if error.errno == errno.EADDRINUSE and self._option(socket.SOL_SOCKET, socket.SO_REUSEPORT):
                raise NotSimulated(
                    f"port {port} is taken, and that two sockets share one (reuse_port) is not simulated; listen once, "
                    "or on a node of its own"
                ) from None
            raise

    def _bind_unix(self, path: str) -> None:
        host = self._host
        if not path and self._bound is not None:
            return  # it has a name, and asks for any
        place = place_of(path) if path else host.free_name()
        if place in host.files or (not place.is_abstract and is_real_file(path)):
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        if self._bound is not None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        now = int(self._selector.loop.node.wall_clock() * 1e9)
        self._bound = host.make_file(place, path or place.name, 0o777 & ~_umask(), now)
        self._holder = place if place.is_abstract else None
        if self._shared is not None:
            self.share()

    def take_file_along(self) -> None:
        """Have the file of a Unix socket removed where it is when it stops listening."""
        if self._bound is not None:
            self._bound.goes_with_listener = True

    def getsockname(self) -> Any:
        self._check_open()
        if self.family == socket.AF_UNIX:
            return _as_named("" if self._bound is None else self._bound.bound_to)
        if self._endpoint is not None:
            return self._shown(self._endpoint.local)
        if self._datagrams is not None:
            return self._shown(self._datagrams.address)
        return self._shown(self._bound or self._any)

    def getpeername(self) -> Any:
        self._check_open()
        if self._endpoint is not None and (self.family == socket.AF_UNIX or not self._endpoint.over):
            return _as_named(self._peer_path) if self.family == socket.AF_UNIX else self._shown(self._endpoint.remote)
        if self._datagrams is not None and self._datagrams.remote is not None:
            return self._shown(self._datagrams.remote)
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        self._check_open()
        if level == socket.SOL_SOCKET:
            if option == socket.SO_ERROR:
                return as_asked(self._take_error(), size)
            if option in OF_THE_SOCKET:
                return as_asked(int(getattr(self, OF_THE_SOCKET[option])), size)
        return answer(self._options, self.type, level, option, size)

    def _take_error(self) -> int:
        error, self._error = self._error, 0
        if self._shared is not None:
            self.share()
        if error == 0 and self._endpoint is not None and (ended := self._endpoint.take_error()) is not None:
            error = ended.errno or 0
        elif self._datagrams is not None and (refused := self._datagrams.take_error()) is not None:
            error = refused.errno or 0
        return error

    def keep_option(self, level: int, option: int, value: Any) -> None:
        super().keep_option(level, option, value)
        if self._shared is not None:
            self.share()
        if self._endpoint is not None and (level, option) in KEEP_ALIVE:
            self._keep_alive()
        if self._datagrams is not None:
            self._heed_options(self._datagrams)

    def _keep_alive(self) -> None:
        """As the options say now."""
        endpoint, network = self._endpoint, self._network
        if endpoint is None or self.family == socket.AF_UNIX:
            return
        times = keep_alive_times(self._options)
        if times is not None:
            from sim.network.tcp.keepalive import keep_alive  # few programs ask for it

            keep_alive(endpoint, *times)
        elif network.keepalives is not None:
            network.keepalives.unset(endpoint)

    @staticmethod
    def pair(one: "SimulatedSocket", other: "SimulatedSocket") -> None:
        """Connect two new sockets of one machine, as socketpair() does."""
        ends = [Endpoint(each._network, each._host, ("", 0), ("", 0)) for each in (one, other)]
        ends[0].join(ends[1])
        ends[1].join(ends[0])
        one._attach(ends[0])
        other._attach(ends[1])

    @property  # type: ignore[misc]
    def __class__(self) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A `socket.socket` to whoever asks with isinstance; `type(…)` tells the truth."""
        return socket.socket

    def __repr__(self) -> str:
        if self._descriptor < 0:
            return f"<SimulatedSocket of {self._host.name}, {self.family.name}, closed>"
        return f"<SimulatedSocket {self._descriptor} of {self._host.name}, {self.family.name}, {self.getsockname()}>"


def _as_named(path: str) -> str | bytes:
    """As a real Unix socket tells its name: an abstract one in bytes."""
    return os.fsencode(path) if path.startswith("\0") else path


def _umask() -> int:
    """That of the process, which cannot be asked for without being set."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _shut(*_: Any) -> None:
    raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
