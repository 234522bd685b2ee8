"""Opening a listening socket so that it is never left behind, and closing it without losing whoever is accepted.

What asyncio has accepted in one turn gets its transport in the next ones; a server that is closed in between loses the
socket (CPython gh-109564, open in 3.11 to 3.13). Knows no protocol.

Tests, in both worlds: tests/rpcnet/test_server.py.
"""

import asyncio
from typing import Final

__all__ = ["start_listening", "stop_listening"]

SHORTEST_SLEEP: Final = 1e-6
ACCEPT_TURNS: Final = 3
"""Turns of the loop from an accepted transport to its connection_made, and one to spare."""


async def start_listening(server: asyncio.Server) -> None:
    """Accept from now on. Whatever breaks this off, or a cancellation, leaves no socket behind.

    asyncio's own create_server waits for a turn when it listens already, and is cancelled there without closing.
    """
    try:
        await server.start_serving()
    except BaseException:
        server.close()
        raise


async def stop_listening(server: asyncio.Server) -> None:
    """Accept nobody from now on. Whoever was accepted has had its connection_made when this returns."""
    try:
        # After a timer all that was accepted has its transport.
        await asyncio.sleep(SHORTEST_SLEEP)
    finally:
        server.close()
    for _ in range(ACCEPT_TURNS):
        await asyncio.sleep(0)
