"""Sockets that a program makes itself, with `socket.socket()` or before the simulation: they become simulated ones.

On a node `socket.socket()`, `socketpair()`, `getaddrinfo()`, `gethostname()` and their like answer from the simulation;
elsewhere they are the real ones. A real socket that is handed to a node's loop is adopted: its options and its bound
name go to a simulated socket, its descriptor is closed, and the object speaks for the simulated one from then on.
"""

import _socket
import socket
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from sim.kernel.errors import NotSimulated
from sim.kernel.loop.sockets import SimulatedSocket
from sim.kernel.patches import rebind
from sim.kernel.patches.clock_and_random import running

__all__ = ["adopt", "install"]

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
    "accept bind close connect connect_ex detach dup fileno getpeername getsockname getsockopt gettimeout "
    "getblocking get_inheritable listen makefile recv recv_into recvfrom recvfrom_into recvmsg recvmsg_into send "
    "sendall sendmsg sendto setblocking set_inheritable setsockopt settimeout shutdown"
)

_stands_for: WeakKeyDictionary[socket.socket, SimulatedSocket] = WeakKeyDictionary()
_installed = False


class Adopted(socket.socket):
    """What a real socket's class becomes: the object that the program holds, speaking for a simulated socket."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<adopted {_stands_for[self]!r}>"


def _forward(name: str) -> Callable[..., Any]:
    def method(self: Adopted, *args: Any, **options: Any) -> Any:
        return getattr(_stands_for[self], name)(*args, **options)

    method.__name__ = name
    return method


for _name in _FORWARDED.split():
    setattr(Adopted, _name, _forward(_name))


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
    except OSError:
        made.close()
        raise
    sock.close()
    sock.__class__ = Adopted
    _stands_for[sock] = made
    return made


def _peer(sock: socket.socket) -> Any:
    try:
        return sock.getpeername()
    except OSError:
        return None


def install() -> None:
    """Let `socket.socket()` and the module's look-ups answer from the simulation on a node; once a process.

    `rebind.rebind` has to follow.
    """
    global _installed
    if _installed:
        return
    _installed = True
    socket.socket.__new__ = staticmethod(_new)  # type: ignore[method-assign]
    for name in (
        "getaddrinfo",
        "getnameinfo",
        "gethostname",
        "getfqdn",
        "gethostbyname",
        "gethostbyname_ex",
        "gethostbyaddr",
    ):
        rebind.replace(socket, name, _names(name, getattr(socket, name)))
    rebind.replace(socket, "socketpair", _dispatch(socket.socketpair, _socketpair))
    rebind.replace(socket, "create_connection", _dispatch(socket.create_connection, _create_connection))


def _dispatch(real: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    def function(*args: Any, **options: Any) -> Any:
        node = running()
        return real(*args, **options) if node is None else simulated(node, *args, **options)

    return function


def _names(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    return _dispatch(real, lambda node, *args, **options: getattr(node.names, name)(*args, **options))


def _new(cls: Any, *args: Any, **options: Any) -> Any:
    node: Any = running()
    if node is None or cls is not socket.socket:
        return _socket.socket.__new__(cls)
    return _of_node(node, *args, **options)


def _of_node(node: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> Any:
    selector = node.loop._selector
    if fileno is not None:
        if fileno in selector.sockets:
            return selector.sockets[fileno]
        raise NotSimulated(f"file descriptor {fileno} is not a simulated socket; make one on the node")
    family = socket.AF_INET if family == -1 else family
    kind = socket.SOCK_STREAM if type == -1 else type & ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    if family not in FAMILIES or kind not in KINDS:
        raise NotSimulated("a simulated node has TCP, UDP and Unix sockets, and no others")
    made = node.loop._socket(family, kind)
    made.proto = proto if proto != -1 else 0
    made.settimeout(socket.getdefaulttimeout() if type == -1 or not type & socket.SOCK_NONBLOCK else 0.0)
    return made


def _socketpair(node: Any, family: int | None = None, type: int = socket.SOCK_STREAM, proto: int = 0) -> Any:
    if type != socket.SOCK_STREAM or family not in (None, socket.AF_UNIX):
        raise NotSimulated("on a simulated node socketpair() makes a pair of connected Unix stream sockets")
    pair = node.loop._socket(socket.AF_UNIX, type), node.loop._socket(socket.AF_UNIX, type)
    SimulatedSocket.pair(*pair)
    for each in pair:
        each.settimeout(None)
    return pair


def _create_connection(node: Any, address: Any, *_: Any, **__: Any) -> Any:
    raise NotSimulated(
        f"socket.create_connection({address!r}) blocks, and nothing else can run meanwhile on a simulated node; use "
        "asyncio.open_connection or loop.create_connection"
    )
