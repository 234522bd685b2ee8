"""`RpcClient`: one server, one connection that is made again when it is lost, and calls in all four shapes.

Which connection a call goes to is client/reconnect.py's matter, what happens to it there client/call.py's.

Tests: tests/rpcnet/test_one_page.py, test_shapes.py and test_letting_go.py.
"""

import asyncio
import ssl
from asyncio import _get_running_loop as _running_loop
from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable, Mapping
from enum import Enum
from random import Random
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeAlias, TypeVar, cast, overload

from rpcnet import address as addresses
from rpcnet.client.bidirectional import BidirectionalStream, ItemStream
from rpcnet.client.call import ClientCall
from rpcnet.client.launch import CallLauncher
from rpcnet.client.proxy import ServiceProxy
from rpcnet.client.reconnect import Dialer, Dials, OpenTransport
from rpcnet.client.reply import Reply
from rpcnet.client.stream import ClientStream, cause_of, encode_request, why_not
from rpcnet.client.through import answer_through, stream_through
from rpcnet.codec import RAW, Decode, decoder
from rpcnet.config import RpcConfig
from rpcnet.context import inherited_deadline
from rpcnet.errors import (
    Internal,
    Metadata,
    StreamTimeout,
)
from rpcnet.flow.deadline import earliest, seconds
from rpcnet.interceptors import Interceptor, checked_interceptors
from rpcnet.stats import RpcStats
from rpcnet.tls import check_context
from rpcnet.wire.frame import BIDIRECTIONAL, CLIENT_STREAMING, SERVER_STREAMING, UNARY

__all__ = ["DEFAULT", "Default", "RpcClient"]

T = TypeVar("T")


class Default(Enum):
    """Stands for the config's default where None means no limit."""

    DEFAULT = "default"


DEFAULT: Final = Default.DEFAULT
Seconds: TypeAlias = float | Literal[Default.DEFAULT] | None
Iterables: TypeAlias = AsyncIterable[Any] | Iterable[Any]
Items: TypeAlias = Iterables | BidirectionalStream[Any]


