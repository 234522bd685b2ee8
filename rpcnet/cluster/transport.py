"""Datagrams and short streams of the cluster, on one port, over the running loop.

A stream carries one request and one answer. Packets pass through here as opaque bytes, in and out: this is where they
are put into their envelope and taken out of it. What does not open is reported, and its sender gets nothing, not even a
byte on its connection. Knows no message and no rule of the protocol.
"""

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Protocol, cast

from rpcnet.address import AddressInUse as AddressTaken
from rpcnet.address import is_literal, join_host_port, split_host_port
from rpcnet.client.race import NEXT_ADDRESS, first_of
from rpcnet.cluster.errors import ClusterError
from rpcnet.cluster.resolver import Endpoint, Resolver
from rpcnet.cluster.seal.envelope import Answering, Asking, Envelope
from rpcnet.cluster.seal.unopened import Unopened
from rpcnet.cluster.swim.effect import Stats
from rpcnet.config import ClusterConfig
from rpcnet.listener import start_listening, stop_listening

__all__ = ["AddressInUse", "Receiver", "Transport"]

BACKLOG = 1024
"""So many may connect at one moment. Of more than the backlog (asyncio: 100) the system drops the first packets, which
TCP sends again after a second: of a thousand that join at once a hundred a second would come in."""
SENDERS = 16_384
"""Of so many the address is remembered as text, some 4 MB."""
PORT_TRIES = 16
"""With port 0: how often another free TCP port is tried whose UDP twin may be free."""


class AddressInUse(ClusterError, AddressTaken):
    """The cluster's address is taken, its TCP or its UDP port. Other reasons keep their own OSError."""


class Receiver(Protocol):
    """Who takes what comes in."""

    def datagram(self, data: bytes, source: str) -> None: ...
    def request(self, data: bytes, source: str) -> bytes | None: ...
    def is_answer(self, data: bytes) -> bool: ...
    def answered(self, number: int, data: bytes) -> None: ...
    def unanswered(self, number: int, *, refused: bool) -> None: ...
    def unopened(self, why: Unopened, source: str, *, asked: bool = False) -> None: ...
    def of_other_family(self, address: str) -> None: ...


