"""A Python class with annotations is the service; what cannot be read from it is refused when it is registered."""

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import pytest

import sim
from rpcnet import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    RpcConfig,
    RpcServer,
    StreamError,
    service,
)
from rpcnet.service import read_signature


class Plain: ...


@dataclass
class Answer:
    count: int


class Callee:
    async def __call__(self, number: int) -> int:
        return number + 6


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


async def unknown(request: "Nowhere") -> int:  # type: ignore[name-defined]  # noqa: F821
    return 1


def sync(request: int) -> int:
    return request


def sync_generator(request: int) -> Iterator[int]:
    yield request


async def generator_as_one(request: int) -> int:
    yield request  # type: ignore[misc]


async def takes_plain(request: Plain) -> int:
    return 1


async def gives_plain(request: int) -> list[Plain]:
    return []


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (bare, "'request' needs an annotation"),
        (no_answer, "return value"),
        (unknown, "'Nowhere' is not defined"),
        (sync, "async def"),
        (sync_generator, "async def"),
        (lambda request: sync(request), "async def"),  # noqa: PLW0108
        (int, "async def"),
        (None, "must be an asynchronous function, not a NoneType object"),
        (classmethod(unary), "must be an asynchronous function"),
        (generator_as_one, r"annotate it as AsyncIterator\[<class 'int'>\]"),
        (takes_plain, "request of 'name': Plain cannot be a payload"),
        (gives_plain, r"answer of 'name': list\[.*Plain\] cannot be a payload"),
    ],
)
def test_a_handler_that_cannot_work_is_refused(handler: Any, text: str) -> None:
    server = RpcServer("127.0.0.1:0")
    with pytest.raises(TypeError, match=text) as caught:
        server.register_typed("name", handler)
    assert "'name'" in str(caught.value)
    assert not server._handlers.methods


@pytest.mark.parametrize(
    ("handler", "given", "says"),
    [
        (unary, {"shape": "server_streaming"}, "gives one answer"),
        (unary, {"shape": "client_streaming"}, "cannot be client_streaming"),
        (watch, {"shape": "unary"}, "gives a stream"),
        (watch, {"shape": "client_streaming"}, "cannot be client_streaming"),
        (upload, {"shape": "unary"}, "cannot be unary"),
        (upload, {"shape": "unary", "request": int}, "cannot be unary"),
        (chat, {"shape": "server_streaming"}, "cannot be server_streaming"),
        (bare, {"request": int, "response": int, "shape": "server_streaming"}, "gives one answer"),
        (bare, {"request": int, "response": complex}, "complex cannot be a payload"),
        (bare, {"request": TypeVar("T"), "response": int}, "stands for no type"),
        (bare, {"request": int}, "return value"),
        (bare, {"response": None}, "'request' needs an annotation"),
    ],
)
def test_types_and_shapes_that_contradict_are_refused(handler: Any, given: dict[str, Any], says: str) -> None:
    server = RpcServer("127.0.0.1:0")
    with pytest.raises(TypeError, match=says):
        server.register_typed("name", handler, **given)
    assert not server._handlers.methods


@pytest.mark.parametrize(
    ("handler", "shape", "says"),
    [
        (unary, "bidirectional", "takes one request"),
        (unary, "server_streaming", "gives one answer"),
        (chat, "client_streaming", "gives a stream"),
        (chat, "server_streaming", "takes a stream"),
        (sync, "client_streaming", "async def"),
        (two, "client_streaming", "takes 2"),
        (unary, "client_streaming", "takes one request"),
        (watch, "bidirectional", "takes one request"),
    ],
)
def test_a_handler_of_bytes_must_fit_its_shape(handler: Any, shape: str, says: str) -> None:
    server = RpcServer("127.0.0.1:0")
    with pytest.raises(TypeError, match=says):
        server.register_streaming("name", handler, shape=shape)
    assert not server._handlers.methods


class OwnStream:
    def __aiter__(self) -> Any: ...


@pytest.mark.parametrize(
    "kind", [Any, object, OwnStream, TypeVar("T"), AsyncIterator[bytes], AsyncIterator[int] | None]
)
def test_what_may_be_a_stream_may_take_one(kind: Any) -> None:
    async def last(items):
        return b""

    last.__annotations__ = {"items": kind}
    RpcServer("127.0.0.1:0").register_streaming("name", last, shape="client_streaming")


@pytest.mark.parametrize("kind", [int, Plain, int | None, bytes | str, list[int], Answer, None, "int"])
def test_what_names_one_request_takes_no_stream(kind: Any) -> None:
    async def last(items):
        return b""

    last.__annotations__ = {"items": kind}
    with pytest.raises(TypeError, match="takes one request"):
        RpcServer("127.0.0.1:0").register_streaming("name", last, shape="client_streaming")