class RpcClient:
    """Calls one server. Made by `connect`: `async with` it or `await` it, in a running loop.

    It belongs to that loop; a call from another one, another thread's for instance, is a RuntimeError. One that is
    dropped without `close` closes its connections, which cancels its handlers, and gives a ResourceWarning.
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
        open_transport: OpenTransport | None = None,
    ) -> None:
        """`open_transport` makes connections where they do not come from `address`; see `rpcnet.testing`."""
        check_context(tls, "client")
        config = config or RpcConfig()
        to = addresses.parse(address)
        to.check_secure(tls is not None, config.insecure)
        self._begin(address, config, Dialer(to, tls, config, random, wall_clock, open_transport), interceptors)

    def _begin(self, address: str, config: RpcConfig, dialer: Dials, interceptors: Iterable[Interceptor]) -> None:
        """`address` is whom it calls, for people."""
        self.config = config
        self.address = address
        self._loop = asyncio.get_running_loop()
        self._dialer = dialer
        self._is_gone = False
        self._interceptors = checked_interceptors(interceptors)
        self._launcher = CallLauncher(dialer, config.late_timer_grace)

    @classmethod
    def connect(
        cls,
        address: str,
        *,
        tls: ssl.SSLContext | None = None,
        config: RpcConfig | None = None,
        random: Random | None = None,
        wall_clock: Callable[[], float] | None = None,
        interceptors: Iterable[Interceptor] = (),
    ) -> "Connecting":
        """`async with RpcClient.connect(address) as client`, or `client = await RpcClient.connect(address)`.

        Unavailable where the server cannot be reached within `connect_timeout`. `interceptors` run around every call,
        the first outermost (rpcnet/interceptors.py).
        """
        given = checked_interceptors(interceptors)
        return Connecting(
            lambda: cls(address, tls=tls, config=config, random=random, wall_clock=wall_clock, interceptors=given)
        )

    async def open(self) -> Self:
        """Connect; what `connect` does. FailedPrecondition where the client was closed."""
        self._check_loop()
        self._dialer.check_open()
        try:
            await self._dialer.open()
        except GeneratorExit:
            raise  # its coroutine is closed: nothing can be awaited, and losing this client closes it
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
        wait_for_ready: bool = False,
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
        wait_for_ready: bool = False,
    ) -> T: ...
    async def call(
        self,
        method: str,
        payload: Any = b"",
        *,
        response: type[Any] | None = None,
        timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> Any:
        """Call a unary method. `payload` is bytes, or a value to encode; `response` the type to decode the answer to.

        `timeout`: seconds for the whole call; left out = config.default_timeout, None = no limit. Raises an RpcError
        subclass, one a status. Cancelling it cancels the handler. A call that crossed the server's GOAWAY, so that no
        handler has seen it, is made again on a new connection.

        `wait_for_ready`: while the server cannot be reached the call waits for a connection, until its timeout. False,
        the default: it is Unavailable where one attempt to connect fails, and at once in the pause after that. So in
        all shapes.
        """
        if _running_loop() is not self._loop:
            self._check_loop()  # which raises
        if self._interceptors:
            return (await self._one_answer(method, payload, response, timeout, metadata, wait_for_ready)).value
        decode = None if response is None else decoder(response, self.config.max_depth)
        request = (payload, RAW) if type(payload) is bytes else encode_request(payload)
        deadline = self._deadline(self.config.default_timeout if timeout is DEFAULT else timeout)
        self._dialer.check_open()
        call = ClientCall(self._loop, method, UNARY, deadline, None, True, request, metadata)
        if wait_for_ready:
            call.wait_for_ready = True
        reply = call.reply
        assert reply is not None
        self._launcher.launch(call)
        try:
            answer = await reply
        except asyncio.CancelledError:
            call.abort("it was cancelled")
            raise
        finally:
            del reply, call  # no cycle through the traceback of an error
        return answer[0] if decode is None else self._decode(decode, *answer, method)

    @overload
    async def call_with_metadata(
        self,
        method: str,
        payload: Any = b"",
        *,
        items: Items | None = None,
        arguments: Mapping[str, Any] | None = None,
        response: None = None,
        timeout: Seconds = DEFAULT,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> Reply[bytes]: ...
    @overload
    async def call_with_metadata(
        self,
        method: str,
        payload: Any = b"",
        *,
        items: Items | None = None,
        arguments: Mapping[str, Any] | None = None,
        response: type[T],
        timeout: Seconds = DEFAULT,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> Reply[T]: ...
    async def call_with_metadata(
        self,
        method: str,
        payload: Any = b"",
        *,
        items: Items | None = None,
        arguments: Mapping[str, Any] | None = None,
        response: type[Any] | None = None,
        timeout: Seconds = DEFAULT,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> Reply[Any]:
        """`call`, or with `items` `call_client_streaming`, with what the handler sent beside its answer.

        A payload that is an AsyncIterable or a BidirectionalStream stands for `items`. What an error came with is in
        its own `metadata` and `trailers`. `timeout` and `idle_timeout` are those of the two calls.
        """
        self._check_loop()
        if items is None and isinstance(payload, AsyncIterable | BidirectionalStream):
            items, payload = payload, b""
        if items is None and arguments is not None:
            raise TypeError("arguments go beside items; those of a method that takes no stream are its payload")
        if items is None:
            return await self._one_answer(method, payload, response, timeout, metadata, wait_for_ready)
        if payload != b"":
            raise TypeError(
                "give call_with_metadata a payload, for a unary method, or items, for one that takes a stream"
            )
        return await self._upload(method, items, arguments, response, timeout, idle_timeout, metadata, wait_for_ready)

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
        wait_for_ready: bool = False,
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
        wait_for_ready: bool = False,
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
        wait_for_ready: bool = False,
    ) -> "ClientStream[Any]":
        """Call a method that answers with a stream; iterate over what is returned, or use it in `async with`.

        `idle_timeout`: seconds of silence while an item is awaited; left out = config.default_timeout. `timeout` bounds
        the whole call. Raises StreamError while it is read.
        """
        self._reader(response)
        request = encode_request(payload)
        call = self._stream_call(
            method, SERVER_STREAMING, timeout, idle_timeout, metadata, wait_for_ready, request, payload
        )
        return ClientStream(call, response, self.config.max_depth)

    @overload
    async def call_client_streaming(
        self,
        method: str,
        items: Items,
        *,
        arguments: Mapping[str, Any] | None = None,
        response: None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> bytes: ...
    @overload
    async def call_client_streaming(
        self,
        method: str,
        items: Items,
        *,
        arguments: Mapping[str, Any] | None = None,
        response: type[T],
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> T: ...
    async def call_client_streaming(
        self,
        method: str,
        items: Items,
        *,
        arguments: Mapping[str, Any] | None = None,
        response: type[Any] | None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> Any:
        """Send what an iterable gives; return the one answer. Raises StreamError; an error of the iterable as it is.

        `arguments`: what the method takes beside the stream, by name.
        """
        reply = await self._upload(method, items, arguments, response, timeout, idle_timeout, metadata, wait_for_ready)
        return reply.value

    @overload
    def call_streaming(
        self,
        method: str,
        items: Items | None = None,
        *,
        arguments: Mapping[str, Any] | None = None,
        response: None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> "ClientStream[bytes]": ...
    @overload
    def call_streaming(
        self,
        method: str,
        items: Items | None = None,
        *,
        arguments: Mapping[str, Any] | None = None,
        response: type[T],
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> "ClientStream[T]": ...
    def call_streaming(
        self,
        method: str,
        items: Items | None = None,
        *,
        arguments: Mapping[str, Any] | None = None,
        response: type[Any] | None = None,
        timeout: Seconds = None,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> "ClientStream[Any]":
        """Call a bidirectional method. Without `items` you write with `send` and `end`; else they are sent for you.

        `arguments`: what the method takes beside the stream, by name.
        """
        self._reader(response)
        given = None if items is None else _iterable(items)
        beside = _encoded_arguments(arguments)
        call = self._stream_call(
            method, BIDIRECTIONAL, timeout, idle_timeout, metadata, wait_for_ready, None, arguments, beside
        )
        if given is not None:
            self._feed(call, given)
        return ClientStream(call, response, self.config.max_depth, writes=items is None)

    @overload
    def call_streaming_with_timeout(
        self,
        method: str,
        items: Items | None,
        timeout: float | None,
        *,
        response: None = None,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> "ClientStream[bytes]": ...
    @overload
    def call_streaming_with_timeout(
        self,
        method: str,
        items: Items | None,
        timeout: float | None,
        *,
        response: type[T],
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> "ClientStream[T]": ...
    def call_streaming_with_timeout(
        self,
        method: str,
        items: Items | None,
        timeout: float | None,
        *,
        response: type[Any] | None = None,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> "ClientStream[Any]":
        """`call_streaming` with `idle_timeout=timeout`: how long the peer may be silent, not how long it takes."""
        idle_timeout: Any = timeout  # mypy takes a None for one of the overload without a response
        return self.call_streaming(
            method,
            items,
            response=response,
            idle_timeout=idle_timeout,
            metadata=metadata,
            wait_for_ready=wait_for_ready,
        )

    def service(
        self,
        cls: type[T],
        *,
        timeout: Seconds = DEFAULT,
        idle_timeout: Seconds = DEFAULT,
        metadata: Metadata | None = None,
        wait_for_ready: bool = False,
    ) -> T:
        """A proxy of a @service class, typed as the class: `await client.service(Calculator).add(1, b=2)`.

        The options hold for each of its calls, `idle_timeout` for those that stream. TypeError, as from the method
        itself and before anything is sent, where arguments do not fit.
        """
        options = {
            "timeout": timeout,
            "idle_timeout": idle_timeout,
            "metadata": metadata,
            "wait_for_ready": wait_for_ready,
        }
        return cast("T", ServiceProxy(self, cls, options))

    def _check_loop(self) -> None:
        if _running_loop() is not self._loop:
            raise RuntimeError(
                f"this client of {self.address} belongs to another event loop than the one that runs here; use it in"
                " its own (asyncio.run_coroutine_threadsafe from another thread), or make a client in each"
            )

    # One answer, with its metadata, behind interceptors or not.

    async def _one_answer(
        self,
        method: str,
        payload: Any,
        response: Any,
        timeout: Seconds,
        metadata: Metadata | None,
        wait_for_ready: bool,
    ) -> Reply[Any]:
        decode = self._reader(response)
        request = encode_request(payload)
        deadline = self._deadline(self.config.default_timeout if timeout is DEFAULT else timeout)

        def make(metadata: Metadata | None) -> Awaitable[Reply[Any]]:
            self._dialer.check_open()
            call = ClientCall(self._loop, method, UNARY, deadline, None, True, request, metadata)
            call.wait_for_ready = wait_for_ready
            self._launcher.launch(call)
            return self._reply_of(call, decode)

        if not self._interceptors:
            return await make(metadata)
        return await answer_through(self._interceptors, method, UNARY, payload, metadata, deadline, make)

    async def _upload(
        self,
        method: str,
        items: Items,
        arguments: Mapping[str, Any] | None,
        response: Any,
        timeout: Seconds,
        idle_timeout: Seconds,
        metadata: Metadata | None,
        wait_for_ready: bool,
    ) -> Reply[Any]:
        decode = self._reader(response)
        given = _iterable(items)
        beside = _encoded_arguments(arguments)
        deadline = self._deadline(None if timeout is DEFAULT else timeout)
        idle = self._idle(idle_timeout)

        def make(metadata: Metadata | None) -> Awaitable[Reply[Any]]:
            call = self._opened(method, CLIENT_STREAMING, deadline, idle, metadata, None, beside)
            call.wait_for_ready = wait_for_ready
            self._launch(call)
            self._feed(call, given)
            return self._reply_of(call, decode)

        self._check_loop()
        if not self._interceptors:
            return await make(metadata)
        return await answer_through(self._interceptors, method, CLIENT_STREAMING, arguments, metadata, deadline, make)

    async def _reply_of(self, call: ClientCall, decode: Decode | None) -> Reply[Any]:
        """Wait for the answer. Nobody who waits for this may refer to the call: an error leads to their frames."""
        reply = call.reply
        assert reply is not None
        try:
            answer = await reply
            value = answer[0] if decode is None else self._decode(decode, *answer, call.method)
            return Reply(value, call.initial_metadata, call.trailers)
        except asyncio.CancelledError:
            call.abort("it was cancelled")
            raise
        finally:
            del reply, call  # no cycle through the traceback of an error

    # Opening calls.

    def _stream_call(
        self,
        method: str,
        shape: int,
        timeout: Seconds,
        idle_timeout: Seconds,
        metadata: Metadata | None,
        wait_for_ready: bool,
        request: tuple[bytes, int] | None = None,
        value: Any = None,
        arguments: tuple[bytes, int] | None = None,
    ) -> ClientCall:
        """A call that is answered by a stream, launched. `value` is what `request` or `arguments` was encoded from."""
        self._check_loop()
        deadline = self._deadline(None if timeout is DEFAULT else timeout)
        call = self._opened(method, shape, deadline, self._idle(idle_timeout), metadata, request, arguments)
        call.wait_for_ready = wait_for_ready
        if self._interceptors:
            call.opener = self._launcher.spawn(stream_through(self._interceptors, call, value, self._launch), call)
        else:
            self._launch(call)
        return call

    def _opened(
        self,
        method: str,
        shape: int,
        deadline: float | None,
        idle: float | None,
        metadata: Metadata | None,
        request: tuple[bytes, int] | None = None,
        arguments: tuple[bytes, int] | None = None,
    ) -> ClientCall:
        """A streaming call that is not launched yet."""
        self._dialer.check_open()
        single = shape == CLIENT_STREAMING
        return ClientCall(self._loop, method, shape, deadline, idle, single, request, metadata, arguments)

    def _launch(self, call: ClientCall) -> None:
        idle = None if call.waits is None else call.waits.allowed
        if idle is not None and idle <= 0:
            # Also where nothing of the peer would be awaited yet: no handler is to run for it.
            call.fail(StreamTimeout(f"call {call.method!r} had no time: its idle_timeout is {idle:g} s"))
        else:
            self._launcher.launch(call)

    def _feed(self, call: ClientCall, items: Iterables) -> None:
        """Have a call send what an iterable gives, which `iterable` has looked at."""
        if isinstance(items, ItemStream):
            try:
                items.bind(call.abort)
            except RuntimeError:
                call.abort("its items cannot be taken")
                raise
            call.when_finished = items.over
        if not call.finished:
            call.pump = self._launcher.spawn(call.pump_items(items, encode_request), call)
        elif call.when_finished is not None:
            call.when_finished(call.cannot_send())

    def _idle(self, idle_timeout: Seconds) -> float | None:
        return seconds("idle_timeout", self.config.default_timeout if idle_timeout is DEFAULT else idle_timeout)

    def _deadline(self, timeout: float | None) -> float | None:
        inherited = inherited_deadline(self._loop)
        left = None if timeout is None else seconds("timeout", timeout)
        return inherited if left is None else earliest(self._loop.time() + left, inherited)

    def _reader(self, response: Any) -> Decode | None:
        """How answers of this type are read; TypeError, before anything is sent, where no answer can be of it."""
        return None if response is None else decoder(response, self.config.max_depth)

    @staticmethod
    def _decode(decode: Decode, payload: bytes, layout: int, method: str) -> Any:
        try:
            return decode(payload, layout)
        except Exception as error:
            raise Internal(f"answer of {method!r} does not fit its type: {why_not(error)}") from cause_of(error)

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

    async def close(self, grace: float | None = 0.0) -> None:
        """Take no new calls, give those that were made `grace` seconds to end, let go of the rest, and close.

        Nothing of this client runs afterwards. Without a grace, and where this is cancelled, all calls are let go at
        once; None and infinity mean until the last has ended, as in `RpcServer.stop`. A call that was let go before
        counts until its handler has ended. Called again, it closes when the shorter grace is over.

        RuntimeError in another event loop than the client's, and, with a grace, in the iterable that gives the items of
        one of its calls, which would wait for itself.
        """
        grace = seconds("grace", grace)
        if self._is_gone:
            return
        self._check_loop()
        if grace is None or grace > 0:
            if asyncio.current_task() in self._launcher.tasks:
                raise RuntimeError(
                    "what gives the items of a call would wait for its own end; close the client in a task of its own"
                )
            self._dialer.refuses = True
            try:
                await self._wait_until_idle(grace)
            except asyncio.CancelledError:
                self._let_go()
                self._dialer.begin_to_close()
                raise
        # Called again, it does what the first one was cancelled at, or waits for the same.
        self._let_go()
        await self._dialer.close()
        if self._launcher.tasks:
            await asyncio.wait(list(self._launcher.tasks))
        if self._is_gone:
            return  # another close() was as far before
        self._is_gone = True
        self.stats.record_closed(self._dialer.observer, "client")

    def _let_go(self) -> None:
        for connection in list(self._dialer.connections):
            for call in list(connection.calls.values()):
                call.abort("the client was closed")
        self._launcher.end_all("the client was closed")

    async def _wait_until_idle(self, most: float | None) -> None:
        """Wait until no call runs or waits for a connection, or this long."""
        end = None if most is None else self._loop.time() + most
        while True:
            # A call that was waiting may have got onto a connection meanwhile, or from one to another.
            pending: list[asyncio.Future[None]] = list(self._launcher.tasks)
            pending += [one.without_calls() for one in self._dialer.connections if one.calls and not one.closed]
            left = None if end is None else end - self._loop.time()
            if not pending or (left is not None and left <= 0):
                return
            await asyncio.wait(pending, timeout=left)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is GeneratorExit and _running_loop() is None:
            return  # its coroutine is closed after its loop has ended: nothing can be awaited
        await self.close()

    def __del__(self) -> None:
        # Not there where __init__ raised.
        dialer: Dials | None = getattr(self, "_dialer", None)
        if dialer is not None:
            dialer.drop()


def _encoded_arguments(arguments: Mapping[str, Any] | None) -> tuple[bytes, int] | None:
    """What is sent beside a stream; None where that is nothing: all take their defaults."""
    return encode_request(dict(arguments)) if arguments else None


def _iterable(items: Items) -> Iterables:
    """What gives the items of a call; TypeError where nothing does, before anything is sent."""
    if isinstance(items, BidirectionalStream):
        return items.stream
    if isinstance(items, bytes | bytearray | memoryview | str):
        raise TypeError(f"items must be an iterable of items; these {type(items).__name__} are one item: write [item]")
    if not isinstance(items, AsyncIterable | Iterable):
        raise TypeError(f"items must be an iterable or a BidirectionalStream, not {type(items).__name__}")
    return items


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
        await self._client.__aexit__(kind, error, trace)
