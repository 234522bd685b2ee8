"""asyncio's selector transports with a short way through: one write, one read, straight to the simulated network.

Everything that is not the common case (a full buffer, an end of stream, an error) is left to asyncio's own code.
"""

from asyncio import selector_events
from typing import Any

__all__ = ["DatagramTransport", "StreamTransport"]


class StreamTransport(selector_events._SelectorSocketTransport):  # type: ignore[name-defined,misc]
    """A stream over a simulated connection."""

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
    """Datagrams over a simulated socket."""

    def sendto(self, data: Any, addr: Any = None) -> None:
        if data.__class__ is bytes and addr is not None and self._address is None and not self._extra["peername"]:
            try:
                self._sock.datagrams().send(data, addr)
            except OSError as error:
                self._protocol.error_received(error)
        else:
            super().sendto(data, addr)