@pytest.mark.parametrize("handler", [watch, chat, upload])
def test_a_stream_is_no_unary_handler_of_bytes(handler: Any) -> None:
    with pytest.raises(TypeError, match="stream"):
        RpcServer("127.0.0.1:0").register("name", handler)


@pytest.mark.parametrize("name", ["", "x" * 1025, "\u0410" * 513, "\ud800", "a\udcff"])
def test_a_name_that_cannot_travel_is_refused(name: str) -> None:
    server = RpcServer("127.0.0.1:0")
    with pytest.raises(ValueError, match="name"):
        server.register(name, unary)
    with pytest.raises(ValueError, match="name"):
        server.register_typed(name, unary)


@pytest.mark.parametrize("name", [None, 5, b"name"])
def test_a_name_that_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(TypeError, match="a method's name must be text, not"):
        RpcServer("127.0.0.1:0").register(name, unary)


def test_a_name_of_up_to_1024_bytes_is_taken(world, pair) -> None:
    names = ["x", "x" * 1024, "\u0410" * 512, "\0", "a b"]

    async def main() -> None:
        async with pair(lambda server: [server.register_typed(name, unary) for name in names]) as (_, client):
            for name in names:
                assert await client.call(name, 1, response=str) == "1"

    world.run(main())


@pytest.mark.parametrize("shape", ["sideways", "", None, 2, b"unary"])
def test_a_shape_that_there_is_not_is_refused(shape: Any) -> None:
    server = RpcServer("127.0.0.1:0")
    with pytest.raises(ValueError, match="is none of unary"):
        server.register_streaming("name", chat, shape=shape)
    if shape is not None:
        with pytest.raises(ValueError, match="is none of unary"):
            server.register_typed("name", chat, shape=shape)


def test_a_name_that_is_taken_keeps_its_handler(world, pair) -> None:
    async def other(request: int) -> str:
        return "other"

    def register(server: RpcServer) -> None:
        server.register_typed("name", unary)
        for again in (server.register_typed, server.register, server.method):
            with pytest.raises(ValueError, match="'name' is registered already"):
                again("name")(other) if again == server.method else again("name", other)

    async def main() -> None:
        async with pair(register) as (_, client):
            assert await client.call("name", 1, response=str) == "1"

    world.run(main())


def test_none_is_a_type_and_no_type_left_out(world, pair) -> None:
    async def echo(request):
        return request

    def register(server: RpcServer) -> None:
        server.register_typed("echo", echo, request=None, response=None)
        server.register_typed("annotated", staticmethod(unary), request=int)

    async def main() -> None:
        async with pair(register) as (_, client):
            assert await client.call("echo", None, response=type(None)) is None
            with pytest.raises(InvalidArgument, match="Expected `null`, got `int`"):
                await client.call("echo", 1, response=type(None))
            assert await client.call("annotated", 1, response=str) == "1"

    world.run(main())


def test_a_given_type_may_be_a_stream(world, pair) -> None:
    async def total(numbers):
        return sum([number async for number in numbers])

    async def upto(number):
        return watch(number)

    def register(server: RpcServer) -> None:
        server.register_typed("total", total, request=AsyncIterator[int], response=int)
        server.register_typed("upto", upto, request=int, response=AsyncIterator[str])

    async def main() -> None:
        async with pair(register) as (_, client):
            assert await client.call_client_streaming("total", [1, 2], response=int) == 3
            assert [text async for text in client.call_server_streaming("upto", 1, response=str)] == [""]

    world.run(main())


def test_a_decorator_takes_the_name_of_the_function(world, pair) -> None:
    def register(server: RpcServer) -> None:
        @server.method
        async def plus(number: int) -> int:
            return number + 1

        @server.method()
        async def minus(number: int) -> int:
            return number - 1

        @server.method("times")
        async def multiply(number: int) -> int:
            return 2 * number

        assert plus.__name__ == "plus" and minus.__name__ == "minus" and multiply.__name__ == "multiply"
        with pytest.raises(TypeError, match="give one"):
            server.method(functools.partial(multiply))
        with pytest.raises(TypeError, match="asynchronous function"):
            server.method(classmethod(multiply))
        with pytest.raises(ValueError, match="registered already"):
            server.method(plus)

    async def main() -> None:
        async with pair(register) as (_, client):
            calls = [await client.call(name, 5, response=int) for name in ("plus", "minus", "times")]
            assert calls == [6, 4, 10]

    world.run(main())


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


def test_a_service_is_registered_whole_or_not_at_all() -> None:
    @service
    class Half:
        async def first(self, request: int) -> int:
            return request

        async def second(self, request: complex) -> int:
            return 1

    @service
    class Whole:
        async def first(self, request: int) -> int:
            return request

        async def second(self, request: int) -> int:
            return request

    server = RpcServer("127.0.0.1:0")
    with pytest.raises(TypeError, match=r"request of 'Half\.second'"):
        server.register_service(Half())
    assert not server._handlers.methods
    server.register_typed("Whole.second", unary)
    with pytest.raises(ValueError, match=r"Whole\.second"):
        server.register_service(Whole())
    assert list(server._handlers.methods) == ["Whole.second"]


