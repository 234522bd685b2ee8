"""`SSLContext.wrap_socket` on a node: TLS over a simulated socket. Elsewhere it is the real one.

ssl's own code makes the object; which class that has, and what stands for OpenSSL's end of it, is the simulation's
there (sim.kernel.loop.tls). Knows of a node its loop. Tests: tests/sim/twins/test_tls_by_hand.py.
"""

import ssl
from typing import Any

from sim.kernel.loop.adopt import Adopted
from sim.kernel.loop.tls import Connection, secured_class
from sim.kernel.patches import rebind
from sim.kernel.running import running

__all__ = ["install"]


def install() -> None:
    """sim.kernel.patches calls it."""
    real_class: Any = ssl.SSLSocket
    real_context: Any = ssl.SSLContext
    create, wrap = real_class._create.__func__, real_context._wrap_socket

    def make(cls: Any, sock: Any, *args: Any, **options: Any) -> Any:
        node: Any = running()
        if node is None:
            return create(cls, sock, *args, **options)
        return create(secured_class(cls), node.loop._simulated(sock), *args, **options)

    def connect(
        context: Any, sock: Any, server_side: bool, name: str | None = None, *, owner: Any = None, session: Any = None
    ) -> Any:
        if isinstance(sock, Adopted):
            return Connection(context, sock, server_side, name, session)
        return wrap(context, sock, server_side, name, owner=owner, session=session)

    rebind.put(real_class, "_create", classmethod(make))
    rebind.put(real_context, "_wrap_socket", connect)
