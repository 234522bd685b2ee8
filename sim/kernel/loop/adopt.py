"""Real sockets that are handed to a node's loop: they become simulated ones.

Options, bound name and descriptor go to a simulated socket, and the object speaks for the simulated one from then on.
Knows no loop. What `socket.socket()` makes on a node is sim.kernel.patches.socket_module's. Tests:
tests/sim/kernel/loop/test_adopt.py.
"""

import contextlib
import socket
from collections.abc import Callable
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from sim.kernel.errors import NotSimulated
from sim.kernel.loop.sockets import SimulatedSocket
from sim.kernel.loop.unix_names import place_of
from sim.network.host import Place

__all__ = [
    "CONNECTING",
    "FAMILIES",
    "KINDS",
    "Adopted",
    "adopt",
    "listening_at",
    "note",
    "real_one",
    "stand_for",
    "standing_for",
]

FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
_KEPT_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    (socket.SOL_SOCKET, socket.SO_REUSEPORT),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.SOL_SOCKET, socket.SO_BROADCAST),
    (socket.SOL_SOCKET, socket.SO_SNDBUF),
    (socket.SOL_SOCKET, socket.SO_RCVBUF),
)
_FORWARDED = (
    "accept bind connect connect_ex detach dup fileno getpeername getsockname getsockopt gettimeout "
    "getblocking get_inheritable listen recv recv_into recvfrom recvfrom_into recvmsg recvmsg_into send "
    "sendall sendfile sendmsg sendto setblocking set_inheritable setsockopt settimeout shutdown"
)

_real: WeakValueDictionary[int, socket.socket] = WeakValueDictionary()
"""Sockets that were made elsewhere than on a node since `socket` is patched, in that order: programs hand them over by
number, too."""
_numbers = count()
CONNECTING: WeakKeyDictionary[socket.socket, Any] = WeakKeyDictionary()
"""Sockets that were told elsewhere than on a node to connect to a simulated server, without waiting: its address."""
_stands_for: WeakKeyDictionary[socket.socket, SimulatedSocket] = WeakKeyDictionary()


class Adopted(socket.socket):
    """What a real socket's class becomes: the object that the program holds, speaking for a simulated socket."""

    __slots__ = ()

    def _real_close(self) -> None:
        """What close() does where no file of makefile() is open: `makefile` and `close` are socket.socket's own."""
        _stands_for[self].close()

    def __repr__(self) -> str:
        return f"<adopted {_stands_for[self]!r}>"


def _forward(name: str) -> Callable[..., Any]:
    def method(self: Adopted, *args: Any, **options: Any) -> Any:
        return getattr(_stands_for[self], name)(*args, **options)

    method.__name__ = name
    return method


def _fact(name: str) -> property:
    return property(lambda self: getattr(_stands_for[self], name))


for _name in _FORWARDED.split():
    setattr(Adopted, _name, _forward(_name))
for _name in ("family", "proto", "timeout", "type"):
    setattr(Adopted, _name, _fact(_name))


def stand_for(sock: socket.socket, made: SimulatedSocket) -> None:
    """From now on that object speaks for the simulated socket."""
    _stands_for[sock] = made


def standing_for(sock: Adopted) -> SimulatedSocket:
    """The simulated socket that it speaks for."""
    return _stands_for[sock]


def adopt(sock: Any, make: Callable[[int, int], SimulatedSocket]) -> SimulatedSocket:
    """The simulated socket that stands for `sock`; made by `make(family, kind)` the first time.

    Raises NotSimulated for what cannot be one: a connected socket, a raw one, something that is no socket.
    """
    if isinstance(sock, Adopted):
        return _stands_for[sock]
    if not isinstance(sock, socket.socket) or sock.family not in FAMILIES or sock.type not in KINDS:
        raise NotSimulated(f"{sock!r} is no TCP, UDP or Unix socket; those can be simulated")
    if _peer(sock) is not None:
        raise NotSimulated(f"{sock!r} is connected to a real peer; connect it on the simulated node")
    name = sock.getsockname()
    made = make(sock.family, sock.type)
    for level, option in _KEPT_OPTIONS:
        made.keep_option(level, option, sock.getsockopt(level, option))
    made.settimeout(sock.gettimeout())
    try:
        if sock.family == socket.AF_UNIX:
            if name:
                made.bind(name)
        elif name[1]:
            made.bind(name)
        if sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            made.listen()
        if sock in CONNECTING:
            # Left unconnected it would be writable without an error, which means connected to who waits for that.
            with contextlib.suppress(BlockingIOError):
                made.connect(CONNECTING.pop(sock))
    except OSError:
        made.close()
        raise
    made.take_number(sock.detach())
    sock._closed = False  # type: ignore[attr-defined]  # detach() has set it
    sock.__class__ = Adopted
    stand_for(sock, made)
    return made


def note(sock: socket.socket) -> None:
    """A real socket has been made."""
    _real[next(_numbers)] = sock


def real_one(descriptor: int) -> socket.socket | None:
    """The real socket with that descriptor, where the program has one."""
    return next((each for each in _real_ones() if each.fileno() == descriptor), None)


def _real_ones() -> list[socket.socket]:
    """Those that are real still, in the order in which they were made."""
    return [each for each in _real.values() if type(each) is not Adopted]


def listening_at(address: Any) -> socket.socket | None:
    """The real socket that listens at (ip, port), or at a Unix socket's place, where the program has one.

    Of several that with the very address, as on Linux, and of those the one that was made first.
    """
    listening = [each for each in _real_ones() if _listens(each)]
    if isinstance(address, Place):
        return next((each for each in listening if each.family == socket.AF_UNIX and _is_at(each, address)), None)
    ip, port = address
    for wanted in (ip, "::" if ":" in ip else "0.0.0.0"):
        for each in listening:
            if each.family != socket.AF_UNIX and each.getsockname()[:2] == (wanted, port):
                return each
    return None


def _listens(sock: socket.socket) -> bool:
    if sock.fileno() < 0 or sock.family not in FAMILIES or sock.type != socket.SOCK_STREAM:
        return False
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _is_at(sock: socket.socket, place: Place) -> bool:
    try:
        return place_of(sock.getsockname()) == place
    except OSError:  # its directory is gone
        return False


def _peer(sock: socket.socket) -> Any:
    try:
        return sock.getpeername()
    except OSError:
        return None
