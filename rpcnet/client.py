"""`RpcClient`: one server, one connection that is made again when it is lost, and calls in all four shapes.

What a user holds of a stream is a `ClientStream`. It refers to its call, never the other way round, so that letting
go of it — by `break` out of an unnamed loop, or the last reference — ends the call at once.
"""

import asyncio
import ssl
from collections.abc import AsyncIterable, Callable, Generator, Iterable
from enum import Enum
from random import Random
from types import TracebackType
from typing import Any, Final, Generic, Literal, Self, TypeAlias, TypeVar, cast, overload

from rpcnet import address as addresses
from rpcnet import observe
from rpcnet.bidirectional import BidirectionalStream, ItemStream
from rpcnet.call import inherited_deadline
from rpcnet.caller import Call, CallerConnection
from rpcnet.calls.deadline import earliest
from rpcnet.codec import PayloadError, decoder, encode
from rpcnet.config import RpcConfig
from rpcnet.connection import ALPN
from rpcnet.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    Metadata,
    ResourceExhausted,
    RpcError,
    Status,
    StreamApplicationError,
    StreamTransportError,
    Unavailable,
)
from rpcnet.handler import checked_metadata
from rpcnet.service import Signature, method_names, read_signature, service_name
from rpcnet.wire.frame import MAX_METHOD_BYTES, encode_metadata

__all__ = ["DEFAULT", "ClientStats", "ClientStream", "Default", "RpcClient"]

T = TypeVar("T")


class Default(Enum):
    """Stands for the config's default where None means no limit."""

    DEFAULT = "default"


DEFAULT: Final = Default.DEFAULT
Seconds: TypeAlias = float | Literal[Default.DEFAULT] | None
Items: TypeAlias = AsyncIterable[Any] | Iterable[Any] | BidirectionalStream[Any]

UNARY, CLIENT_STREAMING, SERVER_STREAMING, BIDIRECTIONAL = range(4)


class ClientStats:
    """Counts of this moment; all but connections are 0 when every call was let go."""

    __slots__ = ("connections", "open_streams", "queued_bytes", "running_handlers")

    def __init__(self, running_handlers: int, open_streams: int, queued_bytes: int, connections: int) -> None:
        self.running_handlers = running_handlers
        """Handlers that may still run for this client, as far as it knows."""
        self.open_streams = open_streams
        self.queued_bytes = queued_bytes
        self.connections = connections


