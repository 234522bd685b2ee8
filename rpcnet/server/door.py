"""The TLS handshake of a server: who passes becomes a connection, who does not is named in the log.

asyncio's own `create_server(ssl=)` drops a failed handshake without a word, so that nobody could tell at the server why
its clients fail. So the listener accepts without TLS, and each transport is upgraded here with `loop.start_tls`, within
`handshake_timeout`. Knows no frame and no method; the context is the user's and is not changed.

Tests: tests/rpcnet/server/test_door.py, and test_tls_failures.py for the lines in the log.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import cast

from rpcnet.address import peer_text
from rpcnet.connection import Connection
from rpcnet.handshake import handshake_failure

__all__ = ["Doors"]

_log = logging.getLogger("rpcnet")


class Doors:
    """The handshakes of one server that are under way."""

    def __init__(self, context: ssl.SSLContext, seconds: float, most: int) -> None:
        """`seconds` is what a handshake may take, `most` how many may be under way: who comes then is cut off."""
        self.context = context
        self.seconds = seconds
        self.most = most
        self.tasks: set[asyncio.Task[None]] = set()

    def door(self, accept: Callable[[], Connection], refused: Callable[[str], None]) -> "Door":
        """The protocol of one transport that was just accepted; `accept` makes that of whoever passes, `refused` is
        told whose was cut off."""
        return Door(self, accept, refused)

    async def close(self) -> None:
        """Break off every handshake that is under way."""
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class Door(asyncio.Protocol):
    """One transport until its handshake is over, and what comes before the connection has its transport."""

    __slots__ = ("_accept", "_doors", "_early", "_refused")

    def __init__(self, doors: Doors, accept: Callable[[], Connection], refused: Callable[[str], None]) -> None:
        self._doors = doors
        self._accept = accept
        self._refused = refused
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = cast("asyncio.Transport", transport)
        doors = self._doors
        if len(doors.tasks) >= doors.most:
            plain.abort()
            self._refused(peer_text(plain.get_extra_info("peername")))
            return
        plain.pause_reading()  # the first bytes are those of the handshake
        task = asyncio.get_running_loop().create_task(self._pass(plain), name="rpcnet TLS handshake")
        doors.tasks.add(task)
        task.add_done_callback(doors.tasks.discard)

    def data_received(self, data: bytes) -> None:
        # It came in one piece with the end of the handshake, before the task went on.
        self._early.append(data)

    async def _pass(self, plain: asyncio.Transport) -> None:
        doors = self._doors
        peer = peer_text(plain.get_extra_info("peername"))
        try:
            transport = await asyncio.get_running_loop().start_tls(
                plain, self, doors.context, server_side=True, ssl_handshake_timeout=doors.seconds
            )
        except asyncio.CancelledError:
            plain.abort()
            raise
        except Exception as error:
            # Not only OSError: callbacks of the user's context raise what they like.
            plain.abort()
            _log.warning("server connection %s: refused: %s", peer, handshake_failure(error, "server"))
            return
        assert transport is not None, "this task was woken before whatever ends the transport"
        connection = self._accept()
        transport.set_protocol(connection)
        connection.connection_made(transport)
        for data in self._early:
            connection.data_received(data)
