"""A Python class with annotations is the service; what cannot be read from it is refused when it is registered."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from typing import Any

import pytest

from rpcnet import DeadlineExceeded, RpcConfig, RpcServer, service
from rpcnet.service import read_signature


async def unary(request: int) -> str:
    return str(request)


async def upload(items: AsyncIterable[int]) -> str:
    return ""


async def watch(request: int) -> AsyncGenerator[str, None]:
    yield ""


async def chat(items: AsyncIterator[int]) -> AsyncIterator[str]:
    async for item in items:
        yield str(item)


@pytest.mark.parametrize(("handler", "shape"), [(unary, 0), (upload, 1), (watch, 2), (chat, 3)])
def test_the_annotations_say_types_and_shape(handler: Any, shape: int) -> None:
    signature = read_signature(handler, "name")
    assert (signature.request, signature.response, signature.shape) == (int, str, shape)


async def two(first: int, second: int) -> int:
    return first


async def bare(request):
    return request


async def no_answer(request: int):
    return request


@pytest.mark.parametrize(
    ("handler", "text"), [(two, "takes 2"), (bare, "'request' needs an annotation"), (no_answer, "return value")]
)
def test_a_handler_that_cannot_be_read_is_refused(handler: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        RpcServer("127.0.0.1:0").register_typed("name", handler)


def test_types_may_be_given_where_there_are_no_annotations(world, pair) -> None:
    async def numbers(request):
        for number in range(request):
            yield number

    def register(server: RpcServer) -> None:
        server.register_typed("bare", bare, request=int, response=int)
        server.register_typed("numbers", numbers, request=int, response=int)
        server.register_typed("total", total, request=int, response=int, shape="client_streaming")

    async def total(items):
        return sum([item async for item in items])

    async def main() -> None:
        async with pair(register) as (_, client):
            assert await client.call("bare", 3, response=int) == 3
            assert [number async for number in client.call_server_streaming("numbers", 2, response=int)] == [0, 1]
            assert await client.call_client_streaming("total", [1, 2], response=int) == 3

    world.run(main())


def test_a_class_is_a_service_only_if_it_says_so_and_has_methods() -> None:
    class Plain:
        async def add(self, request: int) -> int:
            return request

    with pytest.raises(TypeError, match="mark it with @service"):
        RpcServer("127.0.0.1:0").register_service(Plain())

    class Empty:
        def add(self, request: int) -> int:
            return request

    with pytest.raises(TypeError, match="no public async method"):
        service(Empty)


def test_private_and_plain_methods_are_none_of_the_service(world, pair) -> None:
    @service
    class Greeter:
        async def greet(self, name: str) -> str:
            return self.polite(name)

        async def _secret(self, name: str) -> str:
            return name

        def polite(self, name: str) -> str:
            return f"Dear {name}"

    async def main() -> None:
        async with pair(lambda server: server.register_service(Greeter())) as (server, client):
            assert list(server._handlers.methods) == ["Greeter.greet"]
            assert await client.service(Greeter).greet("Ada") == "Dear Ada"

    world.run(main())


def test_a_handler_that_answers_none_or_the_wrong_type_is_heard(world, pair) -> None:
    async def nothing(request: int) -> None:
        return None

    async def main() -> None:
        async with pair(lambda server: server.register_typed("nothing", nothing)) as (_, client):
            assert await client.call("nothing", 1, response=type(None)) is None
            with pytest.raises(Exception, match="does not fit its type"):
                await client.call("nothing", 1, response=int)

    world.run(main())


@service
class Silent:
    """Never answers, in any shape."""

    async def unary(self, request: int) -> int:
        await asyncio.Event().wait()
        return request

    async def upload(self, items: AsyncIterator[int]) -> int:
        return await self.unary(0)

    async def watch(self, request: int) -> AsyncIterator[int]:
        yield await self.unary(request)

    async def chat(self, items: AsyncIterator[int]) -> AsyncIterator[int]:
        yield await self.unary(0)


@pytest.mark.parametrize("named", [False, True], ids=["by the config", "named"])
@pytest.mark.parametrize("method", ["unary", "upload", "watch", "chat"])
def test_calls_of_a_proxy_know_timeouts(world, pair, idle, method: str, named: bool) -> None:
    async def main() -> None:
        config = RpcConfig(default_timeout=None if named else 0.1)
        async with pair(lambda server: server.register_service(Silent()), client_config=config) as (server, client):
            silent: Any = client.service(Silent)
            option = {} if not named else {"timeout" if method == "unary" else "idle_timeout": 0.1}
            call = getattr(silent, method)(1 if method in ("unary", "watch") else [1], **option)
            with pytest.raises(DeadlineExceeded):
                await (call.receive() if method in ("watch", "chat") else call)
            del call
            await idle(server, client)

    world.run(main())