class Transport:
    """One UDP socket and one TCP listener on the same address. `only_loopback`: nothing is sent to other machines."""

    def __init__(
        self,
        receiver: Receiver,
        config: ClusterConfig,
        stats: Stats,
        envelope: Envelope,
        *,
        only_loopback: bool = False,
    ) -> None:
        self.received = 0
        """How many datagrams and pieces of streams have come in: whether a turn of the loop brought something."""
        self._receiver, self._config, self._stats, self.envelope = receiver, config, stats, envelope
        self._overhead = envelope.overhead
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._udp_gone = asyncio.Event()
        self._udp_gone.set()
        self._streams: dict[_Stream, None] = {}
        self._streams_gone = asyncio.Event()
        self._exchanges: dict[int, _Exchange] = {}
        self._only_loopback = only_loopback
        self._resolver = self._new_resolver()
        self._closed, self._is_ipv6 = True, False

    async def open(self, bind: str) -> str:
        """Bind; returns the address with its real port. Raises AddressInUse, another OSError, ValueError."""
        host, port = split_host_port(bind)
        for attempt in range(1, PORT_TRIES + 1):
            try:
                return await self._bind(host, port)
            except OSError as error:
                await self.close()
                in_use = error.errno == errno.EADDRINUSE
                if port or attempt == PORT_TRIES or not in_use:
                    text = f"cannot bind {bind} for the cluster (TCP and UDP): {error.strerror or error}"
                    if in_use:
                        raise AddressInUse(error.errno, text) from error
                    if isinstance(error, socket.gaierror):
                        raise socket.gaierror(error.errno, text) from error
                    # From 3.13 on asyncio gives none where an address is not this machine's.
                    number = error.errno or errno.EADDRNOTAVAIL
                    raise OSError(number, text) from error  # the subclass is that of its errno
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def _bind(self, host: str, port: int) -> str:
        if not is_literal(host):
            # One address, as the datagrams have, and as is judged where there is no key: not all that the name has.
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            host = str(found[0][4][0])
        self._server = await self._loop.create_server(
            lambda: _Stream(self, on_message=None), host, port, start_serving=False, backlog=BACKLOG
        )
        await start_listening(self._server)
        host, port = self._server.sockets[0].getsockname()[:2]
        self._udp, _ = await self._loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(host, port))
        self._closed, self._is_ipv6 = False, ":" in host
        self._resolver = self._new_resolver()  # what an attempt to bind in vain closed stays closed
        return join_host_port(host, port)

    def _new_resolver(self) -> Resolver:
        return Resolver(2 * self._config.max_members, only_loopback=self._only_loopback)

    async def close(self) -> None:
        """Close everything and wait until it is closed."""
        self._closed = True
        for number in list(self._exchanges):
            self._finish(number, None)
        for stream in list(self._streams):
            stream.abort()
        udp, self._udp = self._udp, None
        if udp is not None:
            udp.close()
        await self._stop_listening()
        while self._streams:
            self._streams_gone.clear()
            await self._streams_gone.wait()
        await self._udp_gone.wait()
        await self._resolver.close()

    async def _stop_listening(self) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        await stop_listening(server)
        await server.wait_closed()

    # Datagrams.

    def send(self, address: str, packet: bytes, to: str | None = None) -> None:
        """One datagram; dropped while its address is being looked up, as any datagram may be."""
        udp = self._udp
        if udp is None:
            return
        known = self._resolver.known(address)
        if len(known) != 1 or (":" in known[0][0]) != self._is_ipv6:
            known = self._of_our_family(known, address)
            if not known:
                self._stats.unresolved += 1
                return
        self._stats.bytes_sent += self._overhead
        udp.sendto(self.envelope.seal(packet, to), known[0])

    def _of_our_family(self, known: Sequence[Endpoint], address: str) -> Sequence[Endpoint]:
        """This socket reaches addresses of its own family only."""
        found = [endpoint for endpoint in known if (":" in endpoint[0]) == self._is_ipv6]
        if known and not found:
            self._receiver.of_other_family(address)
        return found

    def finds(self, address: str) -> bool:
        """Whether an endpoint of it is known by now."""
        return bool(self._resolver.known(address))

    def doubt(self, address: str) -> None:
        """Something speaks against what this name was looked up to: look again."""
        self._resolver.doubt(address)

    def datagram_came(self, data: bytes, source: Endpoint) -> None:
        self.received += 1
        if self._closed:
            return
        stats = self._stats
        stats.datagrams_received += 1
        stats.bytes_received += len(data)
        try:
            packet = self.envelope.open(data)
        except Unopened as why:
            self._receiver.unopened(why, _text(source[0], source[1]))
        else:
            self._receiver.datagram(packet, _text(source[0], source[1]))

    def datagrams_begin(self) -> None:
        """A socket is there, though nobody may ever get it: binding may be cancelled."""
        self._udp_gone.clear()

    def datagrams_gone(self) -> None:
        self._udp_gone.set()

    # Streams.

    def exchange(self, number: int, address: str, packet: bytes, timeout: float, to: str | None = None) -> None:
        """Send a request on a stream of its own; the receiver is told the answer, or that there is none."""
        request = packet, to
        task = self._loop.create_task(self._connect(number, address, request), name=f"cluster exchange with {address}")
        timer = self._loop.call_later(timeout, self._expire, number, self._loop.time() + timeout)
        self._exchanges[number] = _Exchange(address, task, timer)

    async def _connect(self, number: int, address: str, request: "_Request") -> None:
        endpoints: Sequence[Endpoint] = []
        try:
            endpoints = await self._resolver.find(address)
            if len(endpoints) == 1:
                await self._loop.create_connection(
                    lambda: _Stream(self, on_message=partial(self._finish, number), request=request), *endpoints[0]
                )
            else:
                await first_of([partial(self._ask, number, address, request, each) for each in endpoints], NEXT_ADDRESS)
        except OSError as error:
            exchange = self._exchanges.get(number)
            # Of several addresses one may be refused where another is merely silent.
            refused = isinstance(error, ConnectionRefusedError) and len(endpoints) == 1
            self._finish(number, exchange.useless if exchange is not None else None, refused=refused)

    async def _ask(self, number: int, address: str, request: "_Request", endpoint: Endpoint) -> None:
        """Ask at one of several endpoints. An answer ends the exchange, and so this; none there is an OSError."""
        failed = self._loop.create_future()

        def on_message(answer: bytes | None) -> None:
            exchange = self._exchanges.get(number)
            if answer is not None and exchange is not None and self._receiver.is_answer(answer):
                self._resolver.answered(address, endpoint)
                self._finish(number, answer)
                return
            if exchange is not None and answer is not None:
                exchange.useless = answer
            if not failed.done():
                failed.set_result(None)

        transport, _ = await self._loop.create_connection(
            lambda: _Stream(self, on_message=on_message, request=request), *endpoint
        )
        try:
            await failed
        finally:
            transport.abort()
        raise ConnectionError(f"{address}: no answer at {endpoint}")

    def _finish(self, number: int, answer: bytes | None, *, refused: bool = False) -> None:
        exchange = self._exchanges.pop(number, None)
        if exchange is None:
            return
        exchange.timer.cancel()
        if exchange.task is not asyncio.current_task():
            exchange.task.cancel()
        if self._closed:
            return
        if answer is not None:
            self._receiver.answered(number, answer)
        else:
            self._resolver.doubt(exchange.address)
            self._receiver.unanswered(number, refused=refused)

    def _expire(self, number: int, deadline: float) -> None:
        """No answer in time. It may lie in the socket while we were held up: then it gets a little longer, once."""
        exchange = self._exchanges.get(number)
        if exchange is None:
            return
        if self._loop.time() - deadline > self._config.late_timer_tolerance:
            grace = self._config.late_timer_grace
            exchange.timer = self._loop.call_later(grace, self._expire, number, float("inf"))
        else:
            self._finish(number, None)

    def stream_came(self, stream: "_Stream") -> bool:
        """Whether it may stay; known until it is gone, either way."""
        self._streams[stream] = None
        if len(self._streams) > self._config.max_streams:
            next((each for each in self._streams if each.may_be_strange), stream).abort()
        return not self._closed

    def stream_gone(self, stream: "_Stream") -> None:
        self._streams.pop(stream, None)
        if not self._streams:
            self._streams_gone.set()

    def request_came(self, packet: bytes, source: Endpoint) -> bytes | None:
        return None if self._closed else self._receiver.request(packet, join_host_port(source[0], source[1]))

    def unopened(self, why: Unopened, source: Endpoint, *, asked: bool) -> None:
        if not self._closed:
            self._receiver.unopened(why, join_host_port(source[0], source[1]), asked=asked)

    def wrapped(self, size: int) -> None:
        """So many bytes of a message on a stream are its envelope: packets are counted where they are made."""
        self._stats.stream_bytes_sent += size

    @property
    def stream_limits(self) -> tuple[int, float]:
        return self._config.exchange_limit, self._config.tcp_timeout


