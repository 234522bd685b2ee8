"""TLS by hand over simulated sockets: what `SSLContext.wrap_socket` makes on a node, and what is under it.

OpenSSL wants a descriptor of the real machine. Here it gets two buffers in memory, and records are carried between
them and the socket as OpenSSL reads them: one at a time, so that whoever watches the socket is told of the rest.
Handshake, read and write raise SSLWantReadError and SSLWantWriteError as over a real non-blocking socket; asyncio's own
TLS uses none of this. Private names of CPython's: sim.kernel.cpython. Tests: tests/sim/twins/test_tls_by_hand.py.
"""

import socket
import ssl
from collections.abc import Callable
from functools import cache
from typing import Any
from weakref import ref

from sim.kernel.loop.adopt import Adopted, stand_for, standing_for
from sim.kernel.loop.descriptors import with_descriptor
from sim.kernel.loop.sockets import SimulatedSocket
from sim.kernel.running import running

__all__ = ["Connection", "secured_class"]

HEADER_BYTES = 5  # RFC 8446 §5.1: type, version, length of the record
RECORD_BYTES = 16_384  # RFC 8446 §5.1: a record holds at most so much of the program's data


class TakenUp(Adopted):
    """Made with the descriptor of a simulated socket, which ssl's own code detaches from another object then."""

    __slots__ = ()

    def __init__(self, *_: Any, fileno: int, **__: Any) -> None:
        node: Any = running()
        self._io_refs, self._closed = 0, False  # as socket.socket's own
        stand_for(self, with_descriptor(node.loop._selector, fileno))


@cache
def secured_class(kind: Any) -> Any:
    """That class of TLS sockets, over simulated ones: `kind` is ssl.SSLSocket or a class of the program's below it."""
    return type(kind.__name__, (kind, TakenUp), {"__module__": kind.__module__})


class Connection:
    """In the place of the object of C that ssl keeps for a connection; whatever is not here is that object's."""

    __slots__ = (
        "_ended",
        "_incoming",
        "_missing",
        "_outgoing",
        "_owner",
        "_record",
        "_sock",
        "_taken",
        "_tls",
        "_unsent",
    )

    def __init__(self, context: ssl.SSLContext, sock: Any, server_side: bool, name: str | None, session: Any) -> None:
        self._sock: SimulatedSocket = standing_for(sock)
        self._owner = ref(sock)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        made: Any = context
        self._tls: Any = made._wrap_bio(self._incoming, self._outgoing, server_side, name, owner=sock, session=session)
        self._ended: Callable[[int], None] | None = None
        """Told when the handshake has ended; set with the first bytes."""
        self._record = b""
        """What has come of a record's header."""
        self._missing = HEADER_BYTES
        """Bytes until the end of that header, or of its record."""
        self._unsent = b""
        self._taken = 0
        """Bytes that OpenSSL has taken of a write that has still to be told of."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tls, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in Connection.__slots__:
            object.__setattr__(self, name, value)
        else:
            setattr(self._tls, name, value)

    def do_handshake(self) -> None:
        self._run(self._tls.do_handshake)
        if self._ended is not None:
            self._ended(len(self._unsent) + self._outgoing.pending)
            self._ended = _known
        self._flush()

    def read(self, *arguments: Any) -> Any:
        result = self._run(self._tls.read, *arguments)
        self._sent()
        return result

    def write(self, data: Any) -> int:
        self._flush()
        with memoryview(data).cast("B") as view:  # let go of at once: an error's traceback would keep it
            while self._taken < len(view):
                self._taken += self._run(self._tls.write, bytes(view[self._taken : self._taken + RECORD_BYTES]))
                self._flush()  # where it cannot, the program comes back with the same bytes
        taken, self._taken = self._taken, 0
        return taken

    def shutdown(self) -> Any:
        """Tell the peer that nothing follows, and wait until it has told so; returns the socket."""
        self._run(self._tls.shutdown)
        self._flush()
        return self._owner()

    def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call it with as many records as it wants."""
        if self._ended is None:
            self._ended = self._sock.encipher() or _known
        while True:
            try:
                return function(*arguments)
            except ssl.SSLWantReadError as error:
                self._flush()
                self._fill(error)
            except ssl.SSLError:
                self._sent()  # the alert
                raise

    def _fill(self, wanted: ssl.SSLWantReadError) -> None:
        """Read on to the end of a record, or of a header that has come in parts."""
        try:
            if self._missing == HEADER_BYTES and not self._record:
                # Whole records where they are there: room for five bytes more is of no use to the sender.
                header = self._sock.recv(HEADER_BYTES, socket.MSG_PEEK)
                if len(header) == HEADER_BYTES:
                    self._record = header
                    self._missing += int.from_bytes(header[3:], "big")
            data = self._sock.recv(self._missing)
        except BlockingIOError:
            raise wanted from None
        if not data:
            self._incoming.write_eof()
            return
        self._incoming.write(data)
        self._missing -= len(data)
        if len(self._record) < HEADER_BYTES:
            self._record += data
            if not self._missing:
                self._missing = int.from_bytes(self._record[3:], "big")
        if not self._missing:
            self._record, self._missing = b"", HEADER_BYTES

    def _flush(self) -> None:
        if not self._sent():
            raise ssl.SSLWantWriteError(ssl.SSL_ERROR_WANT_WRITE, "The operation did not complete (write)")

    def _sent(self) -> bool:
        """Send what there is room for; True = there is no more."""
        while data := self._unsent or self._outgoing.read():
            self._unsent = data
            try:
                self._unsent = data[self._sock.send(data) :]
            except BlockingIOError:
                return False
        return True


def _known(_: int) -> None:
    """The end of the handshake is known, or of no interest."""
