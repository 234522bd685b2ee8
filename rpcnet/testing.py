"""A service tested without a port: client and server joined in memory, on any event loop, simulated or not.

Frames, credit, deadlines and cancellation are the real ones; only the socket is missing. What a network does to a
service is the simulator's matter (sim).

Tests: tests/rpcnet/test_testing.py, and all that tests/rpcnet/ runs with a pair in memory.
"""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from random import Random

from rpcnet.client import RpcClient
from rpcnet.config import RpcConfig
from rpcnet.connection import Connection
from rpcnet.interceptors import Interceptor
from rpcnet.server import RpcServer

__all__ = ["connected"]

ADDRESS = "unix:in-process"


@asynccontextmanager
async def connected(
    server: RpcServer,
    *,
    config: RpcConfig | None = None,
    random: Random | None = None,
    wall_clock: Callable[[], float] | None = None,
    interceptors: Iterable[Interceptor] = (),
) -> AsyncIterator[RpcClient]:
    """A client of `server`: `async with connected(server) as client`. The server need not be started, and is stopped
    at the end if this started it; a server object may be used so again and again. `config` is the client's; the
    server's own where left out. `random`, `wall_clock` and `interceptors` are those of RpcClient.
    """
    begun = not server.is_running
    if begun:
        server.begin()
    # As over a socket: handlers see the context variables of whoever started the server, not the caller's.
    context = contextvars.copy_context()

    async def join(protocol: Callable[[], Connection]) -> None:
        near, far = MemoryTransport(protocol()), MemoryTransport(server.accept(), context)
        near.meet(far)
        far.meet(near)

    client = RpcClient(
        ADDRESS,
        config=config or server.config,
        random=random,
        wall_clock=wall_clock,
        interceptors=interceptors,
        open_transport=join,
    )
    try:
        async with await client.open():
            yield client
    finally:
        if begun:
            await server.stop()


class MemoryTransport(asyncio.Transport):
    """One end of a pair: what is written here arrives there, in order, in the next turn of the loop.

    Needs no pause_writing: nothing stays longer than a turn, and what a peer may send unread is bounded by credit.
    """

    def __init__(self, protocol: Connection, context: contextvars.Context | None = None) -> None:
        """`context` is what the protocol's callbacks run in; the present one where left out."""
        super().__init__({"peername": ADDRESS.removeprefix("unix:")})
        self._loop = asyncio.get_running_loop()
        self._protocol: Connection | None = protocol
        self._context = contextvars.copy_context() if context is None else context
        self._peer: MemoryTransport | None = None
        self._closing = False
        self._on_the_way = 0

    def meet(self, peer: "MemoryTransport") -> None:
        assert self._protocol is not None
        self._peer = peer
        self._loop.call_soon(self._protocol.connection_made, self, context=self._context)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._peer is not None and not self._closing:
            self._on_the_way += len(data)
            self._loop.call_soon(self._arrive, self._peer, bytes(data), context=self._peer._context)

    def _arrive(self, peer: "MemoryTransport", data: bytes) -> None:
        self._on_the_way -= len(data)
        if peer._protocol is not None and not peer._closing:
            peer._protocol.data_received(data)

    def get_write_buffer_size(self) -> int:
        return self._on_the_way

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        """Behind what was written, which still arrives."""
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._end, context=self._context)

    def abort(self) -> None:
        self.close()

    def _end(self) -> None:
        peer, self._peer = self._peer, None
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.connection_lost(None)
        if peer is not None:
            peer.close()
