"""A real socket that is to be connected to a simulated server is told so, when nobody listens there in the real world.

A client in a thread of the real world, or in a test beside the nodes, cannot reach them: the network is in memory. One
that does not block, and is handed to a node's loop before it has an answer, connects there (sim.kernel.loop.adopt).
Knows hosts and their listeners. Tests: tests/sim/kernel/patches/test_real_clients.py.
"""

import errno
import socket
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from sim.kernel.errors import NotSimulated
from sim.kernel.loop.adopt import CONNECTING
from sim.kernel.loop.unix_names import file_at
from sim.kernel.patches import rebind
from sim.kernel.running import running

if TYPE_CHECKING:
    from sim.network.fabric import Network

__all__ = ["install", "watch"]

_UNDER_WAY = (errno.EINPROGRESS, errno.EAGAIN, errno.EINTR)
_networks: "WeakSet[Network]" = WeakSet()


def watch(network: "Network") -> None:
    """Look for servers there too, as long as it lives."""
    _networks.add(network)


def install() -> None:
    """sim.kernel.patches calls it."""
    # Where another part of ours stands, it goes on being asked.
    real, real_ex = socket.socket.connect, socket.socket.connect_ex

    def connect(self: Any, address: Any) -> None:
        try:
            real(self, address)
        except BlockingIOError:
            _remember_where_simulated(self, address)
            raise
        except InterruptedError:
            raise
        except OSError as error:
            _refuse_where_simulated(self, address, error)
            raise

    def connect_ex(self: Any, address: Any) -> int:
        number = real_ex(self, address)
        if number == errno.EINPROGRESS:
            _remember_where_simulated(self, address)
        elif number not in (0, *_UNDER_WAY):
            _refuse_where_simulated(self, address, None)
        return number

    connect.__dict__["asks_node"] = True  # a simulated socket looks for one that a program has put there
    rebind.put(socket.socket, "connect", connect)
    rebind.put(socket.socket, "connect_ex", connect_ex)


def _remember_where_simulated(client: socket.socket, address: Any) -> None:
    """A client that has no answer yet, where no node asks and one has a server there."""
    if running() is None and _listening(address) is not None:
        CONNECTING[client] = address


def _refuse_where_simulated(client: socket.socket, address: Any, error: OSError | None) -> None:
    """Raises NotSimulated where no node asks and one has a server there."""
    node = None if running() is not None else _listening(address)
    if node is None:
        return
    client.close()  # who looks for OSError alone does not
    raise NotSimulated(
        f"a real socket cannot connect to {address!r}: the server there is simulated, on the node {node}, and its "
        "network is in memory. Make the client a node too, with asyncio's streams or a library that stands on asyncio: "
        "simulation.add_node(…).start(client)"
    ) from error


def _listening(address: Any) -> str | None:
    """The node that has a server at an address of the real world, as far as one can tell."""
    for network in list(_networks):
        for host in network.hosts.values():
            if not isinstance(address, tuple):
                found = file_at(host, address) is not None
            else:
                found = address[1] in host.listeners.ports and (host.owns(address[0]) or address[0] == "localhost")
            if found:
                return host.name
    return None
