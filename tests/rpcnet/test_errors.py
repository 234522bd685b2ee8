"""Each exception has one status, both ways; what is unexpected says nothing but an id."""

import asyncio
import gc
import logging
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import rpcnet
from rpcnet import (
    Internal,
    NotFound,
    ResourceExhausted,
    RpcConfig,
    RpcError,
    RpcServer,
    Status,
    StreamApplicationError,
    StreamError,
    StreamTimeout,
    StreamTransportError,
    Unavailable,
)
from rpcnet.client.call import ClientCall
from rpcnet.codec import PayloadError
from rpcnet.errors import STATUS_ERRORS, Unknown
from rpcnet.server.call import ServedCall


def test_there_is_one_class_for_each_of_grpcs_sixteen_statuses() -> None:
    assert sorted(STATUS_ERRORS) == list(range(1, 17))
    for code, error in STATUS_ERRORS.items():
        assert error.code == code
        assert error.__name__.lower() == Status(code).name.replace("_", "").lower()
        assert getattr(rpcnet, error.__name__) is error
        made = RpcError.of(code, "text", b"facts", {"k": "v"})
        assert (type(made), str(made), made.details, made.trailers) == (error, "text", b"facts", {"k": "v"})
    assert type(RpcError.of(99, "from the future")) is Unknown


def test_the_stream_errors_are_what_asyncio_users_catch_as_well() -> None:
    assert StreamError.Timeout is StreamTimeout
    assert StreamError.Transport is StreamTransportError
    assert StreamError.Application is StreamApplicationError
    assert issubclass(StreamTimeout, TimeoutError)
    assert issubclass(StreamTransportError, ConnectionError)
    assert isinstance(StreamTransportError("cut").cause, Unavailable)
    assert StreamApplicationError("x", code=99).code is Status.UNKNOWN


SECRET = "the password is swordfish"
CASES = [(error(f"{error.__name__} it is", details=b"\x00facts"), code) for code, error in STATUS_ERRORS.items()] + [
    (ValueError(SECRET), Status.INTERNAL),
    (KeyError(SECRET), Status.INTERNAL),
    (TimeoutError(SECRET), Status.INTERNAL),
    (GeneratorExit(SECRET), Status.INTERNAL),
    (asyncio.CancelledError(), Status.CANCELLED),
    (StreamTimeout("downstream was silent"), Status.DEADLINE_EXCEEDED),
    (StreamTransportError("downstream was cut"), Status.UNAVAILABLE),
    (StreamApplicationError("downstream said so", code=Status.ABORTED), Status.ABORTED),
    (ExceptionGroup("several", [ValueError(SECRET)]), Status.INTERNAL),
]


def raising(server: RpcServer) -> None:
    async def unary(payload: bytes) -> bytes:
        raise CASES[int(payload)][0]

    async def upload(items: AsyncIterator[bytes]) -> bytes:
        async for item in items:
            raise CASES[int(item)][0]
        return b""

    async def stream(payload: bytes) -> AsyncIterator[bytes]:
        yield b"first"
        raise CASES[int(payload)][0]

    async def chat(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for item in items:
            yield b"first"
            raise CASES[int(item)][0]

    server.register("unary", unary)
    server.register_streaming("upload", upload, shape="client_streaming")
    server.register_streaming("stream", stream, shape="server_streaming")
    server.register_streaming("chat", chat)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda number: type(CASES[number][0]).__name__)
def test_each_exception_has_one_status_in_every_shape(world, pair, number, caplog) -> None:
    raised, code = CASES[number]
    payload = b"%d" % number

    async def main() -> None:
        async with pair(raising) as (_, client):
            with pytest.raises(STATUS_ERRORS[code]) as caught:
                await client.call("unary", payload)
            errors: list[RpcError] = [caught.value]
            with pytest.raises(StreamError.Application) as failed:
                await client.call_client_streaming("upload", [payload])
            errors.append(failed.value)
            for stream in (client.call_server_streaming("stream", payload), client.call_streaming("chat", [payload])):
                assert await stream.receive() == b"first"
                with pytest.raises(StreamError.Application) as failed:
                    await stream.receive()
                errors.append(failed.value)
                assert [item async for item in stream] == []
            for error in errors:
                assert error.code == code
                assert SECRET not in str(error)
                if isinstance(raised, RpcError):
                    assert str(error) == str(raised)
                    assert error.details == raised.details

    with caplog.at_level(logging.ERROR, "rpcnet"):
        world.run(main())
    assert len(caplog.records) == (4 if code == Status.INTERNAL and not isinstance(raised, RpcError) else 0)


def test_an_unexpected_error_carries_an_id_that_is_in_the_log(world, pair, caplog) -> None:
    async def main() -> str:
        async with pair(raising) as (_, client):
            with pytest.raises(Internal) as caught:
                await client.call("unary", b"16")
        return str(caught.value)

    text = world.run(main())
    (name,) = re.findall(r"error ([0-9a-f]{8})", text)
    assert name in caplog.text
    assert SECRET in caplog.text


def test_a_server_may_say_that_its_texts_hold_no_secrets(world, pair) -> None:
    async def main() -> None:
        async with pair(raising, RpcConfig(expose_errors=True)) as (_, client):
            with pytest.raises(Internal, match="ValueError: the password is swordfish"):
                await client.call("unary", b"16")

    world.run(main())


