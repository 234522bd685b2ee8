"""Calls of a socket that stand on a few others of it: what `socket.socket` offers beside send, recvfrom and connect.

They know nothing of a socket but its other calls. Tests:
tests/sim/twins/test_sockets.py, tests/sim/twins/test_socket_refusals.py.
"""

import socket
from typing import Any, Protocol, Self

from sim.kernel.errors import NotSimulated
from sim.network.udp import MAX_DATAGRAM_BYTES

__all__ = ["SocketCalls"]


class _Core(Protocol):
    """What a socket has to have for them."""

    @property
    def type(self) -> socket.SocketKind: ...

    def connect(self, address: Any) -> None: ...
    def send(self, data: Any, flags: int = 0) -> int: ...
    def sendto(self, data: Any, *arguments: Any) -> int: ...
    def recvfrom(self, size: int, flags: int = 0) -> tuple[bytes, Any]: ...
    def settimeout(self, value: float | None) -> None: ...
    def gettimeout(self) -> float | None: ...
    def close(self) -> None: ...

    # Of those below.
    def recvfrom_into(self, buffer: Any, size: int = 0, flags: int = 0) -> tuple[int, Any]: ...
    def recvmsg(self, size: int, ancillary_size: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]: ...


class SocketCalls:
    """A part of SimulatedSocket."""

    __slots__ = ()

    def connect_ex(self: _Core, address: Any) -> int:
        try:
            self.connect(address)
        except OSError as error:
            if error.errno is None or isinstance(error, socket.gaierror):
                raise
            return error.errno
        return 0

    def sendmsg(self: _Core, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        if ancdata:
            raise NotSimulated("a simulated socket sends bytes only: no ancillary data, no file descriptors")
        data = b"".join(buffers)
        return self.send(data, flags) if address is None else self.sendto(data, flags, address)

    def recv_into(self: _Core, buffer: Any, size: int = 0, flags: int = 0) -> int:
        return self.recvfrom_into(buffer, size, flags)[0]

    def recvfrom_into(self: _Core, buffer: Any, size: int = 0, flags: int = 0) -> tuple[int, Any]:
        view = memoryview(buffer).cast("B")
        if view.readonly:
            raise TypeError("a read-write bytes-like object is required")
        if size < 0:
            raise ValueError("negative buffersize in recvfrom_into")
        if size > len(view):
            raise ValueError("buffer too small for requested bytes")
        data, source = self.recvfrom(size or len(view), flags)
        kept = data[: size or len(view)]  # with MSG_TRUNC there may be more of it
        view[: len(kept)] = kept
        return len(data), source

    def recvmsg(self: _Core, size: int, ancillary_size: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        """As a real one's: bytes, no ancillary data, flags, where it came from."""
        data, source = self.recvfrom(size if self.type == socket.SOCK_STREAM else MAX_DATAGRAM_BYTES, flags)
        return data[:size], [], int(socket.MSG_TRUNC) if len(data) > size else 0, source

    def recvmsg_into(
        self: _Core, buffers: Any, ancillary_size: int = 0, flags: int = 0
    ) -> tuple[int, list[Any], int, Any]:
        views = [memoryview(buffer).cast("B") for buffer in buffers]
        if any(view.readonly for view in views):
            raise TypeError("a read-write bytes-like object is required")
        size = sum(map(len, views))
        data, source = self.recvfrom(size if self.type == socket.SOCK_STREAM else MAX_DATAGRAM_BYTES, flags)
        filled = 0
        for view in views:
            filling = data[filled : filled + len(view)]
            view[: len(filling)] = filling
            filled += len(filling)
        message_flags = int(socket.MSG_TRUNC) if len(data) > size else 0
        return len(data) if flags & socket.MSG_TRUNC else filled, [], message_flags, source

    # They stand on os.sendfile and select.poll, which know the node's sockets.
    sendfile: Any = socket.socket.sendfile
    _sendfile_use_sendfile: Any = socket.socket._sendfile_use_sendfile  # type: ignore[attr-defined]
    _sendfile_use_send: Any = socket.socket._sendfile_use_send  # type: ignore[attr-defined]
    _check_sendfile_params: Any = socket.socket._check_sendfile_params  # type: ignore[attr-defined]
    makefile: Any = socket.socket.makefile
    _decref_socketios: Any = socket.socket._decref_socketios  # type: ignore[attr-defined]

    def setblocking(self: _Core, flag: bool) -> None:
        self.settimeout(None if flag else 0.0)

    def getblocking(self: _Core) -> bool:
        return self.gettimeout() != 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self: _Core, *_: object) -> None:
        self.close()
