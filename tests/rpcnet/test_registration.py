"""Registration accepts only what can work: a handler is refused at once, or each call of it works, in both worlds."""

import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from rpcnet import InvalidArgument, RpcClient, RpcServer, service

T = TypeVar("T")
SHAPES = ("unary", "client_streaming", "server_streaming", "bidirectional")
LEFT_OUT = "left out"


# Functions that answer a value with itself, in every shape, and asynchronous in every way or in none.


def functions(takes: Any, gives: Any) -> dict[str, Callable[..., Any]]:
    """By name. `takes` and `gives` are types of one item, or LEFT_OUT where there are no annotations."""

    async def one(request):
        return request

    async def last(items):
        return [item async for item in items][-1]

    async def many(request):
        yield request
        yield request

    async def each(items):
        async for item in items:
            yield item

    async def later(request):
        return many(request)

    def promise(request):
        return one(request)

    def stream(request):
        return many(request)

    def sync(request):
        return request

    def generator(request):
        yield request

    async def keyword(*, request):
        return request

    async def two(request, other):
        return request

    async def with_default(request, other=1):
        return request

    found = {function.__name__: function for function in (
        one, last, many, each, later, promise, stream, sync, generator, keyword, two, with_default)}  # fmt: skip
    if takes != LEFT_OUT:
        for name, function in found.items():
            parameter = next(iter(function.__annotations__ or function.__code__.co_varnames))
            function.__annotations__ = {
                parameter: AsyncIterator[takes] if name in ("last", "each") else takes,
                "return": {"promise": Awaitable[gives], "generator": Iterator[gives]}.get(
                    name, AsyncIterator[gives] if name in ("many", "each", "later", "stream") else gives
                ),
            }
    return found


def passing(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*arguments, **options):
        return function(*arguments, **options)

    return wrapper


class Callee:
    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, request):
        return self.function(request)


WRAPPED: dict[str, Callable[[Callable[..., Any]], Any]] = {
    "as it is": lambda function: function,
    "partial": functools.partial,
    "partial of partial": lambda function: functools.partial(functools.partial(function)),
    "wraps": passing,
    "wraps twice": lambda function: passing(passing(function)),
    "partial of wraps": lambda function: functools.partial(passing(function)),
    "wraps of partial": lambda function: passing(functools.partial(function)),
    "static": staticmethod,
    "class method": classmethod,
    "callable object": Callee,
    "lambda": lambda function: lambda request: function(request),  # noqa: PLW0108
}
TYPES: list[tuple[Any, Any, bool]] = [
    (int, 7, True), (str, "seven", True), (bytes, b"seven", True), (bytearray, bytearray(b"7"), True), (Any, [7], True),
    (bytes | None, None, True), (Annotated[int, "note"], 7, True), (None, None, True), (object, b"7", True),
    (list[bytes], [b"7"], True), (set[int], {7}, True), (complex, 7j, False), (Callee, 7, False), (T, 7, False),
    (bytes | str, b"7", False), (dict[list[int], int], {}, False), (LEFT_OUT, b"seven", True),
]  # fmt: skip
"""A type, a value of it, and whether it can be a payload."""


def register(server: RpcServer, name: str, handler: Any, way: str, kind: Any, shape: str | None) -> None:
    match way:
        case "register":
            server.register(name, handler)
        case "register_streaming":
            server.register_streaming(name, handler, shape=shape or "bidirectional")
        case "register_typed":
            server.register_typed(name, handler, shape=shape)
        case "register_typed with types":
            server.register_typed(name, handler, request=kind, response=kind, shape=shape)
        case "method":
            server.method(name)(handler)


async def call(client: RpcClient, name: str, shape: int, value: Any, kind: Any) -> list[Any]:
    """The answers."""
    match shape:
        case 0:
            return [await client.call(name, value, response=kind)]
        case 1:
            return [await client.call_client_streaming(name, [value, value], response=kind)]
        case 2:
            return [item async for item in client.call_server_streaming(name, value, response=kind)]
        case _:
            return [item async for item in client.call_streaming(name, [value, value], response=kind)]


CASES = st.lists(
    st.tuples(
        st.sampled_from(sorted(functions(int, int))),
        st.sampled_from(sorted(WRAPPED)),
        st.sampled_from(["register", "register_streaming", "register_typed", "register_typed with types", "method"]),
        st.sampled_from(TYPES),
        st.sampled_from([None, *SHAPES]),
    ),
    min_size=10,
    max_size=40,
)