def test_trailers_of_an_error_arrive_with_it(world, pair) -> None:
    async def fail(payload: bytes) -> bytes:
        raise NotFound("gone", details=b"d", trailers={"retry": "no"})

    async def main() -> None:
        async with pair(lambda server: server.register("fail", fail)) as (_, client):
            with pytest.raises(NotFound) as caught:
                await client.call("fail")
            assert caught.value.trailers == {"retry": "no"}

    world.run(main())


def test_an_error_larger_than_the_limits_still_arrives(world, pair) -> None:
    async def fail(payload: bytes) -> bytes:
        raise NotFound("é" * 100_000, details=bytes(100_000), trailers={"k": "v" * 100_000})

    async def main() -> None:
        async with pair(lambda server: server.register("fail", fail)) as (_, client):
            with pytest.raises(NotFound) as caught:
                await client.call("fail")
            assert 1000 < len(str(caught.value)) <= 4096
            assert caught.value.details == b""

    world.run(main())


SHAPES = ["unary", "upload", "stream", "items that raise", "an answer that misfits", "an item that misfits"]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_error_leaves_no_cycle_behind(world, pair, eventually, shape) -> None:
    kinds = ClientCall | ServedCall | NotFound | PayloadError

    def living() -> list[object]:
        """By identity, because a module-level error of another test is none of ours."""
        return [thing for thing in gc.get_objects() if isinstance(thing, kinds)]

    def items() -> Iterator[bytes]:
        yield b"x"
        raise NotFound("gone")

    async def reads(items: AsyncIterator[bytes]) -> bytes:
        return b"".join([item async for item in items])

    async def echo(payload: bytes) -> bytes:
        return payload

    async def fail(payload: object) -> bytes:
        raise NotFound("gone")

    async def stream(payload: bytes) -> AsyncIterator[bytes]:
        yield payload
        raise NotFound("gone")

    def register(server: RpcServer) -> None:
        server.register("unary", fail)
        server.register("echo", echo)
        server.register_streaming("upload", fail, shape="client_streaming")
        server.register_streaming("reads", reads, shape="client_streaming")
        server.register_streaming("stream", stream, shape="server_streaming")

    async def main() -> None:
        async with pair(register) as (server, client):

            async def call() -> None:
                try:
                    if shape == "unary":
                        await client.call("unary")
                    elif shape == "items that raise":
                        await client.call_client_streaming("reads", items())
                    elif shape == "an answer that misfits":
                        await client.call("echo", 5, response=str)
                    elif shape == "an item that misfits":
                        async for _ in client.call_server_streaming("stream", 5, response=str):
                            pass
                    elif shape == "upload":
                        await client.call_client_streaming("upload", [b"x"])
                    else:
                        async for _ in client.call_server_streaming("stream"):
                            pass
                except RpcError:
                    return
                raise AssertionError("the call did not fail")

            await call()
            await eventually(lambda: not server.stats.running_handlers)
            await asyncio.sleep(0.01)
            gc.collect()
            before = len(living())
            gc.disable()
            try:
                for _ in range(5):
                    await call()
                await eventually(lambda: len(living()) == before)
            finally:
                gc.enable()

    world.run(main())


async def until_it_raises(stream: Any, item: bytes = b"x") -> None:
    """Send until that is refused."""
    for _ in range(1000):
        await stream.send(item)
        await asyncio.sleep(0.001)


def test_a_sender_is_told_what_ended_the_call(world, pair) -> None:
    """As its reader is: a cut, the handler's own error, a limit; each as the class that says so, each time it sends."""

    async def refuses(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for _ in items:
            raise NotFound("no such worker", details=b"which")
        yield b""

    async def reads(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for _ in items:
            pass
        yield b""

    def methods(server: RpcServer) -> None:
        server.register_streaming("refuses", refuses)
        server.register_streaming("reads", reads)

    async def main() -> None:
        async with pair(methods, RpcConfig(max_message_bytes=1000, reconnect_backoff=0.001)) as (server, client):
            stream = client.call_streaming("refuses")
            for _ in range(2):
                with pytest.raises(NotFound, match="no such worker") as not_found:
                    await until_it_raises(stream)
                assert isinstance(not_found.value, StreamError.Application)
                assert not_found.value.payload == b"which"
            for size in (1001, 200_000):
                stream = client.call_streaming("reads")
                with pytest.raises(StreamError, match=r"max_message_bytes \(1000\)") as too_large:
                    await stream.send(bytes(size))
                assert isinstance(too_large.value, ResourceExhausted)
                with pytest.raises(ResourceExhausted):
                    await stream.receive()  # it has ended the call, as where items are given
                with pytest.raises(ResourceExhausted):
                    await stream.send(b"x")
            stream = client.call_streaming("reads")
            await stream.send(b"x")
            for connection in list(server._connections):
                connection.abort("cut by the test")
            for _ in range(2):
                with pytest.raises(StreamError.Transport) as cut:
                    await until_it_raises(stream)
                assert isinstance(cut.value, Unavailable)
                assert isinstance(cut.value, ConnectionError)
            del stream, cut, too_large, not_found

    world.run(main())


@pytest.mark.parametrize(("message", "shown"), [(404, "404"), (None, "NOT_FOUND"), ("", "NOT_FOUND"), (b"x", "b'x'")])
def test_an_error_is_shown_whatever_its_message(message, shown: str) -> None:
    assert str(NotFound(message)) == shown
