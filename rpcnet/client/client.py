"""`RpcClient`: one server, one connection that is made again when it is lost, and calls in all four shapes.

Which connection a call goes to is client/reconnect.py's matter, what happens to it there client/call.py's.

Tests: tests/rpcnet/test_one_page.py, test_shapes.py and test_letting_go.py.
"""

import asyncio
import ssl
from collections.abc import AsyncIterable, Callable, Generator, Iterable
from enum import Enum
from random import Random
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar, cast, overload

from rpcnet import address as addresses
from rpcnet.client.bidirectional import BidirectionalStream, ItemStream
from rpcnet.client.call import ClientCall
from rpcnet.client.connection import ClientConnection
from rpcnet.client.proxy import ServiceProxy
from rpcnet.client.reconnect import Dialer, OpenTransport
from rpcnet.client.stream import ClientStream, encode_request
from rpcnet.codec import RAW, PayloadError, decoder
from rpcnet.config import RpcConfig
from rpcnet.context import inherited_deadline
from rpcnet.errors import (
    Internal,
    Metadata,
    RpcError,
    StreamTransportError,
    Unavailable,
)
from rpcnet.flow.deadline import earliest
from rpcnet.stats import RpcStats
from rpcnet.wire.frame import BIDIRECTIONAL, CLIENT_STREAMING, FLAG_END, SERVER_STREAMING, UNARY

__all__ = ["DEFAULT", "Default", "RpcClient"]

T = TypeVar("T")


class Default(Enum):
    """Stands for the config's default where None means no limit."""

    DEFAULT = "default"


DEFAULT: Final = Default.DEFAULT
Seconds: TypeAlias = float | Literal[Default.DEFAULT] | None
Payload: TypeAlias = tuple[bytes, int]
Items: TypeAlias = AsyncIterable[Any] | Iterable[Any] | BidirectionalStream[Any]