# Shrinking takes minutes, and a failure names its handler.
@settings(max_examples=25, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CASES)
def test_a_handler_is_refused_or_every_call_works(world, pair, cases: Any) -> None:
    """Hundreds of combinations of function, wrapper, way, type and shape a run."""
    accepted: dict[str, tuple[int, Any, Any]] = {}

    def register_all(server: RpcServer) -> None:
        for number, (function, wrapper, way, (kind, value, _), shape) in enumerate(cases):
            name = f"{number} {function} {wrapper} {way} {kind} {shape}"
            given_kind = bytes if kind == LEFT_OUT else kind
            try:
                register(server, name, WRAPPED[wrapper](functions(kind, kind)[function]), way, given_kind, shape)
            except (TypeError, ValueError):
                assert name not in server._handlers.methods
                continue
            shape_number = server._handlers.methods[name].shape
            bytes_only = way in ("register", "register_streaming")
            unknown = kind in (LEFT_OUT, T, Any, object) or (bytes_only and kind in (bytes, bytearray, bytes | None))
            if unknown and (shape_number & 1) != (function in ("last", "each")):
                continue  # nobody can tell whether it looks at what it takes
            if kind == LEFT_OUT and function == "later":
                continue  # nor what it gives
            accepted[name] = (
                shape_number,
                value if not bytes_only else b"seven",
                None if bytes_only else type(None) if kind is None else given_kind,
            )

    async def main() -> None:
        async with pair(register_all) as (_, client):
            for name, (shape, value, kind) in accepted.items():
                answers = await call(client, name, shape, value, kind)
                assert answers == [value] * len(answers) and answers, name

    world.run(main())


ALWAYS = ["as it is", "partial", "partial of partial", "wraps", "wraps twice", "static"]


@pytest.mark.parametrize("wrapper", ALWAYS)
@pytest.mark.parametrize(("function", "shape"), [("one", 0), ("last", 1), ("many", 2), ("each", 3), ("later", 2)])
def test_handlers_that_can_work_are_not_refused(wrapper: str, function: str, shape: int) -> None:
    """Else the test above would hold for a server that refuses everything."""
    server = RpcServer("127.0.0.1:0")
    handler = WRAPPED[wrapper](functions(int, int)[function])
    server.register_typed("given", handler, request=int, response=AsyncIterator[int] if shape & 2 else int)
    server.register_typed("typed", handler)
    assert server._handlers.methods["typed"].shape == shape
    if shape and function != "later":
        server.register_streaming("bytes", WRAPPED[wrapper](functions(bytes, bytes)[function]), shape=SHAPES[shape])
    elif not shape:
        server.register("bytes", handler)


WITH_ONE_VALUE = ("register", "register_streaming", "register_typed with types")
"""Ways that call a handler with one value, whatever it takes."""


@pytest.mark.parametrize(
    ("function", "ways"),
    [
        ("sync", (*WITH_ONE_VALUE, "register_typed", "method")),
        ("generator", (*WITH_ONE_VALUE, "register_typed", "method")),
        ("two", (*WITH_ONE_VALUE, "register_typed", "method")),  # its second parameter has no annotation
        ("keyword", WITH_ONE_VALUE),
    ],
)
def test_handlers_that_cannot_work_are_refused_in_each_way(function: str, ways: tuple[str, ...]) -> None:
    for wrapper, way in itertools.product(WRAPPED, ways):
        server = RpcServer("127.0.0.1:0")
        with pytest.raises(TypeError):
            register(server, "name", WRAPPED[wrapper](functions(int, int)[function]), way, int, None)
        assert not server._handlers.methods


@pytest.mark.parametrize("kind", [complex, Callee, T, bytes | str, dict[list[int], int]])
def test_an_answer_that_cannot_be_is_refused_before_anything_is_sent(world, pair, idle, kind: Any) -> None:
    async def echo(payload: bytes) -> bytes:
        raise AssertionError("a handler ran")

    async def swallow(items: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        raise AssertionError("a handler ran")
        yield b""

    def register(server: RpcServer) -> None:
        server.register("unary", echo)
        server.register_streaming("bidirectional", swallow)

    async def main() -> None:
        async with pair(register) as (server, client):
            with pytest.raises(TypeError, match="cannot be a payload"):
                await client.call("unary", b"", response=kind)
            with pytest.raises(TypeError, match="cannot be a payload"):
                await client.call_client_streaming("unary", [b""], response=kind)
            with pytest.raises(TypeError, match="cannot be a payload"):
                client.call_server_streaming("unary", b"", response=kind)
            with pytest.raises(TypeError, match="cannot be a payload"):
                client.call_streaming("bidirectional", [b""], response=kind)
            await idle(server, client)

    world.run(main())


def test_a_request_of_another_type_is_told_with_its_path(world, pair) -> None:
    @service
    class Sums:
        async def add(self, numbers: list[int]) -> int:
            return sum(numbers)

    async def main() -> None:
        async with pair(lambda server: server.register_service(Sums())) as (_, client):
            assert await client.service(Sums).add([1, 2]) == 3
            with pytest.raises(InvalidArgument, match=r"Expected `int`, got `str` - at `\$\[1\]`"):
                await client.call("Sums.add", [1, "2"], response=int)

    world.run(main())