_text = lru_cache(SENDERS)(join_host_port)
"""The same few send again and again, and to all members of this process."""

_Request = tuple[bytes, str | None]
"""A packet, and whom it is for."""


@dataclass(slots=True, eq=False)
class _Exchange:
    address: str
    task: asyncio.Task[None]
    timer: asyncio.TimerHandle
    useless: bytes | None = None
    """An answer that one of several endpoints gave and that helps nobody: of another cluster, or our own."""


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, owner: Transport) -> None:
        self._owner = owner
        self.datagram_received = owner.datagram_came  # type: ignore[assignment,method-assign]
        owner.datagrams_begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.datagrams_gone()


class _Stream(asyncio.Protocol):
    """One end of a stream: with a `request` it waits for the answer, without one it answers one request."""

    def __init__(
        self, owner: Transport, *, on_message: Callable[[bytes | None], None] | None, request: _Request | None = None
    ) -> None:
        self._owner, self._on_message, self._request = owner, on_message, request
        self._transport: asyncio.Transport | None = None
        self._side: Asking | Answering | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def may_be_strange(self) -> bool:
        """Whether a stranger may have opened it: nothing in it was of this cluster yet."""
        is_open = self._transport is not None and not self._transport.is_closing()
        return is_open and isinstance(self._side, Answering) and not self._side.is_trusted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass of asyncio's.
        self._transport = transport = cast("asyncio.Transport", transport)
        envelope, (limit, timeout) = self._owner.envelope, self._owner.stream_limits
        if self._request is None:
            self._side = Answering(envelope, limit)
            self._timer = asyncio.get_running_loop().call_later(timeout, self.abort)
        if not self._owner.stream_came(self):
            transport.abort()
        elif self._request is not None:
            self._side = asking = Asking(envelope, *self._request, limit)
            self._write(asking.sent, self._request[0])

    def data_received(self, data: bytes) -> None:
        self._owner.received += 1
        if self._side is None or self._transport is None or self._transport.is_closing():
            return
        try:
            message = self._side.receive(data)
        except Unopened as why:
            asked = isinstance(self._side, Asking)
            self._owner.unopened(why, self._transport.get_extra_info("peername"), asked=asked)
            self.abort()
        else:
            if message is not None:
                self._message(message)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._owner.stream_gone(self)
        self._tell(None)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _message(self, message: bytes) -> None:
        assert self._transport is not None, "data came before the connection"
        if isinstance(self._side, Asking):
            self._transport.close()
            self._tell(message)
            return
        assert self._side is not None, "data came before the connection"
        answer = self._owner.request_came(message, self._transport.get_extra_info("peername"))
        if answer is None:
            self._transport.abort()
        else:
            self._write(self._side.answer(answer), answer)
            self._transport.close()

    def _tell(self, message: bytes | None) -> None:
        on_message, self._on_message = self._on_message, None
        if on_message is not None:
            on_message(message)

    def _write(self, message: bytes, packet: bytes) -> None:
        assert self._transport is not None, "written before the connection"
        self._owner.wrapped(len(message) - len(packet))
        self._transport.write(message)