class RpcClient:
    """Calls one server. Made by `connect`; `async with` or `await` it."""

    def __init__(
        self,
        address: str,
        *,
        tls: ssl.SSLContext | None = None,
        config: RpcConfig | None = None,
        random: Random | None = None,
        wall_clock: Callable[[], float] | None = None,
    ) -> None:
        self.config = config or RpcConfig()
        self.address = address
        self.connected_at: float | None = None
        """Wall-clock time of the last connection; None where no `wall_clock` was given."""
        self._to = addresses.parse(address)
        self._to.check_secure(tls is not None, self.config.insecure)
        self._tls = tls
        self._random = random or Random()
        self._wall_clock = wall_clock
        self._loop: asyncio.AbstractEventLoop
        self._observer: observe.Observer | None = None
        self._connection: CallerConnection | None = None
        self._retired: dict[CallerConnection, None] = {}
        self._connecting: asyncio.Task[CallerConnection] | None = None
        self._reason = ""
        self._failures = 0
        self._not_before = 0.0
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        tls: ssl.SSLContext | None = None,
        config: RpcConfig | None = None,
        random: Random | None = None,
        wall_clock: Callable[[], float] | None = None,
    ) -> "Connecting":
        """`async with RpcClient.connect(address) as client`, or `client = await RpcClient.connect(address)`.

        Unavailable where the server cannot be reached within `connect_timeout`.
        """
        return Connecting(cls(address, tls=tls, config=config, random=random, wall_clock=wall_clock))

    async def open(self) -> Self:
        """Connect; what `connect` does."""
        self._loop = asyncio.get_running_loop()
        self._observer = observe.current()
        try:
            await self._connected(None)
        except BaseException:
            await self.close()
            raise
        return self

    # Calls.

    @overload
    async def call(
        self,
        method: str,
        payload: Any = b"",
        *,
        response: None = None,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
    ) -> bytes: ...
    @overload
    async def call(
        self,
        method: str,
        payload: Any = b"",
        *,
        response: type[T],
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
    ) -> T: ...
    async def call(
        self,
        method: str,
        payload: Any = b"",
        *,
        response: type[Any] | None = None,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
    ) -> Any:
        """Call a unary method. `payload` is bytes, or a value to encode; `response` the type to decode the answer to.

        `timeout`: seconds for the whole call; left out = config.default_timeout, None = no limit. Raises an RpcError
        subclass, one a status. Cancelling it cancels the handler.
        """
        body = payload if type(payload) is bytes else self._encode(payload)
        deadline = self._deadline(self.config.default_timeout if timeout is DEFAULT else timeout)
        connection = self._connection
        if connection is None or not connection.is_usable or connection.is_full:
            connection = await self._place(deadline)
        call = Call(self._loop, method, UNARY, deadline, None, True)
        reply = call.reply
        assert reply is not None
        try:
            started = connection.start(call, body, self._metadata(method, metadata, connection), True)
            if not started:
                await self._send_last(call, body)
            answer = await reply
        except asyncio.CancelledError:
            call.abort("it was cancelled")
            raise
        except RpcError:
            if not call.finished:
                call.abort("it could not be sent")
            raise
        finally:
            del reply, call  # no cycle through the traceback of an error
        return answer if response is None else self._decode(response, answer, method)

    @staticmethod
    async def _send_last(call: Call, payload: bytes) -> None:
        """The request in parts. If the call ends meanwhile its reply says why."""
        try:
            await call.send(payload, last=True)
        except RpcError:
            if not call.finished:
                raise

    @overload
    def call_server_streaming(
        self,
        method: str,
        payload: Any = b"",
        *,
        response: None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
    ) -> "ClientStream[bytes]": ...
    @overload
    def call_server_streaming(
        self,
        method: str,
        payload: Any = b"",
        *,
        response: type[T],
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
    ) -> "ClientStream[T]": ...
    def call_server_streaming(
        self,
        method: str,
        payload: Any = b"",
        *,
        response: type[Any] | None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
    ) -> "ClientStream[Any]":
        """Call a method that answers with a stream; iterate over what is returned, or use it in `async with`.

        `idle_timeout`: seconds of silence while an item is awaited; left out = config.default_timeout. `timeout` bounds
        the whole call. Raises StreamError while it is read.
        """
        call = self._stream_call(method, SERVER_STREAMING, timeout, idle_timeout)
        self._launch(call, self._encode(payload), metadata)
        return ClientStream(call, response, self.config.max_depth)

    @overload
    async def call_client_streaming(
        self,
        method: str,
        items: Items,
        *,
        response: None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
    ) -> bytes: ...
    @overload
    async def call_client_streaming(
        self,
        method: str,
        items: Items,
        *,
        response: type[T],
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
    ) -> T: ...
    async def call_client_streaming(
        self,
        method: str,
        items: Items,
        *,
        response: type[Any] | None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
    ) -> Any:
        """Send what an iterable gives; return the one answer. Raises StreamError; an error of the iterable as it is."""
        call = self._stream_call(method, CLIENT_STREAMING, timeout, idle_timeout)
        reply = call.reply
        assert reply is not None
        self._launch(call, None, metadata)
        self._feed(call, items)
        call.begin_waiting()
        try:
            answer = await reply
        except asyncio.CancelledError:
            call.abort("it was cancelled")
            raise
        finally:
            del reply, call
        return answer if response is None else self._decode(response, answer, method)

    @overload
    def call_streaming(
        self,
        method: str,
        items: Items | None = None,
        *,
        response: None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
    ) -> "ClientStream[bytes]": ...
    @overload
    def call_streaming(
        self,
        method: str,
        items: Items | None = None,
        *,
        response: type[T],
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
    ) -> "ClientStream[T]": ...
    def call_streaming(
        self,
        method: str,
        items: Items | None = None,
        *,
        response: type[Any] | None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
    ) -> "ClientStream[Any]":
        """Call a bidirectional method. Without `items` you write with `send` and `end`; else they are sent for you."""
        call = self._stream_call(method, BIDIRECTIONAL, timeout, idle_timeout)
        self._launch(call, None, metadata)
        if items is not None:
            self._feed(call, items)
        return ClientStream(call, response, self.config.max_depth, writes=items is None)

    def call_streaming_with_timeout(
        self,
        method: str,
        items: Items | None,
        timeout: float,
        *,
        response: type[Any] | None = None,
        metadata: Metadata | None = None,
    ) -> "ClientStream[Any]":
        """`call_streaming` with `idle_timeout=timeout`: how long the peer may be silent, not how long it takes."""
        return self.call_streaming(method, items, response=response, idle_timeout=timeout, metadata=metadata)

    def service(self, cls: type[T]) -> T:
        """A typed proxy of a @service class: `await client.service(Calculator).add(request)`."""
        return cast("T", ServiceProxy(self, cls))

    # Opening calls.

    def _stream_call(self, method: str, shape: int, timeout: Seconds, idle_timeout: Seconds) -> Call:
        self._check_open()
        idle = self.config.default_timeout if idle_timeout is DEFAULT else idle_timeout
        if idle is not None and not idle > 0:
            raise ValueError(f"idle_timeout must be above 0, not {idle!r}")
        deadline = self._deadline(None if timeout is DEFAULT else timeout)
        return Call(self._loop, method, shape, deadline, idle, shape == CLIENT_STREAMING)

    def _launch(self, call: Call, payload: bytes | None, metadata: Metadata | None) -> None:
        """Put a streaming call on the wire: now if that can be, else as soon as there is a connection with a place."""
        connection = self._connection
        if connection is not None and connection.is_usable and not connection.is_full:
            self._begin(call, connection, payload, metadata)
        else:
            call.opener = self._spawn(self._launch_later(call, payload, metadata), call.method)

    def _begin(
        self, call: Call, connection: CallerConnection, payload: bytes | None, metadata: Metadata | None
    ) -> None:
        last = payload is not None
        if not connection.start(call, payload, self._metadata(call.method, metadata, connection), last):
            assert payload is not None
            call.pump = self._spawn(self._pump_request(call, payload), call.method)

    async def _launch_later(self, call: Call, payload: bytes | None, metadata: Metadata | None) -> None:
        try:
            connection = await self._place(None)
            call.opener = None
            if not call.finished:
                self._begin(call, connection, payload, metadata)
        except Unavailable as error:
            call.opener = None
            call.fail(
                StreamTransportError(f"call {call.method!r} could not start: {error}", cause=error), tell_peer=False
            )
        except RpcError as error:
            call.opener = None
            call.fail(error, tell_peer=False)

    @staticmethod
    async def _pump_request(call: Call, payload: bytes) -> None:
        """A request that did not fit into OPEN."""
        try:
            await call.send(payload, last=True)
        except RpcError as error:
            call.fail(error)
        finally:
            call.pump = None

    def _feed(self, call: Call, items: Items) -> None:
        if isinstance(items, BidirectionalStream):
            items = items.stream
        if isinstance(items, ItemStream):
            items.bind(call.abort)
            call.when_finished = items.over
        if not isinstance(items, AsyncIterable | Iterable):
            call.abort("its items cannot be iterated over")
            raise TypeError(f"items must be an iterable or a BidirectionalStream, not {type(items).__name__}")
        if not call.finished:
            call.pump = self._spawn(call.pump_items(items, self._encode), call.method)

    def _spawn(self, coroutine: Any, name: str) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = self._loop.create_task(coroutine, name=f"rpcnet call {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _deadline(self, timeout: float | None) -> float | None:
        inherited = inherited_deadline(self._loop)
        if timeout is None:
            return inherited
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0, not {timeout!r}")
        return earliest(self._loop.time() + timeout, inherited)

    def _metadata(self, method: str, metadata: Metadata | None, connection: CallerConnection) -> bytes:
        if len(method) > MAX_METHOD_BYTES // 4 and len(method.encode()) > MAX_METHOD_BYTES:
            raise InvalidArgument(f"method name of {len(method)} characters is longer than {MAX_METHOD_BYTES} bytes")
        if not metadata:
            return b""
        assert connection.peer_hello is not None
        limit = min(connection.peer_hello.max_metadata_bytes, self.config.max_metadata_bytes)
        encoded = encode_metadata(checked_metadata(metadata, limit))
        if len(encoded) > limit:
            raise ResourceExhausted(f"metadata of {len(encoded)} bytes exceeds max_metadata_bytes ({limit})")
        return encoded

    @staticmethod
    def _encode(value: Any) -> bytes:
        try:
            return encode(value)
        except PayloadError as error:
            raise InvalidArgument(str(error)) from None

    def _decode(self, kind: Any, payload: bytes, method: str) -> Any:
        try:
            return decoder(kind, self.config.max_depth)(payload)
        except PayloadError as error:
            raise Internal(f"answer of {method!r} does not fit its type: {error}") from None

    # The connection.

    async def _place(self, deadline: float | None) -> CallerConnection:
        """A connection that may take one more call."""
        while True:
            self._check_open()
            connection = self._connection
            if connection is None or not connection.is_usable:
                connection = await self._connected(deadline)
            elif not connection.is_full:
                return connection
            else:
                await self._until(deadline, connection.place())
                if connection.is_usable:
                    return connection

    async def _connected(self, deadline: float | None) -> CallerConnection:
        """Connect, together with whoever else waits for it."""
        connection = self._connection
        if connection is not None and connection.is_usable:
            return connection
        if self._connecting is None:
            self._connecting = self._spawn(self._reconnect(), "connect")
            self._connecting.add_done_callback(self._connect_done)
        await self._until(deadline, _finished(self._connecting))
        connection = self._connection
        if connection is None or not connection.is_usable:
            raise Unavailable(f"{self.address} cannot be reached: {self._reason}")
        return connection

    def _connect_done(self, task: asyncio.Task[CallerConnection]) -> None:
        self._connecting = None
        if task.cancelled():
            self._reason = "the client was closed"
        elif task.exception() is not None:
            self._reason = str(task.exception()) or type(task.exception()).__name__

    async def _until(self, deadline: float | None, waiting: Any) -> None:
        """Wait for something of this process, with a limit; the deadline of a reply is another matter (`Call`)."""
        if deadline is None:
            await waiting
            return
        try:
            async with asyncio.timeout_at(deadline):
                await waiting
        except TimeoutError:
            raise DeadlineExceeded(f"no connection to {self.address} with a free place before the deadline") from None

    async def _reconnect(self) -> CallerConnection:
        now = self._loop.time()
        if now < self._not_before:
            await asyncio.sleep(self._not_before - now)
        try:
            connection = await self._dial()
        except BaseException:
            pause = min(self.config.reconnect_backoff * 2**self._failures, self.config.max_reconnect_backoff)
            self._failures = min(self._failures + 1, 30)
            self._not_before = self._loop.time() + pause * self._random.uniform(0.5, 1.0)
            raise
        self._failures = 0
        self._reason = "the server closed the connection at once"
        self._connection = connection
        if self._wall_clock is not None:
            self.connected_at = self._wall_clock()
        return connection

    async def _dial(self) -> CallerConnection:
        """Connect and greet, within connect_timeout."""
        name = f"{self._random.getrandbits(48):012x}"
        made: list[CallerConnection] = []

        def protocol() -> CallerConnection:
            made.append(CallerConnection(self.config, self._observer, name))
            return made[-1]

        seconds = self.config.connect_timeout
        until = self._loop.time() + seconds
        try:
            async with asyncio.timeout_at(until):
                await self._open_transport(protocol)
            await self._greeted(made[-1], until)
        except TimeoutError:
            raise Unavailable(f"no connection within connect_timeout ({seconds:g} s)") from None
        except OSError as error:
            raise Unavailable(f"{error}") from None
        finally:
            for connection in made:
                if not connection.is_usable:
                    connection.close("it was given up before HELLO")
        connection = made[-1]
        self._retired[connection] = None
        connection.lost.add_done_callback(lambda _: self._retired.pop(connection, None))
        return connection

    async def _greeted(self, connection: CallerConnection, until: float) -> None:
        """Wait for the server's HELLO; one that has arrived when the timer comes late still counts."""

        def give_up() -> None:
            if not connection.greeted.done():
                connection.close(f"no HELLO within connect_timeout ({self.config.connect_timeout:g} s)")

        timer = self._loop.call_at(until, connection.judge, give_up)
        try:
            await asyncio.shield(connection.greeted)
        finally:
            timer.cancel()

    async def _open_transport(self, protocol: Callable[[], CallerConnection]) -> None:
        options: dict[str, Any] = {"ssl": self._tls}
        if self._tls is not None:
            self._tls.set_alpn_protocols([ALPN])
        if self._to.path:
            if self._tls is not None:
                options["server_hostname"] = "localhost"
            await self._loop.create_unix_connection(protocol, self._to.path, **options)
        else:
            await self._loop.create_connection(protocol, self._to.host, self._to.port, **options)

    def _check_open(self) -> None:
        if self._closed:
            raise FailedPrecondition(f"this client of {self.address} was closed")

    @property
    def stats(self) -> ClientStats:
        connections = list(self._retired)
        return ClientStats(
            running_handlers=sum(len(connection.calls) for connection in connections),
            open_streams=sum(len(connection.calls) - connection.let_go for connection in connections),
            queued_bytes=sum(connection.queued_bytes for connection in connections),
            connections=len(connections),
        )

    async def close(self) -> None:
        """Let go of every call and close. Nothing of this client runs afterwards."""
        if self._closed:
            return
        self._closed = True
        connections = list(self._retired)
        for connection in connections:
            for call in list(connection.calls.values()):
                call.abort("the client was closed")
            connection.close("the client was closed")
        for task in list(self._tasks):
            task.cancel()
        pending = [connection.lost for connection in connections] + list(self._tasks)
        if pending:
            await asyncio.wait(pending)
        stats = self.stats
        if self._observer is not None:
            self._observer.record(
                "rpc_closed",
                side="client",
                handlers=stats.running_handlers,
                streams=stats.open_streams,
                queued_bytes=stats.queued_bytes,
                connections=stats.connections,
            )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Connecting:
    """What `RpcClient.connect` returns."""

    __slots__ = ("_client",)

    def __init__(self, client: RpcClient) -> None:
        self._client = client

    def __await__(self) -> Generator[Any, None, RpcClient]:
        return self._client.open().__await__()

    async def __aenter__(self) -> RpcClient:
        return await self._client.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()


class ClientStream(Generic[T]):
    """A streaming call as its caller holds it: an async iterator, and a writer where no items were given.

    Leaving its block, `abort()`, cancelling who reads or writes, and losing the last reference end the call and cancel
    its handler. An error ends it: it is raised once, afterwards there is only StopAsyncIteration.
    """

    __slots__ = ("__weakref__", "_call", "_decode", "_writes")

    def __init__(self, call: Call, response: Any, max_depth: int, writes: bool = False) -> None:
        self._call = call
        self._decode = None if response is None else decoder(response, max_depth)
        self._writes = writes

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """The next item; StreamError, once, where the stream ended otherwise than well."""
        call = self._call
        try:
            payload = await call.receive()
            return payload if self._decode is None else self._decode(payload)  # type: ignore[return-value]
        except asyncio.CancelledError:
            call.abort("its reader was cancelled")
            raise
        except PayloadError as error:
            call.abort("an item does not fit its type")
            call.failure = None
            text = f"item of {call.method!r} does not fit its type: {error}"
            raise StreamApplicationError(text, code=Status.INTERNAL) from None
        finally:
            del call

    async def receive(self) -> T:
        """The next item, as `anext(stream)` gives it; StopAsyncIteration at the end."""
        return await self.__anext__()

    async def send(self, item: Any) -> None:
        """Send an item, as soon as credit allows. StreamError once the call is over."""
        if not self._writes:
            raise FailedPrecondition(f"call {self._call.method!r} sends the items it was given; it takes no others")
        payload = item if type(item) is bytes else RpcClient._encode(item)
        call = self._call
        try:
            await call.send(payload)
        except asyncio.CancelledError:
            call.abort("its writer was cancelled")
            raise
        finally:
            del call

    async def end(self) -> None:
        """The half-close: no more items from here; the peer's still come."""
        if not self._writes:
            raise FailedPrecondition(f"call {self._call.method!r} ends with the items it was given")
        await self._call.end_output()

    def abort(self) -> None:
        """Let go of the call and cancel its handler. Safe at any time, any number of times."""
        self._call.abort()

    @property
    def metadata(self) -> Metadata:
        """What the handler sent with `send_metadata`; empty until it has come."""
        return self._call.initial_metadata

    @property
    def trailers(self) -> Metadata:
        """What came with the end of the call."""
        return self._call.trailers

    @property
    def peer(self) -> str:
        """The server's address; empty until the call is on the wire."""
        return self._call.peer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.abort("its block was left")

    def __del__(self) -> None:
        call: Call | None = getattr(self, "_call", None)
        if call is None or call.finished:
            return
        loop = call.loop
        if asyncio._get_running_loop() is loop:
            call.abort("its last reference was lost")
        elif not loop.is_closed():
            loop.call_soon_threadsafe(call.abort, "its last reference was lost")


class ServiceProxy:
    """Methods of a @service class, as calls."""

    def __init__(self, client: RpcClient, cls: type) -> None:
        prefix = service_name(cls)
        for name in method_names(cls):
            signature = read_signature(_unbound(cls, name), f"{prefix}.{name}")
            setattr(self, name, _caller(client, f"{prefix}.{name}", signature))


def _unbound(cls: type, name: str) -> Callable[..., Any]:
    """The function behind a method, bound to nothing: only its annotations are read."""
    function: Callable[..., Any] = getattr(cls, name).__get__(object())
    return function


def _caller(client: RpcClient, name: str, signature: Signature) -> Callable[..., Any]:
    response = signature.response
    calls: dict[int, Callable[..., Any]] = {
        UNARY: client.call,
        CLIENT_STREAMING: client.call_client_streaming,
        SERVER_STREAMING: client.call_server_streaming,
        BIDIRECTIONAL: client.call_streaming,
    }
    call = calls[signature.shape]
    kind = type(None) if response is None else response

    def invoke(argument: Any, **options: Any) -> Any:
        return call(name, argument, response=kind, **options)

    return invoke


async def _finished(task: asyncio.Task[Any]) -> None:
    """Wait for a task that others wait for too, whatever becomes of it."""
    await asyncio.wait([task])