class RpcClient:
    """Calls one server. Made by `connect`: `async with` it or `await` it, in a running loop."""

    def __init__(
        self,
        address: str,
        *,
        tls: ssl.SSLContext | None = None,
        config: RpcConfig | None = None,
        random: Random | None = None,
        wall_clock: Callable[[], float] | None = None,
        open_transport: OpenTransport | None = None,
    ) -> None:
        """`open_transport` makes connections where they do not come from `address`; see `rpcnet.testing`."""
        self.config = config or RpcConfig()
        self.address = address
        to = addresses.parse(address)
        to.check_secure(tls is not None, self.config.insecure)
        self._loop = asyncio.get_running_loop()
        self._dialer = Dialer(to, tls, self.config, random or Random(), wall_clock, open_transport)
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
        return Connecting(lambda: cls(address, tls=tls, config=config, random=random, wall_clock=wall_clock))

    async def open(self) -> Self:
        """Connect; what `connect` does."""
        try:
            await self._dialer.connected(None)
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
        subclass, one a status. Cancelling it cancels the handler. A call that crossed the server's GOAWAY, so that no
        handler has seen it, is made again on a new connection.
        """
        body, layout = (payload, RAW) if type(payload) is bytes else encode_request(payload)
        deadline = self._deadline(self.config.default_timeout if timeout is DEFAULT else timeout)
        connection = self._dialer.connection
        if connection is None or not connection.is_usable or connection.is_full:
            connection = await self._dialer.place(deadline)
        call = ClientCall(self._loop, method, UNARY, deadline, None, True)
        reply = call.reply
        assert reply is not None
        try:
            started = connection.start(call, body, layout, metadata, True)
            if not started:
                await self._send_last(call, body, layout)
            answer = await reply
        except asyncio.CancelledError:
            call.abort("it was cancelled")
            raise
        except RpcError:
            if not call.finished:
                call.abort("it could not be sent")
            if not call.was_refused:
                raise
            answer = None
        finally:
            del reply, call  # no cycle through the traceback of an error
        if answer is None:
            left = None if deadline is None else max(deadline - self._loop.time(), 1e-9)
            return await self.call(method, payload, response=response, timeout=left, metadata=metadata)
        return answer[0] if response is None else self._decode(response, *answer, method)

    @staticmethod
    async def _send_last(call: ClientCall, payload: bytes, layout: int) -> None:
        """The request in parts. If the call ends meanwhile its reply says why."""
        try:
            await call.send(payload, layout | FLAG_END)
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
        request = encode_request(payload)
        call = self._stream_call(method, SERVER_STREAMING, timeout, idle_timeout)
        self._launch(call, request, metadata)
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
        return answer[0] if response is None else self._decode(response, *answer, method)

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

    def _stream_call(self, method: str, shape: int, timeout: Seconds, idle_timeout: Seconds) -> ClientCall:
        self._dialer.check_open()
        idle = self.config.default_timeout if idle_timeout is DEFAULT else idle_timeout
        if idle is not None and not idle > 0:
            raise ValueError(f"idle_timeout must be above 0, not {idle!r}")
        deadline = self._deadline(None if timeout is DEFAULT else timeout)
        return ClientCall(self._loop, method, shape, deadline, idle, shape == CLIENT_STREAMING)

    def _launch(self, call: ClientCall, payload: Payload | None, metadata: Metadata | None) -> None:
        """Put a streaming call on the wire: now if that can be, else as soon as there is a connection with a place."""
        connection = self._dialer.connection
        if connection is not None and connection.is_usable and not connection.is_full:
            self._begin(call, connection, payload, metadata)
        else:
            call.opener = self._spawn(self._launch_later(call, payload, metadata), call.method)

    def _begin(
        self,
        call: ClientCall,
        connection: ClientConnection,
        payload: tuple[bytes, int] | None,
        metadata: Metadata | None,
    ) -> None:
        try:
            body, layout = (None, RAW) if payload is None else payload
            started = connection.start(call, body, layout, metadata, last=body is not None)
        except RpcError as error:
            call.fail(error, tell_peer=False)
            return
        if not started:
            assert body is not None
            call.pump = self._spawn(self._pump_request(call, body, layout), call.method)

    async def _launch_later(self, call: ClientCall, payload: Payload | None, metadata: Metadata | None) -> None:
        try:
            connection = await self._dialer.place(None)
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
    async def _pump_request(call: ClientCall, payload: bytes, layout: int) -> None:
        """A request that did not fit into OPEN."""
        try:
            await call.send(payload, layout | FLAG_END)
        except RpcError as error:
            call.fail(error)
        finally:
            call.pump = None

    def _feed(self, call: ClientCall, items: Items) -> None:
        if isinstance(items, BidirectionalStream):
            items = items.stream
        try:
            if isinstance(items, ItemStream):
                items.bind(call.abort)
                call.when_finished = items.over
            elif not isinstance(items, AsyncIterable | Iterable):
                raise TypeError(f"items must be an iterable or a BidirectionalStream, not {type(items).__name__}")
        except (RuntimeError, TypeError):
            call.abort("its items cannot be taken")
            raise
        if call.finished:
            if call.when_finished is not None:
                call.when_finished()
        else:
            call.pump = self._spawn(call.pump_items(items, encode_request), call.method)

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

    def _decode(self, kind: Any, payload: bytes, layout: int, method: str) -> Any:
        try:
            return decoder(kind, self.config.max_depth)(payload, layout)
        except PayloadError as error:
            raise Internal(f"answer of {method!r} does not fit its type: {error}") from None

    @property
    def connected_at(self) -> float | None:
        """Wall-clock time of the last connection; None where no `wall_clock` was given."""
        return self._dialer.connected_at

    @property
    def stats(self) -> RpcStats:
        connections = list(self._dialer.connections)
        return RpcStats(
            running_handlers=sum(len(connection.calls) for connection in connections),
            open_streams=sum(connection.open_streams for connection in connections),
            queued_bytes=sum(connection.queued_bytes for connection in connections),
            connections=len(connections),
        )

    async def close(self) -> None:
        """Let go of every call and close. Nothing of this client runs afterwards."""
        if self._closed:
            return
        self._closed = True
        for connection in list(self._dialer.connections):
            for call in list(connection.calls.values()):
                call.abort("the client was closed")
        for task in list(self._tasks):
            task.cancel()
        await self._dialer.close()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        self.stats.record_closed(self._dialer.observer, "client")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Connecting:
    """What `RpcClient.connect` returns."""

    __slots__ = ("_client", "_make")

    def __init__(self, make: Callable[[], RpcClient]) -> None:
        self._make = make
        self._client: RpcClient | None = None

    def __await__(self) -> Generator[Any, None, RpcClient]:
        return self._make().open().__await__()

    async def __aenter__(self) -> RpcClient:
        self._client = await self._make().open()
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._client is not None, "a block is left that was entered"
        await self._client.close()
