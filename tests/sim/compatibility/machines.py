"""Two simulated machines, "server" and "client", 5 ms apart, and what third-party programs need on them."""

import asyncio
import functools
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import trustme

import sim

__all__ = ["certificates", "forever", "on_two_machines"]

Main = Callable[[], Awaitable[Any]]


def on_two_machines(serve: Main, ask: Main, seed: int = 1) -> tuple[Any, str]:
    """Run `serve` on one machine and, a second later, `ask` on the other. Returns its value and the run's digest."""
    with sim.Simulation(seed) as simulation:
        server, client = simulation.add_node("server"), simulation.add_node("client")
        simulation.network.default_link(latency="5ms")
        server.start(serve)
        value = simulation.run_until_complete(client.start(ask, delay=1.0))
    return value, simulation.digest()


async def forever() -> None:
    """Until the machine is stopped."""
    await asyncio.Event().wait()


@functools.cache
def certificates() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's context for the machine "server"."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("server").configure_cert(server)
    authority.configure_trust(client)
    return server, client
