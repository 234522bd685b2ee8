"""Options of a simulated socket: what a program sets is kept and answered as Linux answers it.

Few of them change anything here, as SO_LINGER does. See socket(7), tcp(7), ip(7). Knows no sockets. Tests:
tests/sim/twins/test_socket_options.py.
"""

import errno
import os
import socket
import struct
from typing import Any

from sim.kernel.errors import NotSimulated
from sim.network.host import RECEIVE_BUFFER_BYTES
from sim.network.tcp.defaults import (
    KEEPALIVE_COUNT,
    KEEPALIVE_IDLE,
    KEEPALIVE_INTERVAL,
    SEND_BUFFER_BYTES,
    SYN_TIMEOUTS,
    WINDOW_BYTES,
)

__all__ = [
    "HEARS_ERRORS",
    "KEEP_ALIVE",
    "OF_THE_SOCKET",
    "Options",
    "answer",
    "as_asked",
    "as_set",
    "keep_alive_times",
    "resets_at_close",
    "seconds_to_wait",
]

Options = dict[tuple[int, int], Any]

_LINGER = int(socket.SOL_SOCKET), int(socket.SO_LINGER)
_KEEP_ALIVE = int(socket.SOL_SOCKET), int(socket.SO_KEEPALIVE)
_KEEP_ALIVE_TIMES = tuple(
    (int(socket.IPPROTO_TCP), int(each)) for each in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
)
KEEP_ALIVE = frozenset({_KEEP_ALIVE, *_KEEP_ALIVE_TIMES})
"""What says whether, and how often, an idle connection asks for its other end."""
HEARS_ERRORS = {  # IP_RECVERR and IPV6_RECVERR, which the module does not name
    int(socket.AF_INET): (int(socket.IPPROTO_IP), 11),
    int(socket.AF_INET6): (int(socket.IPPROTO_IPV6), 25),
}
"""By family, what has a datagram socket that is not connected hear of refusals, too."""
OF_THE_SOCKET: dict[int, str] = {
    socket.SO_TYPE: "type",
    socket.SO_DOMAIN: "family",
    socket.SO_PROTOCOL: "proto",
    socket.SO_ACCEPTCONN: "listens",
}
"""Options of SOL_SOCKET that only tell what a socket is: by option, the attribute of a SimulatedSocket that has it."""
_SEND_BUFFER = int(socket.SOL_SOCKET), int(socket.SO_SNDBUF)
_RECEIVE_BUFFER = int(socket.SOL_SOCKET), int(socket.SO_RCVBUF)
_MOST_BUFFER_BYTES = 2 * 212_992  # Linux: net.core.rmem_max, wmem_max, and as much again for bookkeeping
_RECEIVE_TIME = int(socket.SOL_SOCKET), int(socket.SO_RCVTIMEO)
_SEND_TIME = int(socket.SOL_SOCKET), int(socket.SO_SNDTIMEO)
_TIME = struct.Struct("ll")  # a timeval: seconds and microseconds
_LEVELS = frozenset({socket.SOL_SOCKET, socket.IPPROTO_IP, socket.IPPROTO_IPV6, socket.IPPROTO_TCP, socket.IPPROTO_UDP})
_SWITCHES = frozenset(
    {
        *((socket.SOL_SOCKET, each) for each in (socket.SO_REUSEADDR, socket.SO_REUSEPORT, socket.SO_KEEPALIVE)),
        *((socket.SOL_SOCKET, each) for each in (socket.SO_BROADCAST, socket.SO_OOBINLINE)),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY),
        (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY),
    }
)
_MULTICAST = frozenset(
    {
        (socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP),
        (socket.IPPROTO_IP, socket.IP_MULTICAST_IF),
        (socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP),
    }
)
_DEFAULTS: Options = {
    (socket.SOL_SOCKET, socket.SO_RCVLOWAT): 1,
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE): KEEPALIVE_IDLE,
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL): KEEPALIVE_INTERVAL,
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT): KEEPALIVE_COUNT,
    (socket.IPPROTO_TCP, socket.TCP_QUICKACK): 1,
    (socket.IPPROTO_TCP, socket.TCP_SYNCNT): len(SYN_TIMEOUTS) - 1,
    (socket.IPPROTO_IP, socket.IP_TTL): 64,
    (socket.IPPROTO_IP, socket.IP_MULTICAST_TTL): 1,
    (socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP): 1,
    _LINGER: struct.pack("ii", 0, 0),
    _RECEIVE_TIME: _TIME.pack(0, 0),
    _SEND_TIME: _TIME.pack(0, 0),
}


