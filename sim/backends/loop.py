"""An event loop whose TCP and UDP pass through a shaper: the same calls, real sockets, and the wires in between.

Clients bind the node's own address too, so that the other end knows who it is; a wildcard, `localhost` and 127.0.0.1
mean that address, as each node has them for itself. Streams by descriptor (`sock_*`) and Unix sockets are not shaped.

Tests: tests/sim/backends/test_shaper.py.
"""

import asyncio
import selectors
import socket
import time
from asyncio import sslproto
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from sim.backends.shaper import Shaper
from sim.backends.wires import DatagramWire, StreamWire
from sim.kernel.clock import Clock

__all__ = ["ShapedLoop"]

# Untyped on purpose: typeshed wants whole seconds, and no None where asyncio itself passes one.
_SSLProtocol: Any = sslproto.SSLProtocol


class _PacedSelector(selectors.DefaultSelector):
    """Waits by a clock that may run at another pace than the machine's."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(timeout if timeout is None else self._clock.duration(timeout))


class ShapedLoop(asyncio.SelectorEventLoop):
    """An event loop whose TCP and UDP pass through a Shaper, and whose clock may be wrong."""

    def __init__(self, host: str, names: Mapping[str, str], random: Random) -> None:
        self.clock = Clock(time.monotonic)
        super().__init__(_PacedSelector(self.clock))
        self.shaper = Shaper(self, host, names, random)
        self._first: int | None = None

    def time(self) -> float:
        return self.clock.steady()

    def wall_clock(self) -> float:
        """Seconds since 1970, as the node believes."""
        return time.time() + self.clock.error()

    def read_first(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Read this descriptor before all others of a turn: after a stop, what the runner said counts first."""
        self._first = descriptor
        self.add_reader(descriptor, callback)

    def _process_events(self, event_list: list[Any]) -> None:
        # (SelectorKey, mask) pairs, in 3.11 to 3.13; the order in the list is the order of the callbacks.
        event_list.sort(key=lambda event: event[0].fd != self._first)
        super()._process_events(event_list)  # type: ignore[misc]

    async def getaddrinfo(self, host: Any, port: Any, **rest: Any) -> Any:
        return await super().getaddrinfo(self.shaper.names.get(host, host), port, **rest)

    async def create_connection(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: Any = None,
        *,
        ssl: Any = None,
        sock: socket.socket | None = None,
        local_addr: Any = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        **rest: Any,
    ) -> tuple[asyncio.BaseTransport, asyncio.BaseProtocol]:
        target = host
        if sock is None:
            target = self.shaper.place(host)
            if local_addr is None and isinstance(target, str) and target.startswith("127."):
                local_addr = (self.shaper.host, 0)  # So that the other end knows who it is.
            await self.shaper.connecting(str(target))
        protocol = protocol_factory()
        upper: Any = protocol
        waiter = None
        if ssl:
            waiter = self.create_future()
            upper = _SSLProtocol(
                self,
                protocol,
                None if ssl is True else ssl,
                waiter,
                False,
                server_hostname if server_hostname is not None else host,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )
        wire = StreamWire(self.shaper, upper)
        connect: Any = super().create_connection
        await connect(lambda: wire, target, port, sock=sock, local_addr=local_addr, **rest)
        if waiter is None:
            return wire, protocol
        try:
            await waiter
        except BaseException:
            wire.abort()
            raise
        return upper._app_transport, protocol

    async def create_server(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: Any = None,
        port: Any = None,
        *,
        ssl: Any = None,
        sock: socket.socket | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        **rest: Any,
    ) -> asyncio.Server:
        if sock is None:
            several = isinstance(host, list | tuple | set)
            host = [self.shaper.place(one) for one in host] if several else self.shaper.place(host)

        def accept() -> StreamWire:
            protocol = protocol_factory()
            if ssl:
                protocol = _SSLProtocol(
                    self,
                    protocol,
                    ssl,
                    None,
                    True,
                    ssl_handshake_timeout=ssl_handshake_timeout,
                    ssl_shutdown_timeout=ssl_shutdown_timeout,
                )
            return StreamWire(self.shaper, protocol)

        return await super().create_server(accept, host, port, sock=sock, **rest)

    async def create_datagram_endpoint(  # type: ignore[override]
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        local_addr: Any = None,
        remote_addr: Any = None,
        *,
        sock: socket.socket | None = None,
        **rest: Any,
    ) -> tuple[DatagramWire, asyncio.BaseProtocol]:
        if sock is None:
            place = self.shaper.place
            if remote_addr is not None:
                remote_addr = (place(remote_addr[0]), *remote_addr[1:])
            if local_addr is not None:
                local_addr = (place(local_addr[0]), *local_addr[1:])
            elif remote_addr is None or str(remote_addr[0]).startswith("127."):
                local_addr = (self.shaper.host, 0)
        protocol = protocol_factory()
        assert isinstance(protocol, asyncio.DatagramProtocol)
        wire = DatagramWire(self.shaper, protocol)
        await super().create_datagram_endpoint(lambda: wire, local_addr, remote_addr, sock=sock, **rest)
        return wire, protocol
