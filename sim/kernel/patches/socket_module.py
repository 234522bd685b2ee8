"""The module `socket`, answered from the simulation on a node; elsewhere it is the real one.

`socket.socket()` and `socketpair()` make simulated sockets there, `getaddrinfo()`, `gethostname()` and their like know
the simulation's names, and what would block everybody is refused. Knows of a node its loop and its names. Tests:
tests/sim/kernel/loop/test_adopt.py, tests/sim/twins/test_names.py.
"""

import _socket
import os
import socket
from collections.abc import Callable
from operator import index
from typing import Any

from sim.kernel.errors import NotSimulated
from sim.kernel.loop.adopt import FAMILIES, KINDS, note
from sim.kernel.loop.descriptors import with_descriptor
from sim.kernel.loop.sockets import SimulatedSocket
from sim.kernel.patches import rebind
from sim.kernel.running import running

__all__ = ["install"]


def install() -> None:
    """sim.kernel.patches calls it."""
    rebind.put(socket.socket, "__new__", staticmethod(_new))
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
    for name in ("connect", "connect_ex", "accept"):
        rebind.put(socket.socket, name, _adopting(name))
    rebind.replace(socket, "socketpair", _dispatch(socket.socketpair, _socketpair))


def _dispatch(real: Callable[..., Any], simulated: Callable[..., Any]) -> Callable[..., Any]:
    def function(*args: Any, **options: Any) -> Any:
        node = running()
        return real(*args, **options) if node is None else simulated(node, *args, **options)

    return function


def _adopting(name: str) -> Callable[..., Any]:
    """What was made elsewhere is adopted before it connects or accepts: a node reaches no real network."""
    real = getattr(socket.socket, name)

    def call(self: Any, *address: Any) -> Any:
        if type(self) is SimulatedSocket:  # by what somebody has put there, who goes on to ask ours
            return self.connect_now(*address)
        node: Any = running()
        if node is None or type(self) is not socket.socket or self.family not in FAMILIES or self.type not in KINDS:
            return real(self, *address)
        return getattr(node.loop._simulated(self), name)(*address)

    call.__dict__["asks_node"] = True  # as of names below: others are patched in by whoever tests a program
    return call


def _names(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    asks = _dispatch(real, lambda node, *args, **options: getattr(node.names, name)(*args, **options))
    asks.__dict__["asks_node"] = True  # the loop looks for it, in case somebody has put another there
    return asks


def _new(cls: Any, *args: Any, **options: Any) -> Any:
    node: Any = running()
    if node is None or cls is not socket.socket:
        made = _socket.socket.__new__(cls)
        note(made)
        return made
    return _of_node(node, *args, **options)


def _of_node(node: Any, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> Any:
    selector = node.loop._selector
    if fileno is not None:
        fileno = index(fileno)
        if fileno < 0:
            raise ValueError("negative file descriptor")
        found = with_descriptor(selector, fileno)
        if found is not None:
            return found
        os.fstat(fileno)  # raises where nobody has it
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
