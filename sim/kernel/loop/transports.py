"""asyncio's selector transports with a short way through: one write, one read, straight to the simulated network.

Everything that is not the common case (a full buffer, an end of stream, an error) is left to asyncio's own code.
Private names of asyncio's: sim.kernel.cpython. Tests: tests/sim/twins/test_streams.py, test_datagrams.py.
"""

import sys
from asyncio import BufferedProtocol, selector_events
from asyncio.sslproto import SSLProtocol
from socket import AF_INET
from typing import Any

from sim.kernel.leaks import made_here

__all__ = ["DatagramTransport", "StreamTransport"]


class StreamTransport(selector_events._SelectorSocketTransport):  # type: ignore[name-defined,misc]
    """A stream over a simulated connection."""

    __slots__ = (
        "_buffer",
        "_buffered",
        "_closing",
        "_conn_lost",
        "_empty_waiter",
        "_eof",
        "_paused",
        "_protocol",
        "_protocol_connected",
        "_read_ready_cb",
        "_server",
        "_sock",
        "_sock_fd",
        "made",
        *(["_write_ready"] if sys.version_info >= (3, 12) else []),  # a method before
    )

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.made = made_here()

    def set_protocol(self, protocol: Any) -> None:
        self._buffered = isinstance(protocol, BufferedProtocol)
        if self._buffered and isinstance(protocol, SSLProtocol) and self._sock is not None:
            self._sock.veil(protocol)
        super().set_protocol(protocol)
        if self._sock is not None and self._sock.reader is not None:
            self._sock.watch(self._sock.reader, self._sock.writer)

    @property
    def sink(self) -> Any:
        """What bytes are handed to that need not wait, once the loop reads, see sim.network.host; None = nothing."""
        if not self._buffered:
            return self._loop.run_now, self._sock.reader, self._take
        if isinstance(self._protocol, SSLProtocol):
            return None  # it reads ciphertext, of which there is none: see sim.network.tcp.tls
        return self._loop.run_now, self._sock.reader, self._take_into

    def _take(self, data: bytes) -> None:
        try:
            self._protocol.data_received(data)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal_error(error, "Fatal error: protocol.data_received() call failed.")

    def _take_into(self, data: bytes) -> None:
        """As `_take`, for a protocol that has a buffer of its own."""
        try:
            buffer = self._protocol.get_buffer(-1)
            room = len(buffer)
            if not room:
                raise RuntimeError("get_buffer() returned an empty buffer")
            if room < len(data):
                self._sock.put_back(data[room:])
                data = data[:room]
            buffer[: len(data)] = data
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal_error(error, "Fatal error: protocol.get_buffer() call failed.")
            return
        try:
            self._protocol.buffer_updated(len(data))
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal_error(error, "Fatal error: protocol.buffer_updated() call failed.")

    def _read_ready(self) -> None:
        if self._buffered or self._conn_lost or self._read_ready_cb is None:
            super()._read_ready()
            return
        try:
            data = self._sock.recv(self.max_size)
        except BlockingIOError:
            return
        except OSError as error:
            self._fatal_error(error, "Fatal read error on socket transport")
            return
        if not data:
            self._read_ready__on_eof()
            return
        self._take(data)

    def _call_connection_lost(self, error: Any) -> None:
        super()._call_connection_lost(error)
        self._read_ready_cb = None  # a method of its own, which would keep it until Python collects garbage
        if sys.version_info >= (3, 12):
            self._write_ready = None  # another

    def write(self, data: Any) -> None:
        if (
            data.__class__ is bytes
            and data
            and not (self._buffer or self._eof or self._conn_lost or self._empty_waiter)
        ):
            try:
                sent = self._sock.send_now(data)
            except OSError as error:
                self._fatal_error(error, "Fatal write error on socket transport")
                return
            if sent == len(data):
                return
            data = data[sent:]
        super().write(data)


class DatagramTransport(selector_events._SelectorDatagramTransport):  # type: ignore[name-defined,misc]
    """Datagrams over a simulated socket, which takes them all: there is never anything in a buffer."""

    __slots__ = (
        "_address",
        "_buffer",
        "_buffer_size",
        "_closing",
        "_conn_lost",
        "_connected",
        "_paused",
        "_protocol",
        "_protocol_connected",
        "_server",
        "_sock",
        "_sock_fd",
        "made",
    )

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._buffer = ()
        self._connected = bool(self._address or self._extra["peername"])
        self.made = made_here()

    @property
    def sink(self) -> Any:
        """As StreamTransport's."""
        return (self._loop.run_now, self._sock.reader, self._take) if self._sock.family == AF_INET else None

    def _take(self, datagram: tuple[bytes, Any]) -> None:
        data, source = datagram
        self._protocol.datagram_received(data, source)

    def _read_ready(self) -> None:
        if self._conn_lost:
            return
        try:
            datagram = self._sock.receive_now()
        except IndexError:
            return
        except OSError as error:
            self._protocol.error_received(error)
            return
        self._take(datagram)

    def sendto(self, data: Any, addr: Any = None) -> None:
        if data.__class__ is bytes and data and addr is not None and not self._connected:
            try:
                self._sock.send_to_now(data, addr)
            except OSError as error:
                self._protocol.error_received(error)
        else:
            super().sendto(data, addr)