def test_a_class_is_not_registered_instead_of_an_object() -> None:
    @service
    class Greeter:
        async def greet(self, name: str) -> str:
            return name

    with pytest.raises(TypeError, match=r"Greeter\(\), not Greeter"):
        RpcServer("127.0.0.1:0").register_service(Greeter)
    with pytest.raises(TypeError, match="marks a class"):
        service(Greeter.greet)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="not a service"):
        RpcServer("127.0.0.1:0").register_service(object())


def test_methods_of_all_kinds_are_of_the_service(world, pair) -> None:
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*arguments: Any) -> Any:
            return function(*arguments)

        return wrapper

    @service
    class Kinds:
        async def bound(self, number: int) -> int:
            return number + 1

        @classmethod
        async def of_class(cls, number: int) -> int:
            return number + 2

        @staticmethod
        async def static(number: int) -> int:
            return number + 3

        @logged
        async def wrapped(self, number: int) -> int:
            return number + 4

        @logged
        async def many(self, number: int) -> AsyncIterator[int]:
            yield number + 5

        def declared(self, number: int) -> AsyncIterator[int]:
            return self.many(number)

        async def times(self, factor: int, number: int) -> int:
            return factor * number

        thrice = functools.partialmethod(times, 3)
        del times

        callee = Callee()
        append = list.append

        def helper(self, number: int) -> int:
            return number

        class Inner:
            async def __call__(self, number: int) -> int:
                return number

    async def main() -> None:
        async with pair(lambda server: server.register_service(Kinds())) as (server, client):
            names = {"bound", "of_class", "static", "wrapped", "many", "declared", "thrice", "callee"}
            assert {name.removeprefix("Kinds.") for name in server._handlers.methods} == names
            kinds = client.service(Kinds)
            ones = ("bound", "of_class", "static", "wrapped", "thrice", "callee")
            assert [await getattr(kinds, name)(1) for name in ones] == [2, 3, 4, 5, 3, 7]
            assert [number async for number in kinds.many(1)] == [6]
            assert [number async for number in kinds.declared(1)] == [6]

    world.run(main())


def test_a_handler_s_wrong_answer_is_its_own_error(world, pair) -> None:
    async def one(request: int) -> Answer:
        return {"count": "many"}  # type: ignore[return-value]

    async def many(request: int) -> AsyncIterator[Answer]:
        yield Answer(1)
        yield {"count": "many"}  # type: ignore[misc]

    async def text(payload: bytes) -> bytes:
        return "text"  # type: ignore[return-value]

    async def nothing(payload: bytes) -> bytes: ...  # type: ignore[empty-body]

    def register(server: RpcServer) -> None:
        server.register_typed("one", one)
        server.register_typed("many", many)
        server.register("text", text)
        server.register("nothing", nothing)

    async def main() -> None:
        async with pair(register) as (_, client):
            wrong = r"answer of '%s' does not fit its type: Expected `int`, got `str` - at `\$.count`"
            with pytest.raises(Internal, match=wrong % "one"):
                await client.call("one", 1)
            answers = client.call_server_streaming("many", 1, response=Answer)
            assert await anext(answers) == Answer(1)
            with pytest.raises(StreamError.Application, match=wrong % "many"):
                await anext(answers)
            for name, got in (("text", "str"), ("nothing", "NoneType")):
                with pytest.raises(Internal, match=f"answer of '{name}'.*Expected `bytes`, got `{got}`"):
                    await client.call(name)

    world.run(main())


def test_a_handler_that_never_answers_may_say_so(world, pair) -> None:
    async def refuse(request: int) -> NoReturn:
        raise NotFound("nothing here")

    async def main() -> None:
        async with pair(lambda server: server.register_typed("refuse", refuse)) as (_, client):
            with pytest.raises(NotFound, match="nothing here"):
                await client.call("refuse", 1)

    world.run(main())


def test_an_answer_of_none_is_no_other_type(world, pair) -> None:
    async def nothing(request: int) -> None:
        return None

    async def main() -> None:
        async with pair(lambda server: server.register_typed("nothing", nothing)) as (_, client):
            assert await client.call("nothing", 1, response=type(None)) is None
            with pytest.raises(Internal, match="does not fit its type"):
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


def test_a_proxy_names_the_method_that_is_called_wrongly(pair) -> None:
    async def main() -> None:
        async with pair(lambda server: server.register_service(Silent())) as (_, client):
            silent: Any = client.service(Silent)
            with pytest.raises(TypeError, match=r"Silent\.unary\(\) missing"):
                silent.unary()

    sim.run(main())
