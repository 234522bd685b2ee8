"""`RpcServer`: methods, a listening socket, and an end that comes within its grace.

Stopping is bounded: nothing new is accepted, peers are told (GOAWAY), running calls get until the grace period is
over, then their handlers are cancelled, and one that does not end even so is named in the log and left.

Tests, in both worlds: tests/rpcnet/test_server.py.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable, Mapping
from errno import EADDRINUSE
from functools import partial
from random import Random
from types import TracebackType
from typing import Any, Final, Self, TypeVar, overload

from rpcnet import address as addresses
from rpcnet import observe
from rpcnet.config import RpcConfig
from rpcnet.errors import Status
from rpcnet.flow.deadline import seconds
from rpcnet.handler import describe
from rpcnet.interceptors import Interceptor, checked_interceptors
from rpcnet.listener import start_listening, stop_listening
from rpcnet.server.builtin import Builtins
from rpcnet.server.connection import ServerConnection
from rpcnet.server.door import Doors
from rpcnet.server.handlers import Handlers, Limit
from rpcnet.server.unix_path import UnixPath
from rpcnet.service import (
    LEFT_OUT,
    RESERVED,
    Method,
    bytes_method,
    method_names,
    service_name,
    shape_number,
    typed_method,
)
from rpcnet.stats import RpcStats
from rpcnet.stream import running_task
from rpcnet.tls import check_context
from rpcnet.wire.frame import UNARY

__all__ = ["RpcServer"]

_log = logging.getLogger("rpcnet")
Handler = TypeVar("Handler", bound=Callable[..., Any])

DEFAULT_GRACE: Final = 5.0
CANCEL_SECONDS: Final = 2.0
"""How long cancelled handlers may take for their `finally` blocks when a server stops."""


class RpcServer:
    """Serves methods at one address: `HOST:PORT` (0 picks a port), `[IPv6]:PORT` or `unix:PATH`.

    `tls` is a context of `rpcnet.tls.server_context`, or one of your own; it is not changed. A Unix path that somebody
    serves is refused, what a dead server left there is taken over, and the file is removed when this server stops.
    """

    def __init__(
        self,
        address: str,
        *,
        tls: ssl.SSLContext | None = None,
        config: RpcConfig | None = None,
        random: Random | None = None,
        wall_clock: Callable[[], float] | None = None,
        interceptors: Iterable[Interceptor] = (),
    ) -> None:
        check_context(tls, "server")
        self.config = config or RpcConfig()
        self._tls = tls
        self._bind = addresses.parse(address)
        limits = self.config.handshake_timeout, self.config.max_connections
        self._doors = Doors(tls, *limits) if tls is not None else None
        self._unix_path = UnixPath(self._bind.path) if self._bind.path else None
        self._handlers = Handlers(self.config, random or Random(), wall_clock, checked_interceptors(interceptors))
        self._builtins = Builtins(self._handlers.methods, self.config.reflection, self._bind.is_local)
        self._handlers.builtins = self._builtins.method
        self._connections: dict[ServerConnection, None] = {}
        self._listener: asyncio.Server | None = None
        self._address = address
        self._observer: observe.Observer | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._closed: asyncio.Future[None] | None = None

    # Methods. Each of these registers all of what it is given or nothing, and only what can work: TypeError for a
    # handler or a type, ValueError for a name, a shape, or a name that is taken. `max_running` is how many handlers of
    # the method may run at a time, over all connections; a call beyond it is refused, RESOURCE_EXHAUSTED.

    def register(self, method: str, handler: Callable[[bytes], Any], *, max_running: int | None = None) -> None:
        """Register a unary method: `async def handler(payload: bytes) -> bytes`."""
        self._add([bytes_method(method, handler, UNARY)], max_running)

    def register_streaming(
        self,
        method: str,
        handler: Callable[..., Any],
        *,
        shape: str = "bidirectional",
        max_running: int | None = None,
    ) -> None:
        """Register a streaming method of bytes. `shape` is bidirectional, server_streaming or client_streaming.

        A handler whose caller streams is given an AsyncIterator; one that streams itself is an async generator, or is
        annotated to return an AsyncIterator.
        """
        self._add([bytes_method(method, handler, shape_number(shape))], max_running)

    def register_typed(
        self,
        method: str,
        handler: Callable[..., Any],
        *,
        request: Any = LEFT_OUT,
        response: Any = LEFT_OUT,
        shape: str | None = None,
        max_running: int | None = None,
    ) -> None:
        """Register a method of any shape whose types and shape are those of its annotations, or are given.

        `request` and `response` are types, None being that of None; AsyncIterator makes a stream here as well.
        """
        self._add([typed_method(method, handler, request, response, shape, self.config.max_depth)], max_running)

    @overload
    def method(self, name: Handler) -> Handler: ...
    @overload
    def method(self, name: str | None = None, *, max_running: int | None = None) -> Callable[[Handler], Handler]: ...
    def method(self, name: Any = None, *, max_running: int | None = None) -> Any:
        """A decorator: `register_typed` under this name, or under the function's own (`@server.method`)."""
        if callable(name) or isinstance(name, classmethod):
            return self._named(None, max_running, name)
        return partial(self._named, name, max_running)

    def _named(self, name: str | None, max_running: int | None, handler: Any) -> Any:
        if name is None:
            name = getattr(handler, "__name__", None)
            if name is None:
                raise TypeError(f"{describe(handler)} has no name of its own: give one, as in @server.method('name')")
        self.register_typed(name, handler, max_running=max_running)
        return handler

    def register_service(self, instance: object, *, max_running: Mapping[str, int] | None = None) -> None:
        """Register every public async method of a @service class, as `ClassName.method`.

        `max_running`: by name of a method, without the class's; ValueError where there is no such method.
        """
        if isinstance(instance, type):
            raise TypeError(f"a service is registered as an object: {instance.__name__}(), not {instance.__name__}")
        cls = type(instance)
        prefix = service_name(cls)
        depth = self.config.max_depth
        self._add(
            [
                typed_method(f"{prefix}.{name}", getattr(instance, name), LEFT_OUT, LEFT_OUT, None, depth)
                for name in method_names(cls)
            ],
            _by_full_name(prefix, max_running, method_names(cls)),
        )
        self._builtins.health.add(prefix)

    def _add(self, methods: list[Method], max_running: "int | dict[str, int] | None") -> None:
        for method in methods:
            if method.name.startswith(RESERVED):
                raise ValueError(f"names that begin with {RESERVED!r} are built in; {method.name!r} needs another")
            if method.name in self._handlers.methods:
                raise ValueError(f"method {method.name!r} is registered already")
        most = max_running if isinstance(max_running, dict) else {method.name: max_running for method in methods}
        limits = {name: Limit(_checked(name, number)) for name, number in most.items() if number is not None}
        for method in methods:
            self._handlers.methods[method.name] = method
        self._handlers.limits.update(limits)

    @property
    def is_private(self) -> bool:
        """Whether only this machine reaches it, or whoever shows a certificate that its TLS demands."""
        return self._bind.is_local or (self._tls is not None and self._tls.verify_mode is ssl.CERT_REQUIRED)

    # Health.

    def set_health(self, service: str = "", *, serving: bool) -> None:
        """Say whether a service takes calls, or with an empty name the whole server; `rpcnet.health/check` tells it.

        A service is the name of a @service class, or any that callers know; all are serving until told otherwise, and
        none once the server stops. Calls are taken whatever it says. TypeError for a name that is no text.
        """
        if not isinstance(service, str):
            raise TypeError(f"a service's name must be text, not {type(service).__qualname__}")
        self._builtins.health.set(service, bool(serving))

    # Life.

    async def start(self) -> None:
        """Listen. AddressInUse where somebody listens there already, another OSError where the address cannot be bound
        for another reason. A server that was stopped may be started again, with port 0 on another port. One that is
        stopped while it starts listens nowhere."""
        self.begin()
        closed = self._closed
        assert closed is not None
        try:
            listener = await self._listen()
        except BaseException as error:
            if self._stopping is None and closed is self._closed:
                self._closed = None
                closed.set_result(None)
            if (
                isinstance(error, OSError)
                and error.errno == EADDRINUSE
                and not isinstance(error, addresses.AddressInUse)
            ):
                text = f"{self._bind} is in use; stop what listens there, or choose another address"
                raise addresses.AddressInUse(EADDRINUSE, text) from error
            raise
        if self._stopping is not None or closed is not self._closed:
            # stop() came meanwhile, and found nothing to close.
            if self._unix_path is not None:
                self._unix_path.remove()
            listener.close()
            return
        self._listener = listener
        if self._unix_path is None:
            port = listener.sockets[0].getsockname()[1]
            self._address = str(addresses.Address(self._bind.host, port, ""))

    def begin(self) -> None:
        """Serve connections that `accept` is asked for; `start` does this, and listens."""
        if self._closed is not None and not self._closed.done() and not self._closed.get_loop().is_closed():
            raise RuntimeError(f"server at {self._address} was started already")
        self._observer = observe.current()
        self._handlers = self._handlers.anew()
        self._builtins.health.begin()
        self._connections.clear()
        self._listener = None
        self._stopping = None
        self._closed = asyncio.get_running_loop().create_future()

    async def _listen(self) -> asyncio.Server:
        self._bind.check_secure(self._doors is not None, self.config.insecure)
        loop = asyncio.get_running_loop()
        accept: Callable[[], asyncio.BaseProtocol] = self.accept
        options: dict[str, Any] = {}
        if self._doors is not None and isinstance(loop, asyncio.BaseEventLoop):
            accept = partial(self._doors.door, self.accept, self._handshake_refused)
        elif self._doors is not None:
            # uvloop 0.23 reads on in spite of pause_reading() in connection_made, so that a door would lose the first
            # bytes of the handshake: there the loop makes it, and no line of the log tells of one that fails.
            options = {"ssl": self._doors.context, "ssl_handshake_timeout": self._doors.seconds}
        if self._unix_path is not None:
            return await self._unix_path.listen(accept, **options)
        listener = await loop.create_server(accept, self._bind.host, self._bind.port, start_serving=False, **options)
        await start_listening(listener)
        return listener

    def _handshake_refused(self, peer: str) -> None:
        limit = f"max_connections ({self.config.max_connections}), as so many TLS handshakes are under way"
        self._handlers.refusals.connection(limit, peer, asyncio.get_running_loop().time())

    def accept(self) -> ServerConnection:
        """The protocol of one connection, for a transport that brings it."""
        return ServerConnection(self.config, self._observer, self._handlers, self._connections)

    @property
    def is_running(self) -> bool:
        return self._closed is not None and not self._closed.done() and self._stopping is None

    @property
    def address(self) -> str:
        """Where it listens; with port 0 the port that was picked, once started."""
        return self._address

    @property
    def stats(self) -> RpcStats:
        handlers = self._handlers
        return RpcStats(
            running_handlers=len(handlers.calls),
            open_streams=sum(len(connection.calls) for connection in self._connections),
            queued_bytes=sum(connection.queued_bytes for connection in self._connections),
            connections=len(self._connections),
            refused_calls=handlers.refusals.calls,
            refused_connections=handlers.refusals.connections,
        )

    async def stop(self, grace: float | None = DEFAULT_GRACE) -> None:
        """Stop: refuse what is new, give running calls `grace` seconds, cancel the rest, close.

        Takes at most the grace, and a few seconds; None and infinity mean until the last call has ended. Called again,
        it waits for the stop that is under way. RuntimeError in the task of a handler of this server, which would wait
        for itself.
        """
        grace = seconds("grace", grace)
        if self._closed is None or self._closed.done():
            return
        self._check_not_a_handler()
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop(grace), name="rpcnet server stop")
        await asyncio.shield(self._stopping)

    def _check_not_a_handler(self) -> None:
        task = running_task()
        for call in self._handlers.calls:
            if call.task is task:
                raise RuntimeError(
                    f"the handler of {call.method!r} would wait for its own end; stop the server from a task of its"
                    " own, as with task = asyncio.create_task(server.stop())"
                )

    async def _stop(self, grace: float | None) -> None:
        assert self._closed is not None
        try:
            await self._stop_in_order(grace)
        except GeneratorExit:
            raise  # Python closes it, as its loop has ended: nothing can be closed any more
        except BaseException:
            # An error of what lies below, or its loop ends: no connection stays open, and whoever waits is woken.
            for connection in list(self._connections):
                connection.abort("the server stopped")
            self._closed.set_result(None)
            raise
        self._closed.set_result(None)

    async def _stop_in_order(self, grace: float | None) -> None:
        handlers = self._handlers
        handlers.draining = True
        self._builtins.health.stop()
        if self._unix_path is not None:
            self._unix_path.remove()
        if self._listener is not None:
            await stop_listening(self._listener)
        if self._doors is not None:
            await self._doors.close()
        for connection in list(self._connections):
            connection.say_goaway(Status.OK, "the server is stopping")
        await self._wait_until_idle(grace)
        for call in list(handlers.calls):
            call.stop()
        await self._wait_until_idle(CANCEL_SECONDS)
        for call in handlers.calls:
            _log.warning("handler of %r goes on although it was cancelled; the server stops without it", call.method)
        for connection in list(self._connections):
            connection.part("the server stopped")
        open_connections = [connection.lost for connection in (*self._connections, *handlers.turned_away)]
        if open_connections:
            await asyncio.wait(open_connections)
        self.stats.record_closed(self._observer, "server")

    async def _wait_until_idle(self, most: float | None) -> None:
        handlers = self._handlers
        if not handlers.calls:
            return
        idle = handlers.idle = asyncio.get_running_loop().create_future()
        try:
            await asyncio.wait([idle], timeout=most)
        finally:
            handlers.idle = None

    async def wait_closed(self) -> None:
        """Wait until it has stopped."""
        if self._closed is not None and not self._closed.done():
            await asyncio.shield(self._closed)

    async def serve_forever(self) -> None:
        """Start, unless started, and serve until stopped; cancelling stops it with the default grace.

        Returns at once where it was stopped before: only `start` begins anew, so that a stop is never overtaken.
        """
        if self._closed is None:
            await self.start()
        try:
            await self.wait_closed()
        except GeneratorExit:
            self._abandon()
            raise
        except BaseException:
            await self.stop()
            raise

    def _abandon(self) -> None:
        """The coroutine that served is closed, mostly after its loop has ended: nothing can be awaited in it."""
        if self._stopping is not None:
            return
        if asyncio._get_running_loop() is not None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop(0.0), name="rpcnet server stop")
            return
        if self._unix_path is not None:
            self._unix_path.remove()
        if self._listener is not None:
            self._listener.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is GeneratorExit and asyncio._get_running_loop() is None:
            self._abandon()
            return
        orderly = kind is None or issubclass(kind, asyncio.CancelledError)
        await self.stop(DEFAULT_GRACE if orderly else 0.0)


def _by_full_name(prefix: str, max_running: Mapping[str, int] | None, names: list[str]) -> dict[str, int]:
    """The limits of a service's methods under the names that they are registered by."""
    if max_running is None:
        return {}
    if not isinstance(max_running, Mapping):
        raise TypeError(f"max_running of a service maps names of its methods to numbers; {max_running!r} does not")
    for name in max_running:
        if name not in names:
            raise ValueError(f"max_running: {prefix} has no method {name!r}; it has {', '.join(names)}")
    return {f"{prefix}.{name}": number for name, number in max_running.items()}


def _checked(method: str, max_running: int) -> int:
    """A limit that a user gave."""
    if not isinstance(max_running, int) or isinstance(max_running, bool):
        raise TypeError(f"max_running of {method!r} must be int or None, not {max_running!r}")
    if max_running < 1:
        raise ValueError(f"max_running of {method!r} must be at least 1, not {max_running}")
    return max_running
