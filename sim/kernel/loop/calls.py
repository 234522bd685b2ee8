"""Calls of a socket that stand on a few others of it: what `socket.socket` offers beside send, recvfrom and connect."""

import socket
from collections.abc import Callable
from typing import Any, Self

from sim.kernel.errors import NotSimulated
from sim.network.udp import MAX_DATAGRAM_BYTES

__all__ = ["SocketCalls"]


class SocketCalls:
    """Base of SimulatedSocket."""

    __slots__ = ()

    # SimulatedSocket's.
    family: socket.AddressFamily
    type: socket.SocketKind
    connect: Callable[[Any], None]
    send: Callable[..., int]
    sendto: Callable[..., int]
    recvfrom: Callable[[int, int], tuple[bytes, Any]]
    settimeout: Callable[[float | None], None]
    gettimeout: Callable[[], float | None]
    close: Callable[[], None]
    _would_block: Callable[[str], OSError | NotSimulated]

    def connect_ex(self, address: Any) -> int:
        try:
            self.connect(address)
        except OSError as error:
            if error.errno is None or isinstance(error, socket.gaierror):
                raise
            return error.errno
        return 0

    def sendall(self, data: Any, flags: int = 0) -> None:
        if self.send(data) < len(data):
            raise self._would_block("sendall")

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        if ancdata:
            raise NotSimulated("a simulated socket sends bytes only: no ancillary data, no file descriptors")
        data = b"".join(buffers)
        return self.send(data) if address is None else self.sendto(data, address)

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:
        return self.recvfrom_into(buffer, size, flags)[0]

    def recvfrom_into(self, buffer: Any, size: int = 0, flags: int = 0) -> tuple[int, Any]:
        view = memoryview(buffer).cast("B")
        data, source = self.recvfrom(size or len(view), flags)
        view[: len(data)] = data
        return len(data), source

    def recvmsg(self, size: int, ancillary_size: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        """As a real one's: bytes, no ancillary data, flags, where it came from."""
        if self.type == socket.SOCK_STREAM:
            data, source = self.recvfrom(size, flags)
            return data, [], 0, source
        data, source = self.recvfrom(MAX_DATAGRAM_BYTES, flags)
        return data[:size], [], int(socket.MSG_TRUNC) if len(data) > size else 0, source

    def recvmsg_into(self, buffers: Any, ancillary_size: int = 0, flags: int = 0) -> tuple[int, list[Any], int, Any]:
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        data, ancillary, told, source = self.recvmsg(sum(map(len, views)), ancillary_size, flags)
        filled = 0
        for view in views:
            part = data[filled : filled + len(view)]
            view[: len(part)] = part
            filled += len(part)
        return filled, ancillary, told, source

    def get_inheritable(self) -> bool:
        return False

    def set_inheritable(self, inheritable: bool) -> None:
        """There are no child processes to inherit it."""

    def dup(self) -> Any:
        raise NotSimulated("a simulated socket has one descriptor; hand the socket itself on")

    def makefile(self, *_: Any, **__: Any) -> Any:
        raise NotSimulated("a simulated socket is no file; use asyncio's streams")

    def setblocking(self, flag: bool) -> None:
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        return self.gettimeout() != 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