def as_set(level: int, option: int, value: Any) -> Any:
    """What is kept of a value that a program sets. Raises TypeError, OSError, and NotSimulated for multicast."""
    if isinstance(value, int) and (level, option) in _SWITCHES:
        return int(bool(value))
    if value is None or isinstance(value, str | float):
        raise TypeError(f"an integer or bytes is required, not {type(value).__name__}")
    if level not in _LEVELS:
        raise OSError(errno.ENOPROTOOPT, os.strerror(errno.ENOPROTOOPT))
    if (level, option) in _MULTICAST:
        raise NotSimulated("multicast is not simulated; send the datagram to each node")
    if (level, option) in _SWITCHES:
        return int(any(bytes(value)))
    if (level, option) in (_RECEIVE_TIME, _SEND_TIME):
        return _time(b"" if isinstance(value, int) else bytes(value))
    if not isinstance(value, int):
        return bytes(value)
    if (level, option) in (_SEND_BUFFER, _RECEIVE_BUFFER):
        return max(2304, min(2 * value, _MOST_BUFFER_BYTES))
    return int(value)


def _time(value: bytes) -> bytes:
    """Raises OSError where it is no timeval."""
    if len(value) < _TIME.size:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    if not 0 <= _TIME.unpack_from(value)[1] < 1_000_000:
        raise OSError(errno.EDOM, os.strerror(errno.EDOM))
    return value[: _TIME.size]


def seconds_to_wait(options: Options | None, *, sends: bool) -> float | None:
    """How long a call may wait that blocks: SO_SNDTIMEO, SO_RCVTIMEO; None = as long as it takes."""
    value = None if options is None else options.get(_SEND_TIME if sends else _RECEIVE_TIME)
    if value is None:
        return None
    seconds, microseconds = _TIME.unpack(value)
    return max(0.0, seconds + microseconds / 1e6) or (None if seconds >= 0 else 0.0)


def answer(options: Options | None, kind: int, level: int, option: int, size: int) -> Any:
    """What getsockopt says: a number, or so many bytes where a size is given."""
    key = (level, option)
    value = None if options is None else options.get(key)
    if value is None:
        if level not in _LEVELS:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        value = _DEFAULTS.get(key, 0)
        if key in (_SEND_BUFFER, _RECEIVE_BUFFER):
            stream = SEND_BUFFER_BYTES if key == _SEND_BUFFER else WINDOW_BYTES
            value = stream if kind == socket.SOCK_STREAM else RECEIVE_BUFFER_BYTES
    return as_asked(value, size)


def as_asked(value: Any, size: int) -> Any:
    """A value as getsockopt gives it."""
    if size:
        return value[:size] if isinstance(value, bytes) else int(value).to_bytes(4, "little")[:size]
    return int.from_bytes(value[:4], "little") if isinstance(value, bytes) else value


def resets_at_close(options: Options | None) -> bool:
    """Whether closing is to break the connection off: SO_LINGER with no time to linger."""
    value = None if options is None else options.get(_LINGER)
    return isinstance(value, bytes) and len(value) == 8 and struct.unpack("ii", value) == (1, 0)


def keep_alive_times(options: Options | None) -> tuple[int, int, int] | None:
    """After how many idle seconds a connection asks, so many seconds apart, how often; None = it does not."""
    if options is None or not options.get(_KEEP_ALIVE):
        return None
    idle, interval, count = (as_asked(options.get(each, _DEFAULTS[each]), 0) for each in _KEEP_ALIVE_TIMES)
    return idle, interval, count
